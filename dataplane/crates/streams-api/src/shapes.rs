//! Shapes that several operations answer with, letter for letter as in the service model.

use aws_protocol::{Blob, Timestamp};
use catalog::Stream;
use model::{Offset, SequenceNumber, Shard as ModelShard, ShardState, UnixMillis};
use serde::Serialize;
use shard::ReadReply;

use crate::api::Api;
use crate::errors::phase_name;
use crate::mode::mode_name;
use crate::monitoring;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    starting_sequence_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shard {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

impl HashKeyRange {
    fn of(range: model::HashKeyRange) -> HashKeyRange {
        HashKeyRange {
            starting_hash_key: range.starting().to_string(),
            ending_hash_key: range.ending().to_string(),
        }
    }
}

impl Shard {
    pub(crate) fn of(shard: &ModelShard) -> Shard {
        let ending = match shard.state {
            ShardState::Closed { at, .. } => {
                Some(SequenceNumber::ending(shard.id, shard.created, at).to_string())
            }
            ShardState::Pending | ShardState::Open | ShardState::Closing => None,
        };
        Shard {
            shard_id: shard.id.to_string(),
            parent_shard_id: shard.parent.map(|id| id.to_string()),
            adjacent_parent_shard_id: shard.adjacent_parent.map(|id| id.to_string()),
            hash_key_range: HashKeyRange::of(shard.range),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: SequenceNumber::starting(shard.id, shard.created)
                    .to_string(),
                ending_sequence_number: ending,
            },
        }
    }
}

/// The shards a client is shown, by id: not those to come, and not those all of whose records have
/// expired.
pub(crate) fn listed_shards(stream: &Stream, now: UnixMillis) -> impl Iterator<Item = &ModelShard> {
    let horizon = horizon(stream, now);
    stream.shards.shards().iter().filter(move |shard| match shard.state {
        ShardState::Pending => false,
        ShardState::Open | ShardState::Closing => true,
        ShardState::Closed { at, .. } => horizon <= at,
    })
}

/// Records that arrived before this have expired.
pub(crate) fn horizon(stream: &Stream, now: UnixMillis) -> UnixMillis {
    let hours = u64::from(stream.settings.retention_hours);
    now.saturating_sub(std::time::Duration::from_secs(hours * 3600))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChildShard {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: HashKeyRange,
}

impl ChildShard {
    pub(crate) fn of(shard: &ModelShard) -> ChildShard {
        let parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
        ChildShard {
            shard_id: shard.id.to_string(),
            parent_shards: parents.map(|id| id.to_string()).collect(),
            hash_key_range: HashKeyRange::of(shard.range),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record<'a> {
    pub(crate) sequence_number: String,
    pub(crate) approximate_arrival_timestamp: Timestamp,
    pub(crate) data: Blob<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) partition_key: &'a str,
    pub(crate) encryption_type: &'static str,
}

/// The records that were read, from an offset on.
pub(crate) fn records<'a>(
    shard: &ModelShard,
    read: &'a ReadReply,
    from: Offset,
) -> impl Iterator<Item = Record<'a>> {
    let (id, created) = (shard.id, shard.created);
    let wanted = read.records().filter(move |(record, _)| from <= record.offset);
    wanted.map(move |(record, timestamp)| Record {
        sequence_number: SequenceNumber::of_record(id, created, record.offset, timestamp)
            .to_string(),
        approximate_arrival_timestamp: Timestamp(timestamp),
        data: Blob::from(record.data),
        partition_key: record.partition_key,
        encryption_type: encryption_type(record.is_encrypted),
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamModeDetails {
    stream_mode: &'static str,
}

impl StreamModeDetails {
    pub(crate) fn of(stream: &Stream) -> StreamModeDetails {
        StreamModeDetails { stream_mode: mode_name(&stream.settings) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EnhancedMetrics {
    shard_level_metrics: Vec<&'static str>,
}

impl EnhancedMetrics {
    pub(crate) fn of(stream: &Stream) -> [EnhancedMetrics; 1] {
        [EnhancedMetrics { shard_level_metrics: monitoring::names(&stream.settings.shard_metrics) }]
    }
}

/// Whether records put now are encrypted, and with which key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Encryption {
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

impl Encryption {
    pub(crate) fn of(stream: &Stream) -> Encryption {
        let number = stream.settings.encryption;
        let key = stream.data_keys.iter().find(|key| Some(key.number) == number);
        Encryption {
            encryption_type: encryption_type(number.is_some()),
            key_id: key.map(|key| key.key_id.clone()),
        }
    }
}

/// As the service model's EncryptionType.
pub(crate) fn encryption_type(is_encrypted: bool) -> &'static str {
    if is_encrypted { "KMS" } else { "NONE" }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamSummary {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: StreamModeDetails,
    stream_creation_timestamp: Timestamp,
}

impl StreamSummary {
    pub(crate) fn of(api: &Api, stream: &Stream) -> StreamSummary {
        StreamSummary {
            stream_name: stream.name.to_string(),
            stream_arn: api.arn(&stream.name),
            stream_status: phase_name(stream.phase),
            stream_mode_details: StreamModeDetails::of(stream),
            stream_creation_timestamp: Timestamp(stream.created),
        }
    }
}
