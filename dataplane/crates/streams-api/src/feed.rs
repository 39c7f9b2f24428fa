//! One read of a shard's tip for all its subscribers.
//!
//! ```text
//!  shard ── read once ──► Feed ── broadcast ──► subscriber, subscriber, ...
//!                          └── each encoding once, by the first that needs it
//! ```
//!
//! A subscriber that is behind reads for itself until it has caught up. One that falls behind the
//! feed reads for itself again: a slow one holds nobody up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aws_protocol::Encoding;
use bytes::Bytes;
use model::limits::RECORD_KIB_MAX;
use model::{Offset, UnixMillis};
use shard::{ReadError, ReadReply, ReadRequest, ShardHandle, Unavailable};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use crate::event_memory::EventMemory;
use crate::shards::ShardKey;

/// Payload of one delivery: as AWS, whose events are of at most about a megabyte.
pub(crate) const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// Records of one delivery.
const DELIVERY_RECORDS_MAX: usize = 10_000;
/// Deliveries that a subscriber may be behind before it reads for itself.
const DELIVERIES_HELD: usize = 4;
/// After a failed read, how long until the next.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How often a feed without news looks whether anybody still listens.
const IDLE_CHECK: Duration = Duration::from_secs(30);

/// What a payload grows to at the most: itself, as base64 in an event, and what stands around records.
const COPIES_OF_A_PAYLOAD: usize = 3;

/// Records on their way to subscribers.
pub(crate) struct Delivery {
    pub(crate) read: ReadReply,
    /// The offset behind its last record.
    pub(crate) end: Offset,
    /// When its last record arrived.
    pub(crate) last: UnixMillis,
    /// The events that carry all of it.
    json: OnceLock<Bytes>,
    cbor: OnceLock<Bytes>,
    /// Given back when the last event has been sent.
    memory: Arc<OwnedSemaphorePermit>,
}

/// An event and the memory it is allowed.
struct Event {
    bytes: Bytes,
    _memory: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Event {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Delivery {
    /// What follows `from`; or, when nothing does, where the next record will be: later when all that
    /// is left has expired. Waits for memory, of which `record_bytes_max` says how much one record may
    /// need.
    pub(crate) async fn read(
        handle: &ShardHandle,
        from: Offset,
        record_bytes_max: usize,
        memory: &EventMemory,
    ) -> Result<Result<Delivery, Offset>, ReadError> {
        let kib = |payload: usize| (payload * COPIES_OF_A_PAYLOAD).div_ceil(1024);
        let most = u32::try_from(kib(record_bytes_max.max(DELIVERY_BYTES_MAX)));
        let mut reserved = memory.acquire(most.unwrap_or(u32::MAX)).await;
        let request = ReadRequest {
            from,
            bytes_max: DELIVERY_BYTES_MAX,
            records_max: DELIVERY_RECORDS_MAX,
            wait: Duration::ZERO,
            charged: false,
        };
        let read = handle.read(request).await?;
        let mut payload = 0;
        let mut last = None;
        for (record, timestamp) in read.records() {
            // Beside key and data an event has a sequence number, a time and names.
            payload += record.partition_key.len() + record.data.len() + 256;
            last = Some((record.offset, timestamp));
        }
        let Some((offset, timestamp)) = last else {
            return Ok(Err(read.from().max(from)));
        };
        let kept = reserved.split(kib(payload).min(reserved.num_permits()));
        Ok(Ok(Delivery {
            end: offset.advance(1),
            last: timestamp,
            read,
            json: OnceLock::new(),
            cbor: OnceLock::new(),
            memory: Arc::new(kept.unwrap_or(reserved)),
        }))
    }

    /// The event in this encoding, made by `encode` if it is the first time.
    pub(crate) fn event(&self, encoding: Encoding, encode: impl FnOnce() -> Bytes) -> Bytes {
        let cell = match encoding {
            Encoding::Json => &self.json,
            Encoding::Cbor => &self.cbor,
        };
        let allowed = || Event { bytes: encode(), _memory: Arc::clone(&self.memory) };
        cell.get_or_init(|| Bytes::from_owner(allowed())).clone()
    }
}

/// The feeds of the shards that have subscribers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Feeds {
    by_shard: Arc<Mutex<HashMap<ShardKey, broadcast::Sender<Arc<Delivery>>>>>,
    /// For events that have not been sent.
    pub(crate) memory: EventMemory,
}

impl Feeds {
    /// Feeds whose events together take no more than this, but at least one largest event.
    pub(crate) fn new(bytes_max: usize) -> Feeds {
        let largest = (RECORD_KIB_MAX as usize) * COPIES_OF_A_PAYLOAD;
        let memory = EventMemory::new((bytes_max / 1024).max(largest));
        Feeds { by_shard: Arc::default(), memory }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShardKey, broadcast::Sender<Arc<Delivery>>>> {
        self.by_shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the shard's feed, which begins at `next` if nobody has joined it before: every record that is
    /// committed from now on comes, or a gap is seen.
    pub(crate) fn join(
        &self,
        key: ShardKey,
        handle: &ShardHandle,
        next: Offset,
        record_bytes_max: usize,
    ) -> broadcast::Receiver<Arc<Delivery>> {
        let mut by_shard = self.lock();
        if let Some(sender) = by_shard.get(&key) {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(DELIVERIES_HELD);
        by_shard.insert(key, sender.clone());
        let feed = Feed {
            feeds: self.clone(),
            key,
            handle: handle.clone(),
            sender,
            next: handle.progress().commit_end.max(next),
            record_bytes_max,
        };
        tokio::spawn(feed.run());
        receiver
    }
}

struct Feed {
    feeds: Feeds,
    key: ShardKey,
    handle: ShardHandle,
    sender: broadcast::Sender<Arc<Delivery>>,
    next: Offset,
    record_bytes_max: usize,
}

impl Feed {
    async fn run(mut self) {
        loop {
            self.handle.wait_beyond(self.next, IDLE_CHECK).await;
            if self.forget_without_listeners() {
                return;
            }
            // Nothing to read: no memory is taken.
            if self.handle.progress().commit_end <= self.next {
                // If no record comes any more, listeners notice by themselves.
                if self.is_over() {
                    break;
                }
                continue;
            }
            let (max, memory) = (self.record_bytes_max, &self.feeds.memory);
            match Delivery::read(&self.handle, self.next, max, memory).await {
                Ok(Ok(delivery)) => {
                    self.next = delivery.end;
                    // Nobody listens: seen the next time round.
                    let _ = self.sender.send(Arc::new(delivery));
                }
                Ok(Err(next)) => self.next = next,
                Err(ReadError::Unavailable(Unavailable::Stopped)) => break,
                // The disk fails: it is given time, listeners wait.
                Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
            }
        }
        self.feeds.lock().remove(&self.key);
    }

    fn is_over(&self) -> bool {
        let progress = self.handle.progress();
        let is_stopped = progress.unavailable == Some(Unavailable::Stopped);
        is_stopped || progress.machine.closed_at().is_some()
    }

    /// Under the lock of `join`, so that nobody joins a feed that has just ended.
    fn forget_without_listeners(&self) -> bool {
        let mut by_shard = self.feeds.lock();
        let is_alone = self.sender.receiver_count() == 0;
        if is_alone {
            by_shard.remove(&self.key);
        }
        is_alone
    }
}
