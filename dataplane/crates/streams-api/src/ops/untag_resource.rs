//! As AWS UntagResource: of a stream or of a consumer.

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
    tag_keys: Option<Vec<String>>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let arn = Arn::check_resource(&mut checks, request.resource_arn.as_deref());
    let keys = tags::check_keys(&mut checks, request.tag_keys.as_deref());
    let arn = Arn::found(checks, arn)?;
    api.change_attached(&arn, |attached| Ok(tags::remove(attached.tags, keys))).await
}
