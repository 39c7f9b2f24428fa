//! A record on its way to a destination.

use bytes::Bytes;

use crate::{Offset, SequenceNumber, ShardId, UnixMillis};

/// A record that is being delivered: one that was put, or one of several that it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// What is delivered.
    pub data: Bytes,
    /// Its source record's partition key, UTF-8; empty when its producer gave none.
    pub partition_key: Bytes,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a record came from. Unique among the records of a delivery stream and the same each time the
/// source is read, so ids that are made of it tell a record delivered twice from two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The shard.
    pub shard: ShardId,
    /// The place in the shard.
    pub offset: Offset,
    /// Counts the records that one source record held, from 0.
    pub sub: u32,
    /// The source record's sequence number.
    pub sequence_number: SequenceNumber,
    /// When the source record arrived.
    pub arrival: UnixMillis,
}
