//! The `stream` destination: another Stream.
//!
//! Records of one partition key stay in order, as long as the Stream is not resharded between two
//! attempts: what could not be put is put again before anything that comes after it.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use delivery_core::objects::search::record_id;
use delivery_core::objects::{Refusal, RefusedRecord};
use model::{DeliveryRecord, limits};

use super::{Attempt, Batch, Failure, Sink};

/// Put at a time: what one shard takes in a second.
const PUT_BYTES_MAX: usize = 1 << 20;
const PUT_RECORDS_MAX: usize = 1_000;
/// A shard that has taken all it takes in a second is asked again after this time, so often.
const BUSY_PAUSE: Duration = Duration::from_millis(200);
const BUSY_TIMES_MAX: u32 = 150;

/// A record for a Stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// Decides which shard: 1 to 256 characters.
    pub partition_key: String,
    /// What is stored.
    pub data: Bytes,
}

/// Why a record is not in a Stream. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// It is larger than the Stream's records may be.
    TooLarge(String),
    /// Its shard has taken all it takes in a second.
    Busy(String),
    /// The Stream is not there, or not in service.
    Unavailable(String),
}

/// Records on their way: what became of each, in their order.
pub type StreamPuts<'a> = Pin<Box<dyn Future<Output = Vec<Result<(), StreamError>>> + Send + 'a>>;

/// The Streams that records can be put into, wherever their shards are.
pub trait Streams: Send + Sync {
    /// Puts records into a Stream; there are as many answers. Those of one shard are put in their
    /// order, all or none.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open which records are put.
    fn put<'a>(&'a self, stream: &'a str, records: &'a [StreamRecord]) -> StreamPuts<'a>;
}

/// Brings records to a Stream.
pub struct StreamSink {
    name: String,
    streams: Arc<dyn Streams>,
}

impl StreamSink {
    /// To the Stream of that name.
    #[must_use]
    pub fn new(name: String, streams: Arc<dyn Streams>) -> StreamSink {
        StreamSink { name, streams }
    }

    async fn attempt(&self, batch: &Batch) -> Attempt {
        let mut attempt = Attempt::default();
        for part in parts(&batch.records) {
            let end = part.end;
            self.put_part(&batch.records, part, &mut attempt).await;
            if let Some((_, failure)) = attempt.again.last() {
                let failure = failure.clone();
                attempt.repeat(end..batch.records.len(), &failure);
                break;
            }
        }
        attempt
    }

    async fn put_part(&self, all: &[DeliveryRecord], part: Range<usize>, attempt: &mut Attempt) {
        let mut left: Vec<usize> = Vec::with_capacity(part.len());
        let mut records = Vec::with_capacity(part.len());
        for at in part {
            let partition_key = partition_key(&all[at]);
            if limits::PARTITION_KEY_CHARS_MAX < partition_key.chars().count() {
                let what = "the partition key has more than 256 characters";
                attempt.refused.push((at, Failure::new("Stream.InvalidPartitionKey", what)));
                continue;
            }
            left.push(at);
            records.push(StreamRecord { partition_key, data: all[at].data.clone() });
        }
        for times in 0.. {
            let mut busy = Vec::new();
            let mut is_away = false;
            for (index, answer) in self.streams.put(&self.name, &records).await.iter().enumerate() {
                let at = left[index];
                match answer {
                    Ok(()) => {}
                    Err(StreamError::TooLarge(why)) => {
                        attempt.refused.push((at, Failure::new("Stream.RecordTooLarge", why)));
                    }
                    Err(StreamError::Busy(why)) => busy.push((index, why.clone())),
                    Err(StreamError::Unavailable(why)) => {
                        is_away = true;
                        attempt.again.push((at, Failure::new("Stream.Unavailable", why)));
                    }
                }
            }
            if busy.is_empty() {
                break;
            }
            if is_away || BUSY_TIMES_MAX <= times {
                let busy = busy.iter();
                let busy =
                    busy.map(|(index, why)| (left[*index], Failure::new("Stream.Busy", why)));
                attempt.again.extend(busy);
                break;
            }
            left = busy.iter().map(|(index, _)| left[*index]).collect();
            records = busy.iter().map(|(index, _)| records[*index].clone()).collect();
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        attempt.again.sort_unstable_by_key(|(at, _)| *at);
    }
}

/// What is put at a time.
fn parts(records: &[DeliveryRecord]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |record: &&DeliveryRecord| {
            bytes += record.data.len() + record.partition_key.len();
            bytes <= PUT_BYTES_MAX
        };
        let left = records.get(start..).filter(|left| !left.is_empty())?;
        let count = left.iter().take(PUT_RECORDS_MAX).take_while(fits).count().max(1);
        start += count;
        Some(start - count..start)
    })
}

/// The record's own; one that is made of where it came from for a record that has none, so that it goes
/// to the same shard when it is put again.
fn partition_key(record: &DeliveryRecord) -> String {
    if record.partition_key.is_empty() {
        return record_id(&record.origin);
    }
    String::from_utf8_lossy(&record.partition_key).into_owned()
}

impl Sink for StreamSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        Box::pin(self.attempt(batch))
    }

    fn document(&self, _: &DeliveryRecord, _: &Failure, about: RefusedRecord<'_>) -> Vec<u8> {
        RefusedRecord { refusal: Refusal::Stream, ..about }.line()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
