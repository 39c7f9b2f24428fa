//! Who is subscribed to what: one subscription of a consumer to a shard at a time.
//!
//! A later call takes over from an earlier one, but not within five seconds of it: else two readers
//! that both believe to be the only one would take a shard from each other without end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalog::StreamUid;
use model::limits::SUBSCRIPTION_EXCLUSIVE;
use model::{ConsumerName, ShardId};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// Whose subscription, and to which shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubscriptionKey {
    pub(crate) stream: StreamUid,
    pub(crate) consumer: ConsumerName,
    pub(crate) shard: ShardId,
}

/// The subscriptions under way. Clones are the same.
#[derive(Clone)]
pub(crate) struct Subscriptions {
    slots: Arc<Mutex<Slots>>,
    stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Slots {
    by_key: HashMap<SubscriptionKey, Slot>,
    next_id: u64,
}

struct Slot {
    id: u64,
    started: Instant,
    /// Dropped to end the subscription.
    _hold: oneshot::Sender<()>,
}

/// The right to a subscription, until it is dropped or taken over.
pub(crate) struct Lease {
    key: SubscriptionKey,
    id: u64,
    slots: Arc<Mutex<Slots>>,
    taken_over: oneshot::Receiver<()>,
    stopping: watch::Receiver<bool>,
}

/// Why a subscription ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    TakenOver,
    Stopping,
}

/// A subscription of the same consumer to the same shard has only just begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InUse;

impl Subscriptions {
    pub(crate) fn new() -> Subscriptions {
        Subscriptions { slots: Arc::default(), stopping: watch::Sender::new(false) }
    }

    /// Begins a subscription; ends an earlier one of the same key.
    pub(crate) fn begin(&self, key: SubscriptionKey) -> Result<Lease, InUse> {
        let now = Instant::now();
        let mut slots = lock(&self.slots);
        let earlier = slots.by_key.get(&key);
        if earlier.is_some_and(|earlier| now < earlier.started + SUBSCRIPTION_EXCLUSIVE) {
            return Err(InUse);
        }
        let id = slots.next_id;
        slots.next_id += 1;
        let (hold, taken_over) = oneshot::channel();
        slots.by_key.insert(key.clone(), Slot { id, started: now, _hold: hold });
        let stopping = self.stopping.subscribe();
        Ok(Lease { key, id, slots: Arc::clone(&self.slots), taken_over, stopping })
    }

    /// Ends all of them, and those to come: clients subscribe again, elsewhere or later.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Lease {
    /// Waits until the subscription is to end.
    ///
    /// # Cancel safety
    /// Can be called again until it has returned.
    pub(crate) async fn ended(&mut self) -> Ended {
        tokio::select! {
            _ = &mut self.taken_over => Ended::TakenOver,
            _ = self.stopping.wait_for(|stopping| *stopping) => Ended::Stopping,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut slots = lock(&self.slots);
        if slots.by_key.get(&self.key).is_some_and(|slot| slot.id == self.id) {
            slots.by_key.remove(&self.key);
        }
    }
}

fn lock(slots: &Mutex<Slots>) -> MutexGuard<'_, Slots> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(shard: u32) -> SubscriptionKey {
        let consumer = "fraud".parse().unwrap();
        SubscriptionKey { stream: StreamUid(1), consumer, shard: ShardId(shard) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_is_taken_over_after_five_seconds() {
        let subscriptions = Subscriptions::new();
        let mut first = subscriptions.begin(key(0)).unwrap();
        assert!(subscriptions.begin(key(1)).is_ok());
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert_eq!(subscriptions.begin(key(0)).err(), Some(InUse));
        tokio::time::advance(Duration::from_millis(1)).await;
        let second = subscriptions.begin(key(0)).unwrap();
        assert_eq!(first.ended().await, Ended::TakenOver);
        // The end of the first is not the end of the second.
        drop(first);
        assert!(subscriptions.begin(key(0)).is_err());
        drop(second);
        assert!(subscriptions.begin(key(0)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_all_and_those_to_come() {
        let subscriptions = Subscriptions::new();
        let mut before = subscriptions.begin(key(0)).unwrap();
        subscriptions.stop();
        assert_eq!(before.ended().await, Ended::Stopping);
        let mut after = subscriptions.begin(key(1)).unwrap();
        assert_eq!(after.ended().await, Ended::Stopping);
    }
}
