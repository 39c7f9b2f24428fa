//! The `splunk` destination: events, by the HTTP event collector, acknowledged by the indexers.
//!
//! A reply to a request says only that the collector has read it. Records are delivered when the
//! collector is asked for the request's acknowledgment and says that they are indexed.

mod judge;
mod request;

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use delivery_core::objects::{Refusal, RefusedRecord};
use model::{Clock, DeliveryRecord};
use operator_api::delivery_stream::{HecEndpointType, SplunkDestination};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::judge::{Polled, Posted};
use self::request::Cookies;
use super::client::{Connector, Reply, TransferError, secret_header, send};
use super::{Attempt, Batch, BatchId, Failure, Sink};
use crate::secrets::Secrets;
use delivery_core::guid::guid;

const ACK_TIMEOUT_SECONDS: u32 = 300;
/// In which a request of a few MiB is read on any link worth having.
const TIMEOUT: Duration = Duration::from_secs(180);
/// An answer about acknowledgments is short, and asked for again.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_FIRST: Duration = Duration::from_secs(1);
/// As Splunk recommends for many acknowledgments.
const POLL_MOST: Duration = Duration::from_secs(10);
/// Requests of one attempt: finding the records that spoil a batch may take many.
const POSTS_MAX: usize = 256;

/// Brings records to Splunk.
pub struct SplunkSink {
    of: SplunkDestination,
    connector: Connector,
    clock: Arc<dyn Clock>,
    times: Times,
    /// Of the first batch's id: Splunk keeps acknowledgments apart by it.
    channel: OnceLock<String>,
    /// Whether the token turned out to give no acknowledgments.
    is_unacknowledged: AtomicBool,
}

struct Times {
    acknowledged: Duration,
    poll_first: Duration,
}

impl SplunkSink {
    /// For that collector.
    #[must_use]
    pub fn new(
        of: SplunkDestination,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> SplunkSink {
        let seconds = of.hec_acknowledgment_timeout_seconds.unwrap_or(ACK_TIMEOUT_SECONDS);
        let acknowledged = Duration::from_secs(seconds.into());
        SplunkSink::with_times(of, secrets, clock, Times { acknowledged, poll_first: POLL_FIRST })
    }

    fn with_times(
        of: SplunkDestination,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        times: Times,
    ) -> SplunkSink {
        SplunkSink {
            connector: Connector::new(of.tls.clone(), secrets, TIMEOUT),
            clock,
            times,
            channel: OnceLock::new(),
            is_unacknowledged: AtomicBool::new(false),
            of,
        }
    }

    async fn attempt(&self, batch: &Batch) -> Attempt {
        let call = Call { sink: self, channel: self.channel(batch.id) };
        let mut attempt = Attempt::default();
        let mut cookies = Cookies::default();
        if let Some(failure) = call.refuses_acknowledgment().await {
            return Attempt::all_again(batch.records.len(), &failure);
        }
        let sent = call.post_all(&batch.records, &mut attempt, &mut cookies).await;
        call.await_acknowledgments(sent, &mut attempt, &cookies).await;
        attempt
    }

    fn channel(&self, first: BatchId) -> &str {
        self.channel.get_or_init(|| guid(first.0))
    }

    fn is_event(&self) -> bool {
        self.of.hec_endpoint_type == Some(HecEndpointType::Event)
    }
}

/// Records that wait for an acknowledgment.
struct Sent {
    ack_id: u64,
    records: Range<usize>,
}

/// An attempt under way.
struct Call<'a> {
    sink: &'a SplunkSink,
    channel: &'a str,
}

