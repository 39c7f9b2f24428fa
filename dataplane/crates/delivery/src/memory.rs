//! The memory that all deliveries of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// However many share it, one may hold this much: what is read at a time.
const ALLOWANCE_BYTES_MIN: usize = 64 << 10;

/// A budget, in equal parts for those who hold records at the moment. Who holds more than its part
/// delivers what it has, so nobody waits for another.
#[derive(Debug)]
pub struct Memory {
    bytes_max: usize,
    holders: AtomicUsize,
}

impl Memory {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Memory> {
        Arc::new(Memory { bytes_max, holders: AtomicUsize::new(0) })
    }

    /// What one may hold, as of now.
    pub(crate) fn allowance(&self) -> usize {
        let holders = self.holders.load(Ordering::Relaxed).max(1);
        (self.bytes_max / holders).max(ALLOWANCE_BYTES_MIN)
    }

    /// Counts one more who holds records.
    pub(crate) fn hold(self: &Arc<Memory>) -> Holder {
        self.holders.fetch_add(1, Ordering::Relaxed);
        Holder(Arc::clone(self))
    }
}

/// One who holds records, until it is dropped.
#[derive(Debug)]
pub(crate) struct Holder(Arc<Memory>);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_by_those_who_hold_records() {
        let memory = Memory::new(1 << 20);
        assert_eq!(memory.allowance(), 1 << 20);
        let holders: Vec<Holder> = (0..4).map(|_| memory.hold()).collect();
        assert_eq!(memory.allowance(), 256 << 10);
        drop(holders);
        assert_eq!(memory.allowance(), 1 << 20);
        let _many: Vec<Holder> = (0..1000).map(|_| memory.hold()).collect();
        assert_eq!(memory.allowance(), ALLOWANCE_BYTES_MIN);
    }
}
