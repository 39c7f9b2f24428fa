//! A stream as the catalog knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use auth::Policy;
use model::{Boundaries, ConsumerName, ShardMap, StreamName, UnixMillis};

/// Tells a stream from all others, also from earlier ones of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamUid(pub u64);

/// A stream: what it should be, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name, unique in the catalog.
    pub name: StreamName,
    /// Its identity.
    pub uid: StreamUid,
    /// Grows with every stored change.
    pub version: u64,
    /// When it was created.
    pub created: UnixMillis,
    /// Where it is in its life.
    pub phase: Phase,
    /// What its owner chose.
    pub settings: Settings,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its resource policy.
    pub policy: Option<Arc<Policy>>,
    /// Those who are registered to be sent its records.
    pub consumers: BTreeMap<ConsumerName, Consumer>,
    /// The keys its records have been encrypted with, in the order they came into use.
    pub data_keys: Vec<DataKey>,
    /// Where its shards should start.
    pub desired: Boundaries,
    /// Its shards.
    pub shards: ShardMap,
}

/// A stream's life, as AWS's StreamStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its shards are being made.
    Creating,
    /// In service.
    Active,
    /// In service, while its shards change.
    Updating,
    /// On its way out.
    Deleting,
}

/// What can be chosen about a stream, apart from its shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long records can be read.
    pub retention_hours: u32,
    /// The largest record, data and partition key.
    pub record_kib_max: u32,
    /// Whether shards impose AWS's throughput.
    pub limits: RecordLimits,
    /// The oldest records of a shard go while it is larger than this.
    pub retention_bytes_per_shard: Option<u64>,
    /// Who decides how many shards there are.
    pub mode: Mode,
    /// Who decides which shard a record goes to.
    pub distribution: Distribution,
    /// The throughput that shards are made ready for though none has been seen yet, in MiB/s.
    pub warm_mib_per_second: Option<u32>,
    /// What is measured shard by shard.
    pub shard_metrics: BTreeSet<ShardMetric>,
    /// The data key that new records are encrypted with, by its number.
    pub encryption: Option<u32>,
}

/// Who decides how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The owner.
    Provisioned,
    /// The load.
    OnDemand,
}

/// Who decides which shard a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The producer, by its partition key.
    UserPartitionKey,
    /// We, by the load of the shards.
    Auto,
}

/// A metric of each shard, by its CloudWatch name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are CloudWatch's and documented there")]
pub enum ShardMetric {
    IncomingBytes,
    IncomingRecords,
    OutgoingBytes,
    OutgoingRecords,
    WriteProvisionedThroughputExceeded,
    ReadProvisionedThroughputExceeded,
    IteratorAgeMilliseconds,
}

impl ShardMetric {
    /// All of them, by name.
    pub const NAMES: [(&'static str, ShardMetric); 7] = [
        ("IncomingBytes", ShardMetric::IncomingBytes),
        ("IncomingRecords", ShardMetric::IncomingRecords),
        ("OutgoingBytes", ShardMetric::OutgoingBytes),
        ("OutgoingRecords", ShardMetric::OutgoingRecords),
        ("WriteProvisionedThroughputExceeded", ShardMetric::WriteProvisionedThroughputExceeded),
        ("ReadProvisionedThroughputExceeded", ShardMetric::ReadProvisionedThroughputExceeded),
        ("IteratorAgeMilliseconds", ShardMetric::IteratorAgeMilliseconds),
    ];

    /// Its CloudWatch name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// A registered consumer: it is sent records instead of asking for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    /// When it was registered.
    pub created: UnixMillis,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its resource policy.
    pub policy: Option<Arc<Policy>>,
}

/// A key that records are encrypted with, itself encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    /// Its number in the stream, from 1; batches name it by this.
    pub number: u32,
    /// The master key it is encrypted with, as StartStreamEncryption named it.
    pub key_id: String,
    /// The key, encrypted.
    pub wrapped: Vec<u8>,
}

/// What holds for all streams together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Grows with every stored change.
    pub version: u64,
    /// The commitment of on-demand Advantage, if there ever was one.
    pub commitment: Option<Commitment>,
}

/// A commitment to a least throughput (as AWS MinimumThroughputBillingCommitment).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// When it was entered.
    pub started: UnixMillis,
    /// When it ended, or will end; `None` while nobody asked for its end.
    pub ended: Option<UnixMillis>,
}

/// Which throughput a shard imposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordLimits {
    /// None.
    Unlimited,
    /// AWS's.
    Aws,
}

impl Stream {
    /// What binds the stream's data keys to it.
    #[must_use]
    pub fn key_context(&self) -> [u8; 8] {
        self.uid.0.to_le_bytes()
    }

    /// A stream whose shards have yet to be made, with nothing else about it.
    #[must_use]
    pub fn new(
        name: StreamName,
        uid: StreamUid,
        created: UnixMillis,
        desired: Boundaries,
        settings: Settings,
    ) -> Stream {
        Stream {
            name,
            uid,
            version: 0,
            created,
            phase: Phase::Creating,
            settings,
            tags: BTreeMap::new(),
            policy: None,
            consumers: BTreeMap::new(),
            data_keys: Vec::new(),
            shards: ShardMap::new(&desired, created),
            desired,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            retention_hours: model::limits::RETENTION_HOURS_MIN,
            record_kib_max: model::limits::RECORD_KIB_DEFAULT,
            limits: RecordLimits::Unlimited,
            retention_bytes_per_shard: None,
            mode: Mode::Provisioned,
            distribution: Distribution::UserPartitionKey,
            warm_mib_per_second: None,
            shard_metrics: BTreeSet::new(),
            encryption: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_by_their_number() {
        for (name, metric) in ShardMetric::NAMES {
            assert_eq!(metric.name(), name);
            assert_eq!(format!("{metric:?}"), name);
        }
    }
}
