//! What is known of deliveries that run: for metrics, for conditions, for logs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{ShardId, StreamName, UnixMillis};
use tokio::time::Instant;

/// How each delivery stream is doing that is at work here. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Statuses(Arc<Mutex<BTreeMap<StreamName, Arc<Status>>>>);

impl Statuses {
    /// That of one.
    #[must_use]
    pub fn of(&self, name: &StreamName) -> Arc<Status> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.clone()).or_default())
    }

    /// One that is no more.
    pub fn forget(&self, name: &StreamName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// How a delivery stream is doing.
#[derive(Debug, Default)]
pub struct Status {
    shards: Mutex<BTreeMap<ShardId, Arc<ShardStatus>>>,
}

/// How the delivery of one shard is doing.
#[derive(Debug)]
pub struct ShardStatus {
    /// Told in logs.
    delivery_stream: String,
    shard: ShardId,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    oldest: Option<UnixMillis>,
    behind: u64,
    /// Why the destination did not take all that it was given last, and when it said so.
    refusing: Option<(Failing, Instant)>,
    /// Whether records were given up since it last took some.
    has_given_up: bool,
    /// Steps on the way to it that are under way and have failed so far.
    steps: BTreeMap<u64, Failing>,
    last_step: u64,
    /// Since when a service has taken nothing.
    refused_since: Option<Instant>,
    /// What it cost to wait for stragglers that were given up in the end, as it was then.
    waited: Option<(Duration, Instant)>,
}

/// A step of a delivery, which is tried until it succeeds.
pub(crate) struct Step<'a> {
    status: &'a ShardStatus,
    number: u64,
}

/// What a destination has said says nothing about it any more so long after, if there has been nothing to
/// deliver since.
const REFUSING_MAX: Duration = Duration::from_secs(600);
/// Of the time that passes, how much may be spent waiting for stragglers once their time is spent: one part
/// of so many.
const STRAGGLERS_SHARE: u32 = 10;

/// What keeps a delivery from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Of the last attempt.
    pub at: UnixMillis,
    /// How many there were.
    pub attempts: u32,
    /// What the destination said last.
    pub what: String,
}

impl Status {
    /// That of one shard.
    pub(crate) fn shard(&self, delivery_stream: &str, shard: ShardId) -> Arc<ShardStatus> {
        let made = || ShardStatus {
            delivery_stream: delivery_stream.to_owned(),
            shard,
            state: Mutex::default(),
        };
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(shards.entry(shard).or_insert_with(|| Arc::new(made())))
    }

    /// A shard that is not read any more.
    pub(crate) fn forget(&self, shard: ShardId) {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard);
    }

    /// When the oldest record arrived that was read and is not delivered; `None` when there is none.
    #[must_use]
    pub fn oldest(&self) -> Option<UnixMillis> {
        self.all().filter_map(|state| state.oldest).min()
    }

    /// How many records have come that were not read yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.all().map(|state| state.behind).sum()
    }

    /// How many shards are read.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.all().count()
    }

    /// What keeps a shard from going on, if anything does.
    #[must_use]
    pub fn failing(&self) -> Option<Failing> {
        self.all().find_map(|state| {
            let State { oldest, refusing, steps, .. } = state;
            let is_on = |at: Instant| oldest.is_some() || at.elapsed() < REFUSING_MAX;
            let refusing = refusing.filter(|(_, at)| is_on(*at));
            refusing.map(|(failing, _)| failing).or_else(|| steps.into_values().next())
        })
    }

    fn all(&self) -> impl Iterator<Item = State> {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.values().map(|shard| shard.lock().clone()).collect::<Vec<_>>().into_iter()
    }
}

impl ShardStatus {
    /// So many records are yet to be read, and the oldest that was read arrived then.
    pub(crate) fn is_behind(&self, behind: u64, oldest: Option<UnixMillis>) {
        let mut state = self.lock();
        (state.behind, state.oldest) = (behind, oldest);
    }

    /// A service has taken records.
    pub(crate) fn is_taken(&self) {
        self.lock().refused_since = None;
    }

    /// How long a service has taken nothing; now is the first time if it had taken some before.
    pub(crate) fn failing_for(&self) -> Duration {
        self.lock().refused_since.get_or_insert_with(Instant::now).elapsed()
    }

    /// How much of the time for stragglers is spent: records that a service does not take now, while it
    /// takes others of their batch. It comes back slowly. Else a single such record of each batch would hold
    /// up all the others for that long each time.
    pub(crate) fn stragglers_waited(&self) -> Duration {
        let waited = self.lock().waited;
        waited.map_or(Duration::ZERO, |(waited, at)| {
            waited.saturating_sub(at.elapsed() / STRAGGLERS_SHARE)
        })
    }

    /// So much of it is spent now.
    pub(crate) fn waited_for_stragglers(&self, waited: Option<Duration>) {
        self.lock().waited = waited.map(|waited| (waited, Instant::now()));
    }

    /// The destination took nothing of what it was given last, or not all in time: what is left is tried
    /// again, or given up. It is told once, again each time twice as many attempts have failed, and when
    /// the first records are given up.
    pub(crate) fn is_refused(&self, at: UnixMillis, what: &str, gives_up: bool) {
        let mut state = self.lock();
        let attempts = state.refusing.as_ref().map_or(0, |(failing, _)| failing.attempts) + 1;
        if attempts.is_power_of_two() || (gives_up && !state.has_given_up) {
            let (stream, shard) = (&self.delivery_stream, self.shard);
            let then = if gives_up { "put aside" } else { "will try again" };
            tracing::warn!(delivery_stream = %stream, %shard, attempts, "not delivered, {then}: {what}");
        }
        state.has_given_up |= gives_up;
        let failing = Failing { at, attempts, what: what.to_owned() };
        state.refusing = Some((failing, Instant::now()));
    }

    /// The destination took what it was given.
    pub(crate) fn is_delivered(&self) {
        let mut state = self.lock();
        state.has_given_up = false;
        if let Some((failing, _)) = state.refusing.take() {
            self.tell_that_it_goes_on(&failing);
        }
    }

    /// Begins a step.
    pub(crate) fn step(&self) -> Step<'_> {
        let mut state = self.lock();
        state.last_step += 1;
        Step { status: self, number: state.last_step }
    }

    fn tell_that_it_goes_on(&self, failing: &Failing) {
        let (stream, shard, attempts) = (&self.delivery_stream, self.shard, failing.attempts);
        tracing::info!(delivery_stream = %stream, %shard, attempts, "delivery goes on");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step<'_> {
    /// An attempt failed. It is told once, and again each time twice as many have.
    pub(crate) fn fails(&self, at: UnixMillis, attempts: u32, what: &str) {
        if attempts.is_power_of_two() {
            let (stream, shard) = (&self.status.delivery_stream, self.status.shard);
            tracing::warn!(delivery_stream = %stream, %shard, attempts, "not delivered, will try again: {what}");
        }
        let failing = Failing { at, attempts, what: what.to_owned() };
        self.status.lock().steps.insert(self.number, failing);
    }

    pub(crate) fn succeeds(self) {
        let failing = self.status.lock().steps.remove(&self.number);
        if let Some(failing) = failing {
            self.status.tell_that_it_goes_on(&failing);
        }
    }
}

impl Drop for Step<'_> {
    /// It may end because nobody waits for it any more.
    fn drop(&mut self) {
        self.status.lock().steps.remove(&self.number);
    }
}
