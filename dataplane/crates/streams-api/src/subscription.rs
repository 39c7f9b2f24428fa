//! One subscription: the events of a shard for one consumer, one after the other.
//!
//! It ends at the end of a closed shard, after five minutes, when another call takes it over, or when
//! stream or consumer are deleted. The caller asks for the next event when the last one is on its way,
//! so a client that does not read costs nothing but its place.

use std::sync::Arc;
use std::time::Duration;

use aws_protocol::codec::encode;
use aws_protocol::event_stream::{self, exception, initial_response};
use aws_protocol::{ApiError, Encoding, ErrorCode};
use bytes::Bytes;
use catalog::{RecordLimits, ShardMetric, Stream};
use futures_util::stream::{self, Stream as EventStream, StreamExt};
use model::limits::{SUBSCRIBER_BYTES_PER_SECOND, SUBSCRIPTION_LIFETIME};
use model::quota::TokenBucket;
use model::{Offset, SequenceNumber, Shard, ShardState, UnixMillis};
use serde::Serialize;
use shard::{ReadError, ShardHandle, Unavailable};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::Api;
use crate::errors;
use crate::feed::Delivery;
use crate::resource::ConsumerId;
use crate::shapes::{ChildShard, Record, records};
use crate::shards::ShardKey;
use crate::subscriptions::{Ended, Lease};

/// An event at least this often: clients give up a connection that is silent for longer (KCL after
/// 35 seconds).
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Between the close of a shard and the catalog's word of it.
const CLOSED_PAUSE: Duration = Duration::from_millis(50);

/// Events on their way to a client.
pub type Events = std::pin::Pin<Box<dyn EventStream<Item = Bytes> + Send>>;

/// As the service model's SubscribeToShardEvent.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    records: Vec<Record<'a>>,
    /// Not there at the end of a shard, and only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_sequence_number: Option<String>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShard>,
}

/// What a subscription is made of.
pub(crate) struct Begin {
    pub(crate) consumer: ConsumerId,
    pub(crate) stream: Arc<Stream>,
    pub(crate) shard: Shard,
    pub(crate) handle: ShardHandle,
    pub(crate) from: Offset,
    pub(crate) lease: Lease,
}

struct Subscription {
    api: Api,
    encoding: Encoding,
    consumer: ConsumerId,
    stream: Arc<Stream>,
    shard: Shard,
    handle: ShardHandle,
    lease: Lease,
    changes: watch::Receiver<u64>,
    /// The offset to send next.
    next: Offset,
    /// When the record before that arrived, if it is known.
    last: UnixMillis,
    live: Option<broadcast::Receiver<Arc<Delivery>>>,
    throttle: Option<TokenBucket>,
    deadline: Instant,
    heartbeat: Instant,
    is_over: bool,
}

/// The events of a subscription that has just begun, the initial response first.
pub(crate) fn events(api: &Api, encoding: Encoding, begin: Begin) -> Events {
    let Begin { consumer, stream, shard, handle, from, lease } = begin;
    let now = Instant::now();
    let has_limits = stream.settings.limits == RecordLimits::Aws;
    let rate = SUBSCRIBER_BYTES_PER_SECOND;
    let subscription = Subscription {
        encoding,
        consumer,
        last: handle.progress().tip_timestamp,
        changes: api.options.catalog.changes(),
        throttle: has_limits.then(|| TokenBucket::new(rate, rate, api.now())),
        api: api.clone(),
        stream,
        shard,
        handle,
        lease,
        next: from,
        live: None,
        deadline: now + SUBSCRIPTION_LIFETIME,
        heartbeat: now,
        is_over: false,
    };
    let first = stream::once(std::future::ready(initial_response(encoding)));
    let rest = stream::unfold(subscription, |mut subscription| async move {
        let event = subscription.next_event().await?;
        Some((event, subscription))
    });
    Box::pin(first.chain(rest))
}

