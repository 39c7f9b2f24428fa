//! One subscription: the events of a shard for one consumer, one after the other.
//!
//! It ends at the end of a closed shard, after five minutes, when another call takes it over, or when
//! stream or consumer are deleted. The caller asks for the next event when the last one is on its way.

use std::pin::Pin;
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
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::api::Api;
use crate::errors;
use crate::event_memory::Holding;
use crate::feed::Delivery;
use crate::position::was_given;
use crate::resource::ConsumerId;
use crate::shapes::{ChildShard, Record, records};
use crate::shards::ShardKey;
use crate::subscriptions::{Ended, Lease};

/// An event at least this often: clients give up a connection that is silent for longer (KCL after
/// 35 seconds).
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Between the close of a shard and the catalog's word of it.
const CLOSED_PAUSE: Duration = Duration::from_millis(50);
/// After a failed read, how long until the next.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Events on their way to a client.
pub struct Events {
    /// They, as they come.
    pub stream: Pin<Box<dyn EventStream<Item = Bytes> + Send>>,
    /// Told when the client does not read and others need its memory: it is to be hung up on.
    pub hang_up: oneshot::Receiver<()>,
}

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

type Live = broadcast::Receiver<Arc<Delivery>>;
type CatchingUp = Pin<Box<dyn Future<Output = Result<Found, ApiError>> + Send>>;

/// What catching up came to.
enum Found {
    Records(Arc<Delivery>),
    /// Nothing is behind `next`; what comes there is in the feed.
    Tip {
        next: Offset,
        live: Live,
    },
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
    /// When the record before that arrived, if it was sent.
    last: Option<UnixMillis>,
    live: Option<Live>,
    /// Reading what is behind `next`, while there is no `live`.
    catching_up: Option<CatchingUp>,
    holding: Holding,
    throttle: Option<TokenBucket>,
    deadline: Instant,
    heartbeat: Instant,
    /// Whether an event has been sent.
    has_begun: bool,
    is_over: bool,
}

/// The events of a subscription that has just begun, the initial response first.
pub(crate) fn events(api: &Api, encoding: Encoding, begin: Begin) -> Events {
    let Begin { consumer, stream, shard, handle, from, lease } = begin;
    let now = Instant::now();
    let has_limits = stream.settings.limits == RecordLimits::Aws;
    let rate = SUBSCRIBER_BYTES_PER_SECOND;
    let (holding, hang_up) = api.feeds.memory.hold();
    let subscription = Subscription {
        encoding,
        consumer,
        last: None,
        changes: api.options.catalog.changes(),
        throttle: has_limits.then(|| TokenBucket::new(rate, rate, api.now())),
        api: api.clone(),
        stream,
        shard,
        handle,
        lease,
        next: from,
        live: None,
        catching_up: None,
        holding,
        deadline: now + SUBSCRIPTION_LIFETIME,
        heartbeat: now + HEARTBEAT,
        has_begun: false,
        is_over: false,
    };
    let first = stream::once(std::future::ready(initial_response(encoding)));
    let rest = stream::unfold(subscription, |mut subscription| async move {
        let event = subscription.next_event().await?;
        Some((event, subscription))
    });
    Events { stream: Box::pin(first.chain(rest)), hang_up }
}

/// What made a waiting subscription go on.
enum Woken {
    CaughtUp(Result<Found, ApiError>),
    Delivered(Result<Arc<Delivery>, RecvError>),
    Changed,
    Heartbeat,
    Ended(Ended),
}

impl Subscription {
    /// The next event, when there is one; `None` when there will be none.
    async fn next_event(&mut self) -> Option<Bytes> {
        self.holding.read();
        let event = if self.is_over { None } else { self.find_event().await };
        self.has_begun = true;
        self.holding.sent();
        event
    }

