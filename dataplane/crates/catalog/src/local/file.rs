//! The JSON form of a stream on disk. These types mirror the model, so that the model can change
//! without changing what was stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auth::Policy;

use model::{
    Boundaries, HashKey, HashKeyRange, Offset, Shard, ShardId, ShardMap, ShardState, StreamName,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::store::Stored;
use crate::stream::{
    Account, Commitment, Consumer, DataKey, Distribution, Mode, Phase, RecordLimits, Settings,
    ShardMetric, Stream, StreamUid,
};

/// 2 brought consumers, encryption, policies, modes and shard metrics. 1 is read as if it had none.
const FORMAT: u32 = 2;
const FORMAT_OLDEST: u32 = 1;

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

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
    #[serde(default)]
    on_demand: bool,
    #[serde(default)]
    auto_distribution: bool,
    #[serde(default)]
    warm_mib_per_second: Option<u32>,
    /// By their CloudWatch names.
    #[serde(default)]
    shard_metrics: Vec<String>,
    /// The number of one of `data_keys`.
    #[serde(default)]
    encryption: Option<u32>,
    #[serde(default)]
    data_keys: Vec<DataKeyFile>,
    tags: BTreeMap<String, String>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    consumers: BTreeMap<String, ConsumerFile>,
    /// Starting hash keys, decimal: JSON numbers end at 2^53 for many readers.
    desired: Vec<String>,
    next_shard: u32,
    shards: Vec<ShardFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataKeyFile {
    number: u32,
    key_id: String,
    /// Base64.
    wrapped: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerFile {
    created_ms: u64,
    tags: BTreeMap<String, String>,
    policy: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountFile {
    format: u32,
    version: u64,
    commitment: Option<CommitmentFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitmentFile {
    started_ms: u64,
    ended_ms: Option<u64>,
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

impl Stored for Stream {
    fn name(&self) -> &StreamName {
        &self.name
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Stream, String> {
        decode(bytes)
    }
}

fn encode(stream: &Stream) -> Vec<u8> {
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
        on_demand: stream.settings.mode == Mode::OnDemand,
        auto_distribution: stream.settings.distribution == Distribution::Auto,
        warm_mib_per_second: stream.settings.warm_mib_per_second,
        shard_metrics: stream.settings.shard_metrics.iter().map(|m| m.name().to_owned()).collect(),
        encryption: stream.settings.encryption,
        data_keys: stream.data_keys.iter().map(encode_data_key).collect(),
        tags: stream.tags.clone(),
        policy: stream.policy.as_ref().map(|policy| policy.text().to_owned()),
        consumers: stream
            .consumers
            .iter()
            .map(|(name, consumer)| (name.to_string(), encode_consumer(consumer)))
            .collect(),
        desired: stream.desired.starting().iter().map(HashKey::to_string).collect(),
        next_shard: stream.shards.next_id(),
        shards: stream.shards.shards().iter().map(encode_shard).collect(),
    };
    serde_json::to_vec_pretty(&file).expect("plain data has a JSON form")
}

/// The stream, or what is wrong.
fn decode(bytes: &[u8]) -> Result<Stream, String> {
    // A newer one may have members that this does not know: its number says so best.
    let FormatOnly { format } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check_format(format)?;
    let file: StreamFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let data_keys =
        file.data_keys.into_iter().map(decode_data_key).collect::<Result<Vec<_>, _>>()?;
    let is_known = |number| data_keys.iter().any(|key| key.number == number);
    if let Some(number) = file.encryption.filter(|number| !is_known(*number)) {
        return Err(format!("encryption: there is no data key {number}"));
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
            mode: if file.on_demand { Mode::OnDemand } else { Mode::Provisioned },
            distribution: match file.auto_distribution {
                true => Distribution::Auto,
                false => Distribution::UserPartitionKey,
            },
            warm_mib_per_second: file.warm_mib_per_second,
            shard_metrics: decode_shard_metrics(&file.shard_metrics)?,
            encryption: file.encryption,
        },
        data_keys,
        tags: file.tags,
        policy: decode_policy(file.policy)?,
        consumers: file
            .consumers
            .into_iter()
            .map(|(name, consumer)| {
                let name = name.parse().map_err(|error| format!("consumers: {error}"))?;
                Ok((name, decode_consumer(consumer)?))
            })
            .collect::<Result<_, String>>()?,
        desired: Boundaries::new(desired).map_err(|error| format!("desired: {error}"))?,
        shards: ShardMap::from_parts(shards, file.next_shard)
            .map_err(|error| format!("shards: {error}"))?,
    })
}

pub(super) fn encode_account(account: &Account) -> Vec<u8> {
    let commitment = account.commitment.map(|commitment| CommitmentFile {
        started_ms: commitment.started.0,
        ended_ms: commitment.ended.map(|ended| ended.0),
    });
    let file = AccountFile { format: FORMAT, version: account.version, commitment };
    serde_json::to_vec_pretty(&file).expect("plain data has a JSON form")
}

/// The account, or what is wrong.
pub(super) fn decode_account(bytes: &[u8]) -> Result<Account, String> {
    let file: AccountFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check_format(file.format)?;
    let commitment = file.commitment.map(|commitment| Commitment {
        started: UnixMillis(commitment.started_ms),
        ended: commitment.ended_ms.map(UnixMillis),
    });
    Ok(Account { version: file.version, commitment })
}

fn check_format(format: u32) -> Result<(), String> {
    if (FORMAT_OLDEST..=FORMAT).contains(&format) {
        return Ok(());
    }
    Err(format!("format {format}, but this version reads {FORMAT_OLDEST} to {FORMAT}"))
}

fn encode_consumer(consumer: &Consumer) -> ConsumerFile {
    ConsumerFile {
        created_ms: consumer.created.0,
        tags: consumer.tags.clone(),
        policy: consumer.policy.as_ref().map(|policy| policy.text().to_owned()),
    }
}

fn decode_consumer(file: ConsumerFile) -> Result<Consumer, String> {
    let created = UnixMillis(file.created_ms);
    Ok(Consumer { created, tags: file.tags, policy: decode_policy(file.policy)? })
}

fn decode_policy(text: Option<String>) -> Result<Option<Arc<Policy>>, String> {
    let policy = text.map(|text| Policy::parse(&text)).transpose();
    Ok(policy.map_err(|error| format!("policy: {error}"))?.map(Arc::new))
}

fn encode_data_key(key: &DataKey) -> DataKeyFile {
    DataKeyFile {
        number: key.number,
        key_id: key.key_id.clone(),
        wrapped: base64_simd::STANDARD.encode_to_string(&key.wrapped),
    }
}

fn decode_data_key(file: DataKeyFile) -> Result<DataKey, String> {
    let wrapped = base64_simd::STANDARD.decode_to_vec(&file.wrapped);
    let wrapped = wrapped.map_err(|_| format!("data key {}: invalid base64", file.number))?;
    Ok(DataKey { number: file.number, key_id: file.key_id, wrapped })
}

fn decode_shard_metrics(names: &[String]) -> Result<BTreeSet<ShardMetric>, String> {
    let find = |name: &String| {
        let found = ShardMetric::NAMES.iter().find(|(known, _)| known == name);
        found.map(|(_, metric)| *metric).ok_or_else(|| format!("shard_metrics: no metric {name}"))
    };
    names.iter().map(find).collect()
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