/// What made a waiting subscription go on.
enum Woken {
    Delivered(Result<Arc<Delivery>, RecvError>),
    Changed,
    Heartbeat,
    Ended(Ended),
}

impl Subscription {
    /// The next event, when there is one; `None` when there will be none.
    async fn next_event(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        loop {
            if self.deadline <= Instant::now() {
                return None;
            }
            if let Err(error) = self.look_at_catalog() {
                return Some(self.fail(&error));
            }
            if let Some(end) = self.end() {
                return Some(end);
            }
            if self.live.is_none() {
                match self.catch_up().await {
                    Ok(Some(delivery)) => return Some(self.deliver(&delivery).await),
                    Ok(None) => {}
                    Err(error) => return Some(self.fail(&error)),
                }
            }
            match self.wait().await {
                Woken::Delivered(Ok(delivery)) => {
                    if self.next < delivery.read.from() {
                        // It fell behind, or has just joined: what is missing is read first.
                        self.live = None;
                    } else if self.next < delivery.end {
                        return Some(self.deliver(&delivery).await);
                    }
                }
                Woken::Delivered(Err(RecvError::Lagged(_))) => self.live = None,
                Woken::Delivered(Err(RecvError::Closed)) => {
                    self.live = None;
                    tokio::time::sleep(CLOSED_PAUSE).await;
                }
                Woken::Changed => {}
                Woken::Heartbeat => return Some(self.heartbeat()),
                Woken::Ended(Ended::Stopping) => return None,
                Woken::Ended(Ended::TakenOver) => {
                    let error = ApiError::new(
                        ErrorCode::ResourceInUseException,
                        "Another active subscription exists for this consumer: it took over.",
                    );
                    return Some(self.fail(&error));
                }
            }
        }
    }

    /// Stream, consumer and shard as they are now.
    fn look_at_catalog(&mut self) -> Result<(), ApiError> {
        self.changes.mark_unchanged();
        let stream = self.api.consumer(&self.consumer)?.stream;
        if Arc::ptr_eq(&stream, &self.stream) {
            return Ok(());
        }
        let identity = self.api.identity();
        let stream = self.api.check_serving(stream)?;
        if stream.uid != self.stream.uid {
            return Err(errors::stream_not_found(&stream.name, identity));
        }
        let Some(shard) = stream.shards.get(self.shard.id) else {
            let shard = self.shard.id.to_string();
            return Err(errors::shard_not_found(&shard, &stream.name, identity));
        };
        self.shard = shard.clone();
        self.stream = stream;
        Ok(())
    }

    /// The last event of a closed shard, when all before it have been sent.
    fn end(&mut self) -> Option<Bytes> {
        let ShardState::Closed { end, .. } = self.shard.state else {
            return None;
        };
        if self.next < end {
            return None;
        }
        self.is_over = true;
        let children = self.stream.shards.children(self.shard.id).map(ChildShard::of).collect();
        Some(self.encode(&Event {
            records: Vec::new(),
            continuation_sequence_number: None,
            millis_behind_latest: 0,
            child_shards: children,
        }))
    }

    /// Reads what is behind `next`; joins the feed when nothing is.
    async fn catch_up(&mut self) -> Result<Option<Arc<Delivery>>, ApiError> {
        let record_bytes_max = (self.stream.settings.record_kib_max as usize) << 10;
        let feeds = &self.api.feeds;
        let key = ShardKey { stream: self.stream.uid, shard: self.shard.id };
        let mut live = None;
        loop {
            match Delivery::read(&self.handle, self.next, record_bytes_max, &feeds.memory).await {
                Ok(Some(delivery)) => return Ok(Some(Arc::new(delivery))),
                // First join, then look again: what came in between was not in the feed.
                Ok(None) if live.is_none() => {
                    live = Some(feeds.join(key, &self.handle, record_bytes_max));
                }
                Ok(None) => break,
                Err(ReadError::Unavailable(Unavailable::Stopped)) => {
                    return Err(errors::unavailable(self.shard.id, &Unavailable::Stopped));
                }
                Err(error @ ReadError::NoKey(_)) => return Err(errors::key_error(&error)),
                // The shard comes back by itself; until then heartbeats tell that we are there.
                Err(_) => break,
            }
        }
        self.live = live;
        Ok(None)
    }

