//! As AWS TagResource: of a stream or of a consumer.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::Deserialize;

use super::tags;
use crate::api::Api;
use crate::resource::Arn;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let arn = Arn::check_resource(&mut checks, request.resource_arn.as_deref());
    checks.required("tags", request.tags.as_ref());
    tags::check(&mut checks, request.tags.as_ref());
    let added = request.tags.unwrap_or_default();
    let arn = Arn::found(checks, arn)?;
    api.change_attached(&arn, |attached| tags::add(attached.tags, &added)).await
}
