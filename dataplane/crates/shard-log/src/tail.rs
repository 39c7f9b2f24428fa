//! The most recent batches, kept in memory so that a reader at the tip never touches the disk.
//!
//! Holds the same bytes that were written, up to a budget, always a gapless suffix of the log's
//! entries.

use std::collections::VecDeque;

use model::Offset;

use crate::batch::Batch;

pub(crate) struct Tail {
    batches: VecDeque<Batch>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Tail {
        Tail { batches: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Changes the budget, and forgets the oldest batches that no longer fit.
    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.evict();
    }

    /// Adds the log's newest entry.
    pub(crate) fn push(&mut self, batch: Batch) {
        self.bytes += batch.header().padded_bytes();
        self.batches.push_back(batch);
        self.evict();
    }

    /// Forgets every entry after `index`.
    pub(crate) fn truncate(&mut self, index: u64) {
        while let Some(last) = self.batches.back()
            && index < last.header().index
        {
            self.bytes -= last.header().padded_bytes();
            self.batches.pop_back();
        }
    }

    /// The entries from the one that holds `offset` on, oldest first; `None` when `offset` may lie
    /// before the first one kept.
    pub(crate) fn starting_at(&self, offset: Offset) -> Option<impl Iterator<Item = &Batch>> {
        if offset < self.batches.front()?.header().base_offset {
            return None;
        }
        let start = self.batches.partition_point(|batch| batch.header().end_offset() <= offset);
        Some(self.batches.range(start..))
    }

    fn evict(&mut self) {
        while self.bytes_max < self.bytes {
            let oldest = self.batches.pop_front().expect("bytes are those of the batches");
            self.bytes -= oldest.header().padded_bytes();
        }
    }
}
