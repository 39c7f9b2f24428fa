//! The memory of events that have not been sent, shared by all subscriptions.
//!
//! A client that does not read keeps the event it was sent. While there is memory for everybody this
//! harms nobody, and a consumer may well think about a batch for minutes. When there is none left, the
//! client that has read nothing for the longest time is hung up on, and subscribes again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// How long somebody waits for memory before somebody else is hung up on.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Who has read within this time is not.
const UNREAD_MIN: Duration = Duration::from_secs(10);

/// Memory for events. Clones are the same.
#[derive(Clone)]
pub(crate) struct EventMemory {
    /// One for each KiB.
    permits: Arc<Semaphore>,
    holders: Arc<Mutex<Holders>>,
}

#[derive(Default)]
struct Holders {
    by_id: HashMap<u64, Holder>,
    next_id: u64,
}

struct Holder {
    /// Since when it has an event that it has not read.
    unread_since: Option<Instant>,
    hang_up: Option<oneshot::Sender<()>>,
}

/// A client that is sent events, until it is dropped.
pub(crate) struct Holding {
    id: u64,
    memory: EventMemory,
}

impl EventMemory {
    pub(crate) fn new(kib: usize) -> EventMemory {
        EventMemory { permits: Arc::new(Semaphore::new(kib)), holders: Arc::default() }
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that will be sent events. The receiver is told when it is to be hung up on.
    pub(crate) fn hold(&self) -> (Holding, oneshot::Receiver<()>) {
        let (hang_up, hung_up) = oneshot::channel();
        let mut holders = self.holders();
        let id = holders.next_id;
        holders.next_id += 1;
        holders.by_id.insert(id, Holder { unread_since: None, hang_up: Some(hang_up) });
        (Holding { id, memory: self.clone() }, hung_up)
    }

    /// Waits for memory, and sees to it that there will be some.
    pub(crate) async fn acquire(&self, kib: u32) -> OwnedSemaphorePermit {
        let mut acquired = std::pin::pin!(Arc::clone(&self.permits).acquire_many_owned(kib));
        loop {
            match tokio::time::timeout(WAIT_MAX, &mut acquired).await {
                Ok(permit) => return permit.expect("the budget is never closed"),
                Err(_) => self.hang_up_on_one(),
            }
        }
    }

    fn hang_up_on_one(&self) {
        let now = Instant::now();
        let mut holders = self.holders();
        let waits_for_long = |holder: &&mut Holder| {
            let is_idle = holder.unread_since.is_some_and(|since| UNREAD_MIN <= now - since);
            is_idle && holder.hang_up.is_some()
        };
        let idle = holders.by_id.values_mut().filter(waits_for_long);
        let longest = idle.min_by_key(|holder| holder.unread_since);
        if let Some(hang_up) = longest.and_then(|holder| holder.hang_up.take()) {
            tracing::warn!("hanging up on a subscriber that does not read: others need the memory");
            let _ = hang_up.send(());
        }
    }
}

impl Holding {
    /// It has been sent an event.
    pub(crate) fn sent(&self) {
        self.set(Some(Instant::now()));
    }

    /// It asks for the next one: it has read the last, or its socket has.
    pub(crate) fn read(&self) {
        self.set(None);
    }

    fn set(&self, unread_since: Option<Instant>) {
        if let Some(holder) = self.memory.holders().by_id.get_mut(&self.id) {
            holder.unread_since = unread_since;
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.memory.holders().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_makes_room_for_who_does() {
        let memory = EventMemory::new(2);
        let (reader, mut reader_hung_up) = memory.hold();
        let (idle, idle_hung_up) = memory.hold();
        let kept_by_reader = memory.acquire(1).await;
        let kept_by_idle = memory.acquire(1).await;
        idle.sent();
        let started = Instant::now();
        let hang_up = tokio::spawn(async move {
            idle_hung_up.await.unwrap();
            drop(kept_by_idle);
        });
        reader.read();
        let third = memory.acquire(1).await;
        assert!(UNREAD_MIN <= started.elapsed());
        hang_up.await.unwrap();
        // Nobody else is left who does not read: the next one waits.
        let waiting = tokio::time::timeout(Duration::from_secs(60), memory.acquire(2));
        assert!(waiting.await.is_err());
        assert!(reader_hung_up.try_recv().is_err());
        drop((kept_by_reader, third, idle));
    }
}
