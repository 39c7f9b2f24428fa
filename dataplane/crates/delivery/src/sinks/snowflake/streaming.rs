//! Snowpipe Streaming, by its REST interface.
//!
//! Each shard has a channel. Its rows come in order, each request with an *offset token* that says
//! where in the shard it ends. Snowflake keeps the token of what it has committed last, so whoever
//! opens the channel after a crash knows what not to send again. Opening a channel takes it from
//! whoever had it open, with all that was not committed.

mod channel;
mod judge;
mod progress;
mod session;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, DeliveryRecord, ShardId};
use operator_api::delivery_stream::SnowflakeDestination;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use self::channel::Channel;
use self::judge::{Appended, ChannelStatus};
use self::progress::{Place, Progress};
use self::session::Client;
use super::judge::NotNow;
use super::row::Rows;
use crate::secrets::Secrets;
use crate::sinks::{Attempt, Batch, Failure};

/// As Snowflake says, of which some megabytes are left to its idea of a megabyte.
const BODY_BYTES_MAX: usize = 4_000_000;
/// Requests whose rows wait to be committed together.
const PARTS_MAX: usize = 4;
/// When rows are refused nobody says which: then fewer wait together.
const CAREFUL_BODY_BYTES_MAX: usize = 1 << 20;
/// Requests of one attempt: finding the record that spoils one may take many.
const POSTS_MAX: u32 = 1_024;
/// How often a channel is opened in one attempt because it was lost.
const LOST_MAX: u32 = 3;
/// Usually it takes seconds.
const COMMIT_MAX: Duration = Duration::from_secs(120);
const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_MOST: Duration = Duration::from_secs(2);

/// Brings rows into channels.
pub(super) struct Streaming {
    client: Client,
    rows: Rows,
    clock: Arc<dyn Clock>,
    channels: Mutex<HashMap<ShardId, Arc<tokio::sync::Mutex<Channel>>>>,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    body_bytes_max: usize,
    commit_max: Duration,
    poll_first: Duration,
}

impl Streaming {
    pub(super) fn new(
        of: Arc<SnowflakeDestination>,
        rows: Rows,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Streaming {
        Streaming {
            client: Client::new(of, secrets, Arc::clone(&clock)),
            rows,
            clock,
            channels: Mutex::default(),
            limits: Limits {
                body_bytes_max: BODY_BYTES_MAX,
                commit_max: COMMIT_MAX,
                poll_first: POLL_FIRST,
            },
        }
    }

    pub(super) async fn attempt(&self, batch: &Batch) -> Attempt {
        let Some(first) = batch.records.first() else { return Attempt::default() };
        let shard = first.origin.shard;
        let mut channel = self.channel(shard).await;
        let mut call = Call {
            streaming: self,
            name: channel_name(self.rows.feed().lineage, shard),
            // Whoever does not come to its end leaves a channel that has to be opened.
            continuation: channel.continuation.take(),
            channel: &mut channel,
            records: &batch.records,
            waiting: in_order(&batch.records),
            in_flight: VecDeque::new(),
            body_bytes_max: self.limits.body_bytes_max,
            posts: 0,
            attempt: Attempt::default(),
        };
        match call.run().await {
            Ok(()) => call.channel.continuation = call.continuation.take(),
            Err(not_now) => call.give_back(&not_now),
        }
        call.attempt
    }

    async fn channel(&self, shard: ShardId) -> OwnedMutexGuard<Channel> {
        let channel = {
            let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(channels.entry(shard).or_default())
        };
        channel.lock_owned().await
    }
}

/// Snowflake says names in the case they were first said in.
fn channel_name(lineage: u128, shard: ShardId) -> String {
    format!("LEAT_{lineage:032X}_{}", shard.0)
}

/// A token says how far it has come, so nothing may come behind what it comes after.
fn in_order(records: &[DeliveryRecord]) -> VecDeque<usize> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|at| Place::of(&records[*at].origin));
    order.into()
}

/// A request with rows.
struct Part {
    records: Vec<usize>,
    body: Bytes,
    start: Place,
    progress: Progress,
}

