//! From records to shards, across reshards.
//!
//! A record belongs to the shard that owns its hash key at the moment. When that shard turns out to
//! be closed, the record waits, for a bounded time, for the children to open, and goes to the one that
//! owns its key: a client does not notice a reshard, and records of one key keep their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_protocol::{ApiError, Blob};
use catalog::{Distribution, Mode, ShardMetric, Stream};
use futures_util::future::join_all;
use model::{HashKey, SequenceNumber, ShardId, StreamName};
use shard::AppendError;
use shard_log::RecordBuffer;
use tokio::time::Instant;

use crate::api::Api;
use crate::errors::{self, invalid_argument};
use crate::shards::ShardKey;

/// How long a record waits for a reshard to open the shard it belongs to.
const RESHARD_WAIT_MAX: Duration = Duration::from_secs(10);

/// Of 2^128: its multiples spread evenly over the ring, however many of them there are.
const GOLDEN_RATIO: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

/// A record on its way to a shard.
pub struct Outgoing<'a> {
    /// Decides which shard.
    pub hash_key: HashKey,
    /// Stored with it; may be empty.
    pub partition_key: &'a str,
    /// What is stored.
    pub data: &'a Blob<'a>,
}

/// What its producer said about where a record belongs.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    pub(crate) partition_key: Option<&'a str>,
    pub(crate) explicit_hash_key: Option<&'a str>,
}

/// Where a record went.
#[derive(Clone, Debug)]
pub struct Put {
    /// The shard.
    pub shard: ShardId,
    /// The place in it.
    pub sequence_number: SequenceNumber,
}

impl Outgoing<'_> {
    /// Its size, as AWS counts it.
    pub(crate) fn bytes(&self) -> usize {
        self.partition_key.len() + self.data.byte_count()
    }
}

impl Api {
    /// The hash key of a record. `missing` is told when there is neither a key nor a stream that needs
    /// none; the hash key then means nothing.
    pub(crate) fn hash_key(
        &self,
        stream: &Stream,
        chosen: Chosen<'_>,
        missing: impl FnOnce(),
    ) -> Result<HashKey, ApiError> {
        match (stream.settings.distribution, chosen.explicit_hash_key, chosen.partition_key) {
            (Distribution::Auto, ..) => Ok(self.next_hash_key(stream)),
            (Distribution::UserPartitionKey, _, None) => {
                missing();
                Ok(HashKey::MIN)
            }
            (Distribution::UserPartitionKey, None, Some(key)) => Ok(HashKey::of(key)),
            (Distribution::UserPartitionKey, Some(text), Some(_)) => text.parse().map_err(|_| {
                invalid_argument(format!(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
                ))
            }),
        }
    }

    /// A hash key of each shard in turn, so that all get as many records, and another one in it each
    /// time, so that a shard that is split for its load is split in the middle.
    fn next_hash_key(&self, stream: &Stream) -> HashKey {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let mut owners = stream.shards.owners();
        let at = turn % owners.len().max(1);
        let Some(range) = owners.nth(at).map(|shard| shard.range) else {
            return HashKey::MIN;
        };
        let width = range.ending().0 - range.starting().0;
        let step = (turn as u128).wrapping_mul(GOLDEN_RATIO);
        HashKey(range.starting().0 + width.checked_add(1).map_or(step, |width| step % width))
    }

