//! The JSON form of a stream on disk. These types mirror the model, so that the model can change
//! without changing what was stored.

use std::collections::BTreeMap;

use model::{
    Boundaries, HashKey, HashKeyRange, Offset, Shard, ShardId, ShardMap, ShardState, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::stream::{Phase, RecordLimits, Settings, Stream, StreamUid};

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamFile {
    format: u32,
    name: String,
    uid: u64,
    version: u64,
    created_ms: u64,
    phase: PhaseFile,
    retention_hours: u32,
    record_kib_max: u32,
    aws_limits: bool,
    retention_bytes_per_shard: Option<u64>,
    tags: BTreeMap<String, String>,
    /// Starting hash keys, decimal: JSON numbers end at 2^53 for many readers.
    desired: Vec<String>,
    next_shard: u32,
    shards: Vec<ShardFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseFile {
    Creating,
    Active,
    Updating,
    Deleting,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardFile {
    id: u32,
    starting: String,
    ending: String,
    parent: Option<u32>,
    adjacent_parent: Option<u32>,
    created_ms: u64,
    state: StateFile,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateFile {
    Pending,
    Open,
    Closing,
    Closed { at_ms: u64, end: u64 },
}

pub(super) fn encode(stream: &Stream) -> Vec<u8> {
    let file = StreamFile {
        format: FORMAT,
        name: stream.name.to_string(),
        uid: stream.uid.0,
        version: stream.version,
        created_ms: stream.created.0,
        phase: match stream.phase {
            Phase::Creating => PhaseFile::Creating,
            Phase::Active => PhaseFile::Active,
            Phase::Updating => PhaseFile::Updating,
            Phase::Deleting => PhaseFile::Deleting,
        },
        retention_hours: stream.settings.retention_hours,
        record_kib_max: stream.settings.record_kib_max,
        aws_limits: stream.settings.limits == RecordLimits::Aws,
        retention_bytes_per_shard: stream.settings.retention_bytes_per_shard,
        tags: stream.tags.clone(),
        desired: stream.desired.starting().iter().map(HashKey::to_string).collect(),
        next_shard: stream.shards.next_id(),
        shards: stream.shards.shards().iter().map(encode_shard).collect(),
    };
    serde_json::to_vec_pretty(&file).expect("plain data has a JSON form")
}

/// The stream, or what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<Stream, String> {
    let file: StreamFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("format {}, but this version reads {FORMAT}", file.format));
    }
    let shards = file.shards.iter().map(decode_shard).collect::<Result<Vec<_>, String>>()?;
    let desired = file.desired.iter().map(|key| hash_key(key)).collect::<Result<Vec<_>, _>>()?;
    Ok(Stream {
        name: file.name.parse().map_err(|error| format!("name: {error}"))?,
        uid: StreamUid(file.uid),
        version: file.version,
        created: UnixMillis(file.created_ms),
        phase: match file.phase {
            PhaseFile::Creating => Phase::Creating,
            PhaseFile::Active => Phase::Active,
            PhaseFile::Updating => Phase::Updating,
            PhaseFile::Deleting => Phase::Deleting,
        },
        settings: Settings {
            retention_hours: file.retention_hours,
            record_kib_max: file.record_kib_max,
            limits: if file.aws_limits { RecordLimits::Aws } else { RecordLimits::Unlimited },
            retention_bytes_per_shard: file.retention_bytes_per_shard,
        },
        tags: file.tags,
        desired: Boundaries::new(desired).map_err(|error| format!("desired: {error}"))?,
        shards: ShardMap::from_parts(shards, file.next_shard)
            .map_err(|error| format!("shards: {error}"))?,
    })
}

fn encode_shard(shard: &Shard) -> ShardFile {
    ShardFile {
        id: shard.id.0,
        starting: shard.range.starting().to_string(),
        ending: shard.range.ending().to_string(),
        parent: shard.parent.map(|id| id.0),
        adjacent_parent: shard.adjacent_parent.map(|id| id.0),
        created_ms: shard.created.0,
        state: match shard.state {
            ShardState::Pending => StateFile::Pending,
            ShardState::Open => StateFile::Open,
            ShardState::Closing => StateFile::Closing,
            ShardState::Closed { at, end } => StateFile::Closed { at_ms: at.0, end: end.0 },
        },
    }
}

fn decode_shard(file: &ShardFile) -> Result<Shard, String> {
    let range = HashKeyRange::new(hash_key(&file.starting)?, hash_key(&file.ending)?);
    Ok(Shard {
        id: ShardId(file.id),
        range: range
            .ok_or_else(|| format!("shard {}: the range is the wrong way round", file.id))?,
        parent: file.parent.map(ShardId),
        adjacent_parent: file.adjacent_parent.map(ShardId),
        created: UnixMillis(file.created_ms),
        state: match file.state {
            StateFile::Pending => ShardState::Pending,
            StateFile::Open => ShardState::Open,
            StateFile::Closing => ShardState::Closing,
            StateFile::Closed { at_ms, end } => {
                ShardState::Closed { at: UnixMillis(at_ms), end: Offset(end) }
            }
        },
    })
}

fn hash_key(text: &str) -> Result<HashKey, String> {
    text.parse().map_err(|error: model::ParseHashKeyError| error.to_string())
}
