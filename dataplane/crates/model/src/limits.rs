//! AWS's numbers, as of its service model and guide. Where a limit does not exist to protect us, a
//! stream obeys it only with `limits: AWS`.

use std::time::Duration;

/// The largest record of a stream that does not say otherwise, data and partition key.
pub const RECORD_KIB_DEFAULT: u32 = 1_024;
/// The least a stream can ask for.
pub const RECORD_KIB_MIN: u32 = 1_024;
/// The most a stream can ask for.
pub const RECORD_KIB_MAX: u32 = 10_240;
/// Records of one PutRecords.
pub const PUT_RECORDS_MAX: usize = 500;
/// Data and partition keys of one PutRecords.
pub const PUT_RECORDS_BYTES_MAX: usize = 10 << 20;
/// Records of one GetRecords.
pub const GET_RECORDS_MAX: usize = 10_000;
/// Data of one GetRecords.
pub const GET_RECORDS_BYTES_MAX: usize = 10 << 20;
/// How long a shard iterator can be used.
pub const SHARD_ITERATOR_LIFETIME: Duration = Duration::from_secs(300);
/// How long the token of a listing can be used.
pub const NEXT_TOKEN_LIFETIME: Duration = Duration::from_secs(300);
/// The least, and the default, retention.
pub const RETENTION_HOURS_MIN: u32 = 24;
/// The most.
pub const RETENTION_HOURS_MAX: u32 = 8_760;
/// Characters of a partition key.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Tags of one stream.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag's key.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Open shards of one stream.
pub const SHARDS_MAX: u32 = 10_000;
/// Shards of one ListShards reply.
pub const LIST_SHARDS_MAX: usize = 1_000;
/// What one shard takes, data and partition keys.
pub const SHARD_WRITE_BYTES_PER_SECOND: u64 = 1 << 20;
/// What one shard takes.
pub const SHARD_WRITE_RECORDS_PER_SECOND: u64 = 1_000;
/// What one shard gives to all its shared readers.
pub const SHARD_READ_BYTES_PER_SECOND: u64 = 2 << 20;
/// GetRecords calls on one shard.
pub const SHARD_READ_CALLS_PER_SECOND: u64 = 5;
/// Registered consumers of one stream with AWS's limits.
pub const AWS_CONSUMERS_MAX: usize = 20;
/// Registered consumers of any other stream: bounds what the catalog keeps of one.
pub const CONSUMERS_MAX: usize = 1_000;
/// How long a subscription lasts.
pub const SUBSCRIPTION_LIFETIME: Duration = Duration::from_secs(300);
/// How long a subscription cannot be taken over.
pub const SUBSCRIPTION_EXCLUSIVE: Duration = Duration::from_secs(5);
/// What one shard gives to each of its subscribers.
pub const SUBSCRIBER_BYTES_PER_SECOND: u64 = 2 << 20;