    /// Puts records; the answers are in the order of the records. Records of one shard are appended
    /// as one piece, in their order. Asks for no right: whoever calls this has.
    ///
    /// # Errors
    /// When the stream is not in service.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open which records are put.
    pub async fn put(
        &self,
        name: &StreamName,
        records: &[Outgoing<'_>],
    ) -> Result<Vec<Result<Put, ApiError>>, ApiError> {
        let deadline = Instant::now() + RESHARD_WAIT_MAX;
        let mut answers: Vec<Option<Result<Put, ApiError>>> = vec![None; records.len()];
        let mut waiting: Vec<usize> = (0..records.len()).collect();
        loop {
            let stream = self.serving_stream(name)?;
            let by_shard = route(&stream, records, &waiting)
                .ok_or_else(|| errors::internal(&"a stream in service owns no ring"))?;
            let appends = by_shard.iter().map(|(shard, indices)| {
                self.append(&stream, *shard, indices.iter().map(|at| &records[*at]))
            });
            waiting.clear();
            for ((shard, indices), appended) in by_shard.iter().zip(join_all(appends).await) {
                match appended {
                    Ok(puts) => {
                        indices.iter().zip(puts).for_each(|(at, put)| answers[*at] = Some(Ok(put)))
                    }
                    Err(AppendError::Closed) => waiting.extend(indices),
                    Err(error) => {
                        let error = self.refused(*shard, name, &error);
                        indices.iter().for_each(|at| answers[*at] = Some(Err(error.clone())));
                    }
                }
            }
            if waiting.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            waiting.sort_unstable();
            if !self.wait_for_reshard(&stream, &records[waiting[0]], deadline).await {
                let error = errors::reshard_takes_long(name, self.identity());
                waiting.iter().for_each(|at| answers[*at] = Some(Err(error.clone())));
                return Ok(answers.into_iter().flatten().collect());
            }
        }
    }

    async fn append<'a>(
        &self,
        stream: &Stream,
        shard: ShardId,
        records: impl Iterator<Item = &'a Outgoing<'a>> + Clone,
    ) -> Result<Vec<Put>, AppendError> {
        let key = ShardKey { stream: stream.uid, shard };
        // Between the catalog's word and the shard's start there is a moment: as for a reshard.
        let handle = self.options.shards.get(key).ok_or(AppendError::Closed)?;
        if stream.settings.mode == Mode::OnDemand {
            let sizes = records.clone().map(|record| (record.hash_key, record.bytes()));
            self.options.heat.add(key, sizes);
        }
        let size: usize = records.clone().map(Outgoing::bytes).sum();
        let bytes = records.clone().map(|record| {
            RecordBuffer::encoded_bytes(record.partition_key, record.data.byte_count())
        });
        let mut buffer = RecordBuffer::with_capacity(bytes.sum());
        for record in records {
            let Outgoing { partition_key, data, .. } = record;
            buffer.push_with(partition_key, data.byte_count(), |payload| data.append_to(payload));
        }
        let count = buffer.record_count();
        let metrics = &self.options.metrics;
        let appended = handle.append(buffer).await.inspect_err(|error| {
            if matches!(error, AppendError::Throttled(_)) {
                let metric = ShardMetric::WriteProvisionedThroughputExceeded;
                metrics.shard(stream, shard, metric, u64::from(count));
            }
        })?;
        metrics.shard(stream, shard, ShardMetric::IncomingBytes, size as u64);
        metrics.shard(stream, shard, ShardMetric::IncomingRecords, u64::from(count));
        let created = stream.shards.get(shard).map_or(stream.created, |shard| shard.created);
        let put = |number: u32| {
            let offset = appended.first.advance(u64::from(number));
            let sequence_number =
                SequenceNumber::of_record(shard, created, offset, appended.timestamp);
            Put { shard, sequence_number }
        };
        Ok((0..count).map(put).collect())
    }

    /// Waits until another shard owns the record's key, or the stream is gone.
    async fn wait_for_reshard(
        &self,
        before: &Arc<Stream>,
        record: &Outgoing<'_>,
        deadline: Instant,
    ) -> bool {
        let shard = route_one(before, record);
        let moved = || {
            let now = self.options.catalog.get(&before.name);
            now.and_then(|stream| route_one(&stream, record)) != shard
        };
        self.wait_for(deadline.saturating_duration_since(Instant::now()), moved).await
    }

    fn refused(&self, shard: ShardId, name: &StreamName, error: &AppendError) -> ApiError {
        match error {
            AppendError::Throttled(_) => errors::rate_exceeded(shard, name, self.identity()),
            AppendError::Unavailable(why) => errors::unavailable(shard, why),
            AppendError::NoKey(_) => errors::key_error(error),
            AppendError::Closed | AppendError::TooManyConsumers | AppendError::NotHeld => {
                errors::internal(error)
            }
        }
    }
}

/// The records' indices by the shards they belong to.
fn route(
    stream: &Stream,
    records: &[Outgoing<'_>],
    indices: &[usize],
) -> Option<BTreeMap<ShardId, Vec<usize>>> {
    let mut by_shard: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
    for at in indices {
        by_shard.entry(route_one(stream, &records[*at])?).or_default().push(*at);
    }
    Some(by_shard)
}

fn route_one(stream: &Stream, record: &Outgoing<'_>) -> Option<ShardId> {
    stream.shards.route(record.hash_key).map(|owner| owner.id)
}