/// Why no more rows are sent for now.
enum Stop {
    /// The channel has to be opened first.
    Lost(Failure),
    /// The attempt is over.
    NotNow(NotNow),
}

impl From<NotNow> for Stop {
    fn from(not_now: NotNow) -> Stop {
        Stop::NotNow(not_now)
    }
}

/// An attempt under way.
struct Call<'a> {
    streaming: &'a Streaming,
    name: String,
    /// What the next request is to have; `None` when the channel has to be opened.
    continuation: Option<String>,
    channel: &'a mut Channel,
    records: &'a [DeliveryRecord],
    /// Records that are to be sent, by their index.
    waiting: VecDeque<usize>,
    /// What was sent, and is not committed.
    in_flight: VecDeque<Part>,
    body_bytes_max: usize,
    posts: u32,
    attempt: Attempt,
}

impl Call<'_> {
    async fn run(&mut self) -> Result<(), NotNow> {
        let mut lost = 0;
        while !self.waiting.is_empty() {
            match self.round().await {
                Ok(()) => lost = 0,
                Err(Stop::NotNow(not_now)) => return Err(not_now),
                Err(Stop::Lost(failure)) if LOST_MAX <= lost => {
                    return Err(NotNow { failure, pause: None });
                }
                Err(Stop::Lost(_)) => {
                    lost += 1;
                    self.continuation = None;
                    self.put_back();
                }
            }
        }
        Ok(())
    }

    /// Sends some requests, and waits until their rows are committed.
    async fn round(&mut self) -> Result<(), Stop> {
        if self.continuation.is_none() {
            let opened = self.streaming.client.open(&self.name).await?;
            self.channel.opened(&opened.status, self.streaming.clock.now());
            self.continuation = Some(opened.continuation);
        }
        let parts_max = if self.channel.is_careful() { 1 } else { PARTS_MAX };
        for _ in 0..parts_max {
            let Some(part) = self.next_part() else { break };
            if let Some((part, failure)) = self.append(part).await? {
                // All that comes before is settled first: what comes after begins anew.
                self.commit().await?;
                self.continuation = None;
                self.take_apart(part, &failure);
                return Ok(());
            }
        }
        self.commit().await
    }

    /// The next rows; records that are none are refused, and those that are committed left out.
    fn next_part(&mut self) -> Option<Part> {
        let (mut records, mut body) = (Vec::new(), Vec::new());
        let is_careful = self.channel.is_careful();
        let careful_max = if is_careful { CAREFUL_BODY_BYTES_MAX } else { usize::MAX };
        let bytes_max = self.body_bytes_max.min(careful_max);
        let repeats = self.streaming.rows.feed().repeats;
        while let Some(at) = self.waiting.front().copied() {
            let record = &self.records[at];
            match self.streaming.rows.line(record) {
                // Before all else: it is refused each time it is read.
                Err(failure) => self.attempt.refused.push((at, failure)),
                Ok(_) if repeats && self.channel.has(Place::of(&record.origin)) => {}
                Ok(line) if !records.is_empty() && bytes_max < body.len() + line.len() => break,
                Ok(line) => {
                    body.extend(line);
                    records.push(at);
                }
            }
            self.waiting.pop_front();
        }
        let place = |at: &usize| Place::of(&self.records[*at].origin);
        let (first, last) = (place(records.first()?), place(records.last()?));
        let progress = self.channel.progress(first, last);
        Some(Part { records, body: body.into(), start: first, progress })
    }

    /// Sends a request; it comes back when Snowflake will not take it as it is.
    async fn append(&mut self, part: Part) -> Result<Option<(Part, Failure)>, Stop> {
        let continuation = self.continuation.take().unwrap_or_default();
        self.posts += 1;
        let (client, now) = (&self.streaming.client, self.streaming.clock.now());
        let tokens = (part.start, &part.progress);
        let sent = client.append(&self.name, &continuation, tokens, part.body.clone());
        let stop = match sent.await.map(|reply| judge::appended(&reply, now)) {
            Ok(Appended::Taken(next)) => {
                self.continuation = Some(next);
                self.in_flight.push_back(part);
                return Ok(None);
            }
            Ok(Appended::Spoiled(failure)) if self.posts < POSTS_MAX => {
                return Ok(Some((part, failure)));
            }
            Ok(Appended::Lost(failure)) => Stop::Lost(failure),
            Ok(Appended::Spoiled(failure)) => Stop::NotNow(NotNow { failure, pause: None }),
            Ok(Appended::NotNow(not_now)) | Err(not_now) => Stop::NotNow(not_now),
        };
        self.in_flight.push_back(part);
        Err(stop)
    }

    /// Half as much is tried next, until the record is found that will never be taken.
    fn take_apart(&mut self, part: Part, failure: &Failure) {
        if let [at] = part.records[..] {
            self.attempt.refused.push((at, failure.clone()));
            self.channel.has_gap();
            self.body_bytes_max = self.streaming.limits.body_bytes_max;
            return;
        }
        self.body_bytes_max = part.body.len() / 2;
        part.records.iter().rev().for_each(|at| self.waiting.push_front(*at));
    }

    /// Asks until all rows that were sent are committed, or it has taken too long.
    async fn commit(&mut self) -> Result<(), Stop> {
        let Limits { commit_max, poll_first, .. } = self.streaming.limits;
        let deadline = Instant::now() + commit_max;
        let mut wait = poll_first;
        while !self.in_flight.is_empty() {
            sleep(wait).await;
            wait = (wait * 2).min(POLL_MOST);
            let status = self.streaming.client.status(&self.name).await;
            let is_late = deadline <= Instant::now();
            match status {
                Ok(Some(status)) => {
                    self.settle(&status);
                    if !self.in_flight.is_empty() && !status.is_active() {
                        let what = status.code.unwrap_or_default();
                        let failure = Failure::new("Snowflake.ChannelLost", &what);
                        return Err(Stop::Lost(failure));
                    }
                }
                Ok(None) => {
                    let what = "There is no such channel any more.";
                    return Err(Stop::Lost(Failure::new("Snowflake.ChannelLost", what)));
                }
                Err(not_now) if is_late => return Err(Stop::NotNow(not_now)),
                // It is asked again.
                Err(_) => {}
            }
            if is_late && !self.in_flight.is_empty() {
                let failure = judge::not_committed();
                return Err(Stop::NotNow(NotNow { failure, pause: None }));
            }
        }
        Ok(())
    }

    /// What is committed is delivered, or refused: all of it, where some of its rows were.
    fn settle(&mut self, status: &ChannelStatus) {
        let is_committed =
            |part: &Part| status.committed.as_deref() == Some(&*part.progress.to_string());
        let Some(at) = self.in_flight.iter().position(is_committed) else { return };
        let refused = self.channel.new_errors(status);
        let parts: Vec<Part> = self.in_flight.drain(..=at).collect();
        let Some(last) = parts.last() else { return };
        self.channel.committed(last.progress.clone(), 0 < refused);
        if 0 < refused {
            let records: Vec<usize> = parts.into_iter().flat_map(|part| part.records).collect();
            let failure = judge::refused_rows(status, refused, records.len());
            let refused = records.into_iter().map(|at| (at, failure.clone()));
            self.attempt.refused.extend(refused);
        }
    }

    /// Into the queue, in front, where it came from.
    fn put_back(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        let records = in_flight.into_iter().flat_map(|part| part.records).collect::<Vec<_>>();
        records.into_iter().rev().for_each(|at| self.waiting.push_front(at));
    }

    fn give_back(&mut self, not_now: &NotNow) {
        self.put_back();
        let first = self.waiting.front().map(|at| Place::of(&self.records[*at].origin));
        self.channel.owes(first);
        let failure = &not_now.failure;
        self.attempt.again.extend(self.waiting.drain(..).map(|at| (at, failure.clone())));
        self.attempt.pause = not_now.pause;
    }
}

#[cfg(test)]
mod tests;
