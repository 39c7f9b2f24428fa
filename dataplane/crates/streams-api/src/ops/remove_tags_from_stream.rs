//! As AWS RemoveTagsFromStream: keys that are not there do not matter.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use model::limits::{TAG_KEY_CHARS_MAX, TAGS_MAX};
use serde::Deserialize;

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
    if let Some(keys) = checks.required("tagKeys", tag_keys.as_ref()) {
        checks.list_length("tagKeys", keys.len(), 1..=TAGS_MAX);
        for (at, key) in keys.iter().enumerate() {
            let path = format!("tagKeys.{}.member", at + 1);
            checks.length(&path, Some(key), 1..=TAG_KEY_CHARS_MAX);
        }
    }
    checks.finish()?;
    api.change(&named.resolve()?, |stream| {
        let before = stream.tags.len();
        stream.tags.retain(|key, _| !tag_keys.iter().flatten().any(|removed| removed == key));
        Ok(stream.tags.len() != before)
    })
    .await?;
    Ok(())
}
