//! As AWS ListTagsForDeliveryStream: by key, in pages.

use std::ops::Bound;

use aws_protocol::ApiError;
use bytes::Bytes;
use serde::Serialize;

use super::{checked, tags};
use crate::api::Call;
use crate::shape::{Within, shapes};
use crate::texts::{NAME, TAG_KEY};

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
        ExclusiveStartTagKey: String, Never, TAG_KEY;
        Limit: i64, Never, Within(1..=tags::MAX as i64);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    tags: Vec<tags::Tag>,
    has_more_tags: bool,
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let stream = call.api.stream(&name)?;
    let after = request.ExclusiveStartTagKey.as_deref();
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut found = stream.spec.tags.range::<str, _>((start, Bound::Unbounded));
    let limit = request.Limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(tags::MAX);
    let tag = |(key, value): (&String, &String)| tags::Tag {
        Key: Some(key.clone()),
        Value: Some(value.clone()),
    };
    let page = found.by_ref().take(limit).map(tag).collect();
    Ok(call.reply(&Output { tags: page, has_more_tags: found.next().is_some() }))
}
