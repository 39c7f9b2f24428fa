//! A shard's throughput limits: AWS's when a stream asks for them, none by default.

use std::time::Duration;

use model::UnixMillis;
use model::limits;
use model::quota::TokenBucket;

use crate::handle::Throughput;

/// Buckets for what one shard may write and read. Not replicated: a new leader starts with full ones.
pub(crate) struct Throttle {
    aws: Option<AwsLimits>,
}

/// As AWS: 1 MiB/s or 1,000 records/s written; 2 MiB/s and 5 calls/s read by all shared readers.
struct AwsLimits {
    write_bytes: TokenBucket,
    write_records: TokenBucket,
    read_bytes: TokenBucket,
    read_calls: TokenBucket,
}

impl Throttle {
    pub(crate) fn new(throughput: Throughput, now: UnixMillis) -> Throttle {
        let one_second = |rate| TokenBucket::new(rate, rate, now);
        let aws = match throughput {
            Throughput::Unlimited => None,
            Throughput::Aws => Some(AwsLimits {
                write_bytes: one_second(limits::SHARD_WRITE_BYTES_PER_SECOND),
                write_records: one_second(limits::SHARD_WRITE_RECORDS_PER_SECOND),
                read_bytes: one_second(limits::SHARD_READ_BYTES_PER_SECOND),
                read_calls: one_second(limits::SHARD_READ_CALLS_PER_SECOND),
            }),
        };
        Throttle { aws }
    }

    /// Takes room for a write, or says when to come back.
    pub(crate) fn write(
        &mut self,
        bytes: u64,
        records: u64,
        now: UnixMillis,
    ) -> Result<(), Duration> {
        let Some(limits) = &mut self.aws else {
            return Ok(());
        };
        limits.write_records.check(records, now)?;
        limits.write_bytes.try_take(bytes, now)?;
        limits.write_records.try_take(records, now)
    }

    /// Takes room for a call to read, or says when to come back. What it returned is charged with
    /// [`read_done`](Self::read_done), so that after 10 MiB the next call waits 5 seconds, as in AWS.
    pub(crate) fn read(&mut self, now: UnixMillis) -> Result<(), Duration> {
        let Some(limits) = &mut self.aws else {
            return Ok(());
        };
        limits.read_bytes.check(1, now)?;
        limits.read_calls.try_take(1, now)
    }

    /// Charges what a read returned.
    pub(crate) fn read_done(&mut self, bytes: u64, now: UnixMillis) {
        if let Some(limits) = &mut self.aws {
            limits.read_bytes.charge(bytes, now);
        }
    }
}
