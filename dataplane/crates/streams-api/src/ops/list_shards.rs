//! As AWS ListShards: a page of shards, all or those that a filter picks.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use catalog::Stream;
use model::limits::LIST_SHARDS_MAX;
use model::{ShardId, ShardState, StreamName, UnixMillis};
use serde::{Deserialize, Serialize};

use super::describe_stream::parse_shard_id;
use super::paging::{check_created, decode_token, invalid_token};
use crate::api::{Api, Shape};
use crate::errors::invalid_argument;
use crate::shapes::{Shard, horizon, listed_shards};
use crate::stream_ref::StreamRef;
use crate::token;

const PAGE_MAX: i64 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Timestamp>,
    shard_filter: Option<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    r#type: Option<String>,
    shard_id: Option<String>,
    timestamp: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    shards: Vec<Shard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Which shards are wanted, by what they were at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    After(ShardId),
    /// Open now.
    AtLatest,
    /// Open then.
    At(UnixMillis),
    /// Open then or later.
    From(UnixMillis),
}

#[derive(Clone, Copy)]
enum FilterType {
    AfterShardId,
    AtTrimHorizon,
    FromTrimHorizon,
    AtLatest,
    AtTimestamp,
    FromTimestamp,
}

const FILTER_TYPES: [(&str, FilterType); 6] = [
    ("AFTER_SHARD_ID", FilterType::AfterShardId),
    ("AT_TRIM_HORIZON", FilterType::AtTrimHorizon),
    ("FROM_TRIM_HORIZON", FilterType::FromTrimHorizon),
    ("AT_LATEST", FilterType::AtLatest),
    ("AT_TIMESTAMP", FilterType::AtTimestamp),
    ("FROM_TIMESTAMP", FilterType::FromTimestamp),
];

impl Wanted {
    /// `horizon` is the stream's oldest moment, and `trim` a filter that names it.
    fn wants(self, shard: &model::Shard, horizon: UnixMillis) -> bool {
        let closed_after = |then: UnixMillis| match shard.state {
            ShardState::Closed { at, .. } => then <= at,
            ShardState::Pending | ShardState::Open | ShardState::Closing => true,
        };
        match self {
            Wanted::All => true,
            Wanted::After(id) => id < shard.id,
            Wanted::AtLatest => !matches!(shard.state, ShardState::Closed { .. }),
            Wanted::At(then) => {
                shard.created <= then.max(horizon) && closed_after(then.max(horizon))
            }
            Wanted::From(then) => closed_after(then),
        }
    }
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let filter_type = request.shard_filter.as_ref().and_then(|filter| {
        let text = checks.required("shardFilter.type", filter.r#type.as_deref());
        checks.one_of("shardFilter.type", text, &FILTER_TYPES)
    });
    let Request { stream_name, stream_arn, next_token, max_results, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.range("maxResults", *max_results, 1..=PAGE_MAX);
    checks.length("nextToken", next_token.as_deref(), 1..=1_048_576);
    let start = request.exclusive_start_shard_id.as_deref();
    checks.length("exclusiveStartShardId", start, 1..=128);
    checks.finish()?;

    let (stream, wanted, mut after) = match next_token {
        Some(token) => continue_listing(api, &request, token)?,
        None => {
            let stream = api.stream(&named.resolve_for(api)?)?;
            check_created(api, &stream, request.stream_creation_timestamp)?;
            let wanted = wanted(api, &stream, &request, filter_type)?;
            (stream, wanted, None)
        }
    };
    after = after.max(start.map(parse_shard_id).transpose()?);

    let horizon = horizon(&stream, api.now());
    let mut shards = listed_shards(&stream, api.now())
        .filter(|shard| wanted.wants(shard, horizon) && after < Some(shard.id));
    let limit = usize::try_from(max_results.unwrap_or(PAGE_MAX)).unwrap_or(usize::MAX);
    let page: Vec<&model::Shard> = shards.by_ref().take(limit.min(LIST_SHARDS_MAX)).collect();
    let next_token = shards.next().and(page.last()).map(|last| {
        let parts = [stream.name.as_str(), &last.id.to_string(), &wanted.to_text()];
        token::encode_page(&parts, api.now())
    });
    Ok(Shape(Output { shards: page.into_iter().map(Shard::of).collect(), next_token }))
}

type Listing = (std::sync::Arc<Stream>, Wanted, Option<ShardId>);

/// A token stands for everything the first request said.
fn continue_listing(api: &Api, request: &Request, text: &str) -> Result<Listing, ApiError> {
    let says_more = request.stream_name.is_some()
        || request.exclusive_start_shard_id.is_some()
        || request.stream_creation_timestamp.is_some()
        || request.shard_filter.is_some();
    if says_more {
        return Err(invalid_argument(
            "NextToken and StreamName, StreamCreationTimestamp, ExclusiveStartShardId or ShardFilter cannot be provided together.",
        ));
    }
    let [name, shard, wanted] = decode_token(api, text)?;
    let name: StreamName = name.parse().map_err(|_| invalid_token(text))?;
    let shard = shard.parse().map_err(|_| invalid_token(text))?;
    let wanted = Wanted::from_text(&wanted).ok_or_else(|| invalid_token(text))?;
    Ok((api.stream(&name)?, wanted, Some(shard)))
}

fn wanted(
    api: &Api,
    stream: &Stream,
    request: &Request,
    filter_type: Option<FilterType>,
) -> Result<Wanted, ApiError> {
    let filter = request.shard_filter.as_ref();
    let timestamp = || {
        let at = filter.and_then(|filter| filter.timestamp).map(|at| at.0);
        at.ok_or_else(|| invalid_argument("ShardFilter needs a Timestamp for this type."))
    };
    match filter_type {
        None | Some(FilterType::FromTrimHorizon) => Ok(Wanted::All),
        Some(FilterType::AtLatest) => Ok(Wanted::AtLatest),
        Some(FilterType::AtTrimHorizon) => {
            Ok(Wanted::At(horizon(stream, api.now()).max(stream.created)))
        }
        Some(FilterType::AtTimestamp) => Ok(Wanted::At(timestamp()?)),
        Some(FilterType::FromTimestamp) => Ok(Wanted::From(timestamp()?)),
        Some(FilterType::AfterShardId) => {
            let id = filter.and_then(|filter| filter.shard_id.as_deref());
            let id =
                id.ok_or_else(|| invalid_argument("ShardFilter needs a ShardId for this type."))?;
            Ok(Wanted::After(parse_shard_id(id)?))
        }
    }
}

impl Wanted {
    fn to_text(self) -> String {
        match self {
            Wanted::All => "all".to_owned(),
            Wanted::After(id) => format!("after {id}"),
            Wanted::AtLatest => "latest".to_owned(),
            Wanted::At(then) => format!("at {then}"),
            Wanted::From(then) => format!("from {then}"),
        }
    }

    fn from_text(text: &str) -> Option<Wanted> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "all" => Some(Wanted::All),
            "after" => rest.parse().ok().map(Wanted::After),
            "latest" => Some(Wanted::AtLatest),
            "at" => rest.parse().ok().map(|then| Wanted::At(UnixMillis(then))),
            "from" => rest.parse().ok().map(|then| Wanted::From(UnixMillis(then))),
            _ => None,
        }
    }
}
