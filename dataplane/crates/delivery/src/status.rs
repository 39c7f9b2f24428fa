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
    failing: Option<Failing>,
    /// Since when a service has taken nothing.
    refused_since: Option<Instant>,
}

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
        self.all().find_map(|state| state.failing)
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

    /// An attempt failed. It is told once, and again each time twice as many have.
    pub(crate) fn fails(&self, at: UnixMillis, attempts: u32, what: &str) {
        if attempts.is_power_of_two() {
            let (stream, shard) = (&self.delivery_stream, self.shard);
            tracing::warn!(delivery_stream = %stream, %shard, attempts, "not delivered, will try again: {what}");
        }
        self.lock().failing = Some(Failing { at, attempts, what: what.to_owned() });
    }

    /// An attempt succeeded, or was given up.
    pub(crate) fn succeeds(&self) {
        if let Some(failing) = self.lock().failing.take() {
            let (stream, shard, attempts) = (&self.delivery_stream, self.shard, failing.attempts);
            tracing::info!(delivery_stream = %stream, %shard, attempts, "delivery goes on");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
