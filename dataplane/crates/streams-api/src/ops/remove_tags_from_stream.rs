//! As AWS RemoveTagsFromStream: keys that are not there do not matter.

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
    tag_keys: Option<Vec<String>>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, tag_keys } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let keys = tags::check_keys(&mut checks, tag_keys.as_deref());
    checks.finish()?;
    api.change(&named.resolve()?, |stream| Ok(tags::remove(&mut stream.tags, keys))).await?;
    Ok(())
}
