//! A stream as the catalog knows it.

use std::collections::BTreeMap;

use model::{Boundaries, ShardMap, StreamName, UnixMillis};

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
}

/// Which throughput a shard imposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordLimits {
    /// None.
    Unlimited,
    /// AWS's.
    Aws,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            retention_hours: model::limits::RETENTION_HOURS_MIN,
            record_kib_max: model::limits::RECORD_KIB_DEFAULT,
            limits: RecordLimits::Unlimited,
            retention_bytes_per_shard: None,
        }
    }
}
