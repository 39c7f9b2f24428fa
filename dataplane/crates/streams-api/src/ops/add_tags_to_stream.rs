//! As AWS AddTagsToStream: new keys are added, known ones get the new value.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::Deserialize;

use super::tags;
use crate::api::Api;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.required("tags", request.tags.as_ref());
    tags::check(&mut checks, request.tags.as_ref());
    let added = request.tags.unwrap_or_default();
    checks.finish()?;
    api.change(&named.resolve()?, |stream| tags::add(&mut stream.tags, &added)).await?;
    Ok(())
}
