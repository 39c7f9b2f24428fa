//! As AWS DeleteResourcePolicy: only callers of the owner's account are left.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::Deserialize;

use super::get_resource_policy::no_policy;
use crate::api::Api;
use crate::resource::Arn;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let arn = Arn::check_resource(&mut checks, request.resource_arn.as_deref());
    let arn = Arn::found(checks, arn)?;
    api.change_attached(&arn, |attached| match attached.policy.take() {
        Some(_) => Ok(true),
        None => Err(no_policy()),
    })
    .await
}