    async fn wait(&mut self) -> Woken {
        let live = async {
            match &mut self.live {
                Some(live) => live.recv().await,
                None => std::future::pending().await,
            }
        };
        let wake = self.deadline.min(self.heartbeat);
        tokio::select! {
            ended = self.lease.ended() => Woken::Ended(ended),
            delivered = live => Woken::Delivered(delivered),
            _ = self.changes.changed() => Woken::Changed,
            () = tokio::time::sleep_until(wake) => Woken::Heartbeat,
        }
    }

    async fn deliver(&mut self, delivery: &Delivery) -> Bytes {
        let from = self.next;
        let now = self.api.now();
        let mut bytes = 0;
        let mut count = 0;
        for (record, _) in delivery.read.records().filter(|(r, _)| from <= r.offset) {
            bytes += record.data.len();
            count += 1;
        }
        if let Some(throttle) = &mut self.throttle {
            let admitted = throttle.check(bytes as u64, now);
            throttle.charge(bytes as u64, now);
            if let Err(pause) = admitted {
                tokio::time::sleep(pause).await;
            }
        }
        self.next = delivery.end;
        self.last = delivery.last;
        let (metrics, shard) = (&self.api.options.metrics, self.shard.id);
        metrics.shard(&self.stream, shard, ShardMetric::OutgoingBytes, bytes as u64);
        metrics.shard(&self.stream, shard, ShardMetric::OutgoingRecords, count as u64);
        self.heartbeat = Instant::now() + HEARTBEAT;
        let behind = match delivery.read.progress.commit_end <= delivery.end {
            true => Duration::ZERO,
            false => now.since(delivery.last),
        };
        self.api.options.metrics.records_sent(&self.stream.name, count, bytes, behind);
        let encode = || {
            self.encode(&Event {
                records: records(&self.shard, &delivery.read, from).collect(),
                continuation_sequence_number: Some(self.continuation()),
                millis_behind_latest: millis(behind),
                child_shards: Vec::new(),
            })
        };
        // One that is ahead of the feed wants only part of it.
        if from == delivery.read.from() { delivery.event(self.encoding, encode) } else { encode() }
    }

    /// An event without records: how far we are, and that we are still there.
    fn heartbeat(&mut self) -> Bytes {
        self.heartbeat = Instant::now() + HEARTBEAT;
        let is_behind = self.next < self.handle.progress().commit_end;
        let behind = if is_behind { self.api.now().since(self.last) } else { Duration::ZERO };
        self.encode(&Event {
            records: Vec::new(),
            continuation_sequence_number: Some(self.continuation()),
            millis_behind_latest: millis(behind),
            child_shards: Vec::new(),
        })
    }

    /// A number to subscribe again AFTER: that of the last record sent, or the shard's first.
    fn continuation(&self) -> String {
        let Shard { id, created, .. } = self.shard;
        let number = match self.next.0.checked_sub(1) {
            None => SequenceNumber::starting(id, created),
            Some(before) => SequenceNumber::of_record(id, created, Offset(before), self.last),
        };
        number.to_string()
    }

    fn encode(&self, event: &Event<'_>) -> Bytes {
        let payload = encode(self.encoding, event);
        event_stream::event(self.encoding, "SubscribeToShardEvent", &payload)
    }

    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.is_over = true;
        // In the stream, the service model knows this name for everything inside.
        let error = match error.code {
            ErrorCode::ResourceNotFoundException
            | ErrorCode::ResourceInUseException
            | ErrorCode::KmsNotFoundException => error.clone(),
            _ => ApiError::new(ErrorCode::InternalFailure, error.message.clone()),
        };
        exception(self.encoding, &error)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