    async fn find_event(&mut self) -> Option<Bytes> {
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
            if self.live.is_none() && self.catching_up.is_none() {
                self.catching_up = Some(Box::pin(self.catch_up()));
            }
            match self.wait().await {
                Woken::CaughtUp(Ok(Found::Records(delivery))) => {
                    return self.deliver(&delivery).await;
                }
                Woken::CaughtUp(Ok(Found::Tip { next, live })) => {
                    self.next = self.next.max(next);
                    self.live = Some(live);
                    if !self.has_begun {
                        // It is told at once that there is nothing yet.
                        self.heartbeat = Instant::now();
                    }
                }
                Woken::CaughtUp(Err(error)) => return Some(self.fail(&error)),
                Woken::Delivered(Ok(delivery)) => {
                    if self.next < delivery.read.from() {
                        // It fell behind, or has just joined: what is missing is read first.
                        self.live = None;
                    } else if self.next < delivery.end {
                        return self.deliver(&delivery).await;
                    }
                }
                Woken::Delivered(Err(RecvError::Lagged(_))) => self.live = None,
                Woken::Delivered(Err(RecvError::Closed)) => {
                    self.live = None;
                    tokio::time::sleep(CLOSED_PAUSE).await;
                }
                Woken::Changed => {}
                Woken::Heartbeat => return Some(self.heartbeat()),
                Woken::Ended(ended) => return self.end_early(ended),
            }
        }
    }

    fn end_early(&mut self, ended: Ended) -> Option<Bytes> {
        match ended {
            Ended::Stopping => None,
            Ended::TakenOver => Some(self.fail(&ApiError::new(
                ErrorCode::ResourceInUseException,
                "Another active subscription exists for this consumer: it took over.",
            ))),
        }
    }

    /// Stream, consumer and shard as they are now.
    fn look_at_catalog(&mut self) -> Result<(), ApiError> {
        self.changes.mark_unchanged();
        // Most changes are of other streams, and there may be thousands of subscriptions.
        let current = self.api.options.catalog.get(&self.consumer.stream);
        if current.is_some_and(|current| Arc::ptr_eq(&current, &self.stream)) {
            return Ok(());
        }
        let stream = self.api.consumer(&self.consumer)?.stream;
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
    fn catch_up(&self) -> impl Future<Output = Result<Found, ApiError>> + Send + use<> {
        let record_bytes_max = (self.stream.settings.record_kib_max as usize) << 10;
        let (feeds, handle, mut next) = (self.api.feeds.clone(), self.handle.clone(), self.next);
        let key = ShardKey { stream: self.stream.uid, shard: self.shard.id };
        async move {
            let mut joined = None;
            loop {
                let found = match was_given(&handle, next).await {
                    Ok(true) => {
                        Delivery::read(&handle, next, record_bytes_max, &feeds.memory).await
                    }
                    Ok(false) => Ok(Err(next)),
                    Err(error) => Err(error),
                };
                match found {
                    Ok(Ok(delivery)) => return Ok(Found::Records(Arc::new(delivery))),
                    // First join, then look again: what came in between was not in the feed.
                    Ok(Err(from)) => {
                        next = from;
                        if let Some(live) = joined.take() {
                            return Ok(Found::Tip { next, live });
                        }
                        joined = Some(feeds.join(key, &handle, next, record_bytes_max));
                    }
                    Err(ReadError::Unavailable(Unavailable::Stopped)) => {
                        return Err(errors::unavailable(key.shard, &Unavailable::Stopped));
                    }
                    Err(error @ ReadError::NoKey(_)) => return Err(errors::key_error(&error)),
                    // The shard comes back by itself; until then heartbeats tell that we are there.
                    Err(_) => {
                        joined = None;
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                }
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let catching_up = async {
            match &mut self.catching_up {
                Some(found) => found.await,
                None => std::future::pending().await,
            }
        };
        let live = async {
            match &mut self.live {
                Some(live) => live.recv().await,
                None => std::future::pending().await,
            }
        };
        let wake = self.deadline.min(self.heartbeat);
        let woken = tokio::select! {
            // First, so that one who never catches up is told too.
            biased;
            ended = self.lease.ended() => Woken::Ended(ended),
            found = catching_up => Woken::CaughtUp(found),
            delivered = live => Woken::Delivered(delivered),
            _ = self.changes.changed() => Woken::Changed,
            () = tokio::time::sleep_until(wake) => Woken::Heartbeat,
        };
        if matches!(woken, Woken::CaughtUp(_)) {
            self.catching_up = None;
        }
        woken
    }

    async fn deliver(&mut self, delivery: &Delivery) -> Option<Bytes> {
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
                tokio::select! {
                    biased;
                    ended = self.lease.ended() => return self.end_early(ended),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        self.next = delivery.end;
        self.last = Some(delivery.last);
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
        let is_whole = from == delivery.read.from();
        Some(if is_whole { delivery.event(self.encoding, encode) } else { encode() })
    }

    /// An event without records: how far we are, and that we are still there.
    fn heartbeat(&mut self) -> Bytes {
        self.heartbeat = Instant::now() + HEARTBEAT;
        let is_behind = self.next < self.handle.progress().commit_end;
        let behind = if is_behind { self.api.now().since(self.last()) } else { Duration::ZERO };
        self.encode(&Event {
            records: Vec::new(),
            continuation_sequence_number: Some(self.continuation()),
            millis_behind_latest: millis(behind),
            child_shards: Vec::new(),
        })
    }

    /// When the record before `next` arrived; for one who was sent none yet, the shard's last.
    fn last(&self) -> UnixMillis {
        self.last.unwrap_or_else(|| self.handle.progress().tip_timestamp)
    }

    /// A number to subscribe again AFTER: that of the last record sent, or the shard's first.
    fn continuation(&self) -> String {
        let Shard { id, created, .. } = self.shard;
        let number = match self.next.0.checked_sub(1) {
            None => SequenceNumber::starting(id, created),
            Some(before) => SequenceNumber::of_record(id, created, Offset(before), self.last()),
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
            // And nobody is told what it was.
            _ => ApiError::new(ErrorCode::InternalFailureException, "Internal service failure."),
        };
        exception(self.encoding, &error)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
