//! As AWS ListStreamConsumers: by name, in pages.

use std::ops::Bound;

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use model::ConsumerName;
use serde::{Deserialize, Serialize};

use super::paging::{check_created, decode_token, invalid_token};
use crate::api::{Api, Shape};
use crate::consumers::ConsumerShape;
use crate::errors::invalid_argument;
use crate::resource::Arn;
use crate::token;

/// Consumers of one page, whatever was asked for.
const PAGE_MAX: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    consumers: Vec<ConsumerShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_arn, next_token, max_results, stream_creation_timestamp } = &request;
    checks.required("streamARN", stream_arn.as_deref());
    let stream = Arn::check_stream(&mut checks, "streamARN", stream_arn.as_deref());
    checks.length("nextToken", next_token.as_deref(), 1..=1_048_576);
    checks.range("maxResults", *max_results, 1..=10_000);
    checks.finish()?;
    let stream = stream.ok_or_else(|| invalid_argument("StreamARN is required."))?;
    let stream = api.stream(&stream)?;
    check_created(api, &stream, *stream_creation_timestamp)?;
    let after = match next_token {
        None => None,
        Some(text) => {
            let [name] = decode_token(api, text)?;
            Some(name.parse::<ConsumerName>().map_err(|_| invalid_token(text))?)
        }
    };
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let limit = max_results.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let mut rest = stream.consumers.range((start, Bound::Unbounded));
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let last = page.last().filter(|_| rest.next().is_some());
    Ok(Shape(Output {
        next_token: last.map(|(name, _)| token::encode_page(&[name.as_str()], api.now())),
        consumers: page
            .iter()
            .map(|(name, consumer)| ConsumerShape::of(&stream.name, name, consumer, api.identity()))
            .collect(),
    }))
}
