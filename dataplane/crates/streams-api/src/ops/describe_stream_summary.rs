//! As AWS DescribeStreamSummary: the stream without its shards.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::errors::phase_name;
use crate::mode::{WarmThroughput, distribution_name};
use crate::shapes::{Encryption, EnhancedMetrics, StreamModeDetails};
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    stream_description_summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    retention_period_hours: u32,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: [EnhancedMetrics; 1],
    #[serde(flatten)]
    encryption: Encryption,
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: u32,
    record_distribution_strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_throughput: Option<WarmThroughput>,
    channel_count: usize,
    queue_count: usize,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn } = request;
    let stream = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.finish()?;
    let stream = api.stream(&stream.resolve_for(api)?)?;
    Ok(Shape(Output {
        stream_description_summary: Summary {
            stream_name: stream.name.to_string(),
            stream_arn: api.arn(&stream.name),
            stream_status: phase_name(stream.phase),
            stream_mode_details: StreamModeDetails::of(&stream),
            retention_period_hours: stream.settings.retention_hours,
            stream_creation_timestamp: Timestamp(stream.created),
            enhanced_monitoring: EnhancedMetrics::of(&stream),
            encryption: Encryption::of(&stream),
            open_shard_count: stream.shards.owners().len(),
            consumer_count: stream.consumers.len(),
            max_record_size_in_kib: stream.settings.record_kib_max,
            record_distribution_strategy: distribution_name(&stream.settings),
            warm_throughput: WarmThroughput::of(&stream),
            channel_count: 0,
            queue_count: 0,
        },
    }))
}
