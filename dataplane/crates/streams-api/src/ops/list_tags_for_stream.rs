//! As AWS ListTagsForStream: by key, in pages.

use std::ops::Bound;

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use model::limits::{TAG_KEY_CHARS_MAX, TAGS_MAX};
use serde::{Deserialize, Serialize};

use super::tags::Tag;
use crate::api::{Api, Shape};
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, exclusive_start_tag_key, limit } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let after = exclusive_start_tag_key.as_deref();
    checks.length("exclusiveStartTagKey", after, 1..=TAG_KEY_CHARS_MAX);
    checks.range("limit", *limit, 1..=TAGS_MAX as i64);
    checks.finish()?;
    let stream = api.stream(&named.resolve()?)?;
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut tags = stream.tags.range::<str, _>((start, Bound::Unbounded));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TAGS_MAX);
    let page = tags.by_ref().take(limit).map(Tag::of).collect();
    Ok(Shape(Output { tags: page, has_more_tags: tags.next().is_some() }))
}
