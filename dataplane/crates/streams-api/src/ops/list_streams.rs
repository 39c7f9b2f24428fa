//! As AWS ListStreams: names and summaries, by name, in pages.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::{Deserialize, Serialize};

use super::paging::decode_token;
use crate::api::{Api, Shape};
use crate::shapes::StreamSummary;
use crate::token;

const PAGE_DEFAULT: i64 = 100;
const PAGE_MAX: i64 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    stream_names: Vec<String>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<StreamSummary>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { limit, exclusive_start_stream_name, next_token } = request;
    checks.range("limit", limit, 1..=PAGE_MAX);
    checks.length("exclusiveStartStreamName", exclusive_start_stream_name.as_deref(), 1..=128);
    checks.length("nextToken", next_token.as_deref(), 1..=1_048_576);
    checks.finish()?;
    api.authorize()?;
    let after = match next_token {
        None => exclusive_start_stream_name,
        Some(text) => {
            let [name] = decode_token(api, &text)?;
            Some(name)
        }
    };
    let limit = usize::try_from(limit.unwrap_or(PAGE_DEFAULT)).unwrap_or(usize::MAX);
    let mut streams = api.options.catalog.list(after.as_deref(), limit.saturating_add(1));
    let has_more_streams = limit < streams.len();
    streams.truncate(limit);
    let last = streams.last().filter(|_| has_more_streams);
    Ok(Shape(Output {
        next_token: last.map(|last| token::encode_page(&[last.name.as_str()], api.now())),
        has_more_streams,
        stream_names: streams.iter().map(|stream| stream.name.to_string()).collect(),
        stream_summaries: streams.iter().map(|stream| StreamSummary::of(api, stream)).collect(),
    }))
}