impl Call<'_> {
    /// With a token that gives no acknowledgments each attempt would store the records once more and
    /// never know. After the first one, the collector is asked before it is given any.
    async fn refuses_acknowledgment(&self) -> Option<Failure> {
        if !self.sink.is_unacknowledged.load(Ordering::Relaxed) {
            return None;
        }
        let reply = self.poll(&[0], &Cookies::default()).await.ok()?;
        match judge::polled(&reply) {
            Polled::Never(failure) => Some(failure),
            Polled::Acknowledged(_) | Polled::NotNow => {
                self.sink.is_unacknowledged.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    /// Posts the records, and takes apart requests that some record spoils.
    async fn post_all(
        &self,
        records: &[DeliveryRecord],
        attempt: &mut Attempt,
        cookies: &mut Cookies,
    ) -> Vec<Sent> {
        let mut waiting = VecDeque::from(self.parts(records, attempt));
        let mut sent = Vec::new();
        let mut posts = 0;
        while let Some(part) = waiting.pop_front() {
            if records[part.clone()].iter().all(|record| record.data.is_empty()) {
                continue; // There is nothing to deliver.
            }
            posts += 1;
            let failure = match self.post(&records[part.clone()], cookies).await {
                Posted::Accepted(ack_id) => {
                    sent.push(Sent { ack_id, records: part });
                    continue;
                }
                Posted::Spoiled(failure) if part.len() == 1 => {
                    attempt.refuse(part, &failure);
                    continue;
                }
                Posted::Spoiled(_) if posts < POSTS_MAX => {
                    let middle = part.start + part.len() / 2;
                    waiting.push_front(middle..part.end);
                    waiting.push_front(part.start..middle);
                    continue;
                }
                Posted::Spoiled(failure) => failure,
                Posted::Unacknowledged(failure) => {
                    self.sink.is_unacknowledged.store(true, Ordering::Relaxed);
                    failure
                }
                Posted::Again(failure, pause) => {
                    attempt.pause = pause;
                    failure
                }
            };
            attempt.repeat(part, &failure);
            waiting.drain(..).for_each(|part| attempt.repeat(part, &failure));
        }
        sent
    }

    /// Requests by their records. Records that no event endpoint reads are refused unsent.
    fn parts(&self, records: &[DeliveryRecord], attempt: &mut Attempt) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let mut start = 0;
        for (at, record) in records.iter().enumerate() {
            if self.sink.is_event() && !request::is_events(&record.data) {
                request::parts(records, start..at, &mut parts);
                attempt.refused.push((at, judge::no_events()));
                start = at + 1;
            }
        }
        request::parts(records, start..records.len(), &mut parts);
        parts
    }

    async fn post(&self, records: &[DeliveryRecord], cookies: &mut Cookies) -> Posted {
        let body = Bytes::from(request::body(records));
        let path = if self.sink.is_event() { "event" } else { "raw" };
        let post = self.request(path, cookies).map(|post| post.body(body));
        let reply = match post {
            Ok(post) => send(post, judge::BODY_BYTES_MAX).await,
            Err(error) => Err(error),
        };
        match reply {
            Ok(reply) => {
                cookies.learn(&reply.headers);
                judge::posted(&reply, self.sink.is_event(), self.sink.clock.now())
            }
            Err(error) => Posted::Again(judge::failure(&error), None),
        }
    }

    fn request(&self, path: &str, cookies: &Cookies) -> Result<RequestBuilder, TransferError> {
        let SplunkDestination { hec_endpoint, hec_token_ref, .. } = &self.sink.of;
        let endpoint = hec_endpoint.trim_end_matches('/');
        let url = format!("{endpoint}/services/collector/{path}?channel={}", self.channel);
        let mut authorization = b"Splunk ".to_vec();
        authorization.extend(self.sink.connector.secret(hec_token_ref)?);
        let mut request = self
            .sink
            .connector
            .client()?
            .post(url)
            .header(AUTHORIZATION, secret_header(&authorization)?)
            .header("X-Splunk-Request-Channel", self.channel);
        if let Some(cookies) = cookies.header() {
            request = request.header(COOKIE, cookies);
        }
        Ok(request)
    }

    /// Asks until all are acknowledged or it has taken too long.
    async fn await_acknowledgments(
        &self,
        mut sent: Vec<Sent>,
        attempt: &mut Attempt,
        cookies: &Cookies,
    ) {
        let Times { acknowledged, poll_first } = self.sink.times;
        let deadline = Instant::now() + acknowledged;
        let mut wait = poll_first;
        while !sent.is_empty() {
            sleep_until((Instant::now() + wait).min(deadline)).await;
            wait = (wait * 2).min(POLL_MOST);
            let ids: Vec<u64> = sent.iter().map(|sent| sent.ack_id).collect();
            // One more time at the end, but not for longer than that takes when all is well.
            let until = (Instant::now() + POLL_TIMEOUT).min(deadline + poll_first);
            let polled = match timeout_at(until, self.poll(&ids, cookies)).await {
                Ok(Ok(reply)) => judge::polled(&reply),
                Ok(Err(_)) | Err(_) => Polled::NotNow,
            };
            let failure = match polled {
                Polled::Acknowledged(ids) => {
                    sent.retain(|sent| !ids.contains(&sent.ack_id));
                    judge::not_acknowledged()
                }
                Polled::NotNow => judge::not_acknowledged(),
                Polled::Never(failure) => {
                    sent.drain(..).for_each(|sent| attempt.repeat(sent.records, &failure));
                    return;
                }
            };
            if deadline <= Instant::now() {
                sent.drain(..).for_each(|sent| attempt.repeat(sent.records, &failure));
            }
        }
    }

    async fn poll(&self, ack_ids: &[u64], cookies: &Cookies) -> Result<Reply, TransferError> {
        let poll = self.request("ack", cookies)?;
        let poll = poll.header(CONTENT_TYPE, "application/json").body(request::acks(ack_ids));
        send(poll, judge::BODY_BYTES_MAX).await
    }
}

impl Sink for SplunkSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        Box::pin(self.attempt(batch))
    }

    fn document(&self, _: &DeliveryRecord, _: &Failure, about: RefusedRecord<'_>) -> Vec<u8> {
        RefusedRecord { refusal: Refusal::Splunk, ..about }.line()
    }
}

#[cfg(test)]
mod tests;
