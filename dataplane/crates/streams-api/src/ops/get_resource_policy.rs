//! As AWS GetResourcePolicy: the text that was put.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::resource::Arn;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    policy: String,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let arn = Arn::check_resource(&mut checks, request.resource_arn.as_deref());
    let arn = Arn::found(checks, arn)?;
    let policy = api.attached(&arn, |attached| attached.policy.clone())?;
    let policy = policy.ok_or_else(no_policy)?.text().to_owned();
    Ok(Shape(Output { policy }))
}

pub(super) fn no_policy() -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFoundException, "The resource has no policy.")
}
