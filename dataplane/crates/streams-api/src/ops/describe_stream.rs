//! As AWS DescribeStream: the stream and a page of its shards.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use model::{ShardId, limits};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::errors::{invalid_argument, phase_name};
use crate::shapes::{Encryption, EnhancedMetrics, Shard, StreamModeDetails, listed_shards};
use crate::stream_ref::StreamRef;

/// Shards of one page, unless the request says otherwise.
const PAGE_DEFAULT: i64 = 100;
const PAGE_MAX: i64 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    stream_description: StreamDescription,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamDescription {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    shards: Vec<Shard>,
    has_more_shards: bool,
    retention_period_hours: u32,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [EnhancedMetrics; 1],
    #[serde(flatten)]
    encryption: Encryption,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, limit, exclusive_start_shard_id } = request;
    let stream = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.range("limit", limit, 1..=PAGE_MAX);
    checks.length("exclusiveStartShardId", exclusive_start_shard_id.as_deref(), 1..=128);
    checks.finish()?;
    let after = exclusive_start_shard_id.as_deref().map(parse_shard_id).transpose()?;
    let stream = api.stream(&stream.resolve_for(api)?)?;

    // At most LIST_SHARDS_MAX at a time, however large the limit.
    let limit = usize::try_from(limit.unwrap_or(PAGE_DEFAULT)).unwrap_or(usize::MAX);
    let limit = limit.min(limits::LIST_SHARDS_MAX);
    let mut shards = listed_shards(&stream, api.now()).filter(|shard| after < Some(shard.id));
    let page = shards.by_ref().take(limit).map(Shard::of).collect();
    Ok(Shape(Output {
        stream_description: StreamDescription {
            stream_name: stream.name.to_string(),
            stream_arn: api.arn(&stream.name),
            stream_status: phase_name(stream.phase),
            stream_mode_details: StreamModeDetails::of(&stream),
            shards: page,
            has_more_shards: shards.next().is_some(),
            retention_period_hours: stream.settings.retention_hours,
            stream_creation_timestamp: Timestamp(stream.created),
            enhanced_monitoring: EnhancedMetrics::of(&stream),
            encryption: Encryption::of(&stream),
        },
    }))
}

pub(super) fn parse_shard_id(text: &str) -> Result<ShardId, ApiError> {
    text.parse().map_err(|_| invalid_argument(format!("{text} is not a shard id of this service.")))
}
