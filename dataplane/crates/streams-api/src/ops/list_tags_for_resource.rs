//! As AWS ListTagsForResource: of a stream or of a consumer.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::{Deserialize, Serialize};

use super::tags::Tag;
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
    tags: Vec<Tag>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let arn = Arn::check_resource(&mut checks, request.resource_arn.as_deref());
    let arn = Arn::found(checks, arn)?;
    let tags = api.attached(&arn, |attached| attached.tags.iter().map(Tag::of).collect())?;
    Ok(Shape(Output { tags }))
}
