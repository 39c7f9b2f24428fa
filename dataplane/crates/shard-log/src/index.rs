//! A segment's sparse index: from an offset, an entry's index or a time to a position to scan from.
//!
//! One entry stands for about [`INTERVAL_BYTES`] of the segment. It is kept in memory, rebuilt when
//! the active segment is scanned, and written into the next segment's head when it is sealed.

use model::{Offset, UnixMillis};

/// Entries are at least this far apart: 4,096 of them, 128 KiB of memory, for each GiB of log.
pub(crate) const INTERVAL_BYTES: u64 = 256 << 10;

/// Where one batch starts, and what it starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Position of the batch in the segment.
    pub position: u64,
    /// Its base offset.
    pub offset: Offset,
    /// Its entry index.
    pub index: u64,
    /// Its timestamp.
    pub timestamp: UnixMillis,
}

/// Entries in the order of the log; every field but `position` may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    entries: Vec<IndexEntry>,
}

impl SparseIndex {
    pub(crate) fn from_entries(entries: Vec<IndexEntry>) -> SparseIndex {
        SparseIndex { entries }
    }

    pub(crate) fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// Notes a batch if the last noted one is far enough behind.
    pub(crate) fn note(&mut self, entry: IndexEntry) {
        let far_enough =
            self.entries.last().is_none_or(|last| last.position + INTERVAL_BYTES <= entry.position);
        if far_enough {
            self.entries.push(entry);
        }
    }

    /// Forgets what starts at or behind `position`.
    pub(crate) fn truncate(&mut self, position: u64) {
        self.entries.retain(|entry| entry.position < position);
    }

    /// The latest noted batch that starts at or before `offset`.
    pub(crate) fn at_offset(&self, offset: Offset) -> Option<&IndexEntry> {
        self.last_where(|entry| entry.offset <= offset)
    }

    /// The latest noted batch before the entry `index`. Batches that are no entries repeat the last
    /// entry's index, so an equal one may lie behind it.
    pub(crate) fn before_index(&self, index: u64) -> Option<&IndexEntry> {
        self.last_where(|entry| entry.index < index)
    }

    /// The latest noted batch before every batch with a timestamp of `timestamp` or later.
    pub(crate) fn before_timestamp(&self, timestamp: UnixMillis) -> Option<&IndexEntry> {
        self.last_where(|entry| entry.timestamp < timestamp)
    }

    fn last_where(&self, holds: impl Fn(&IndexEntry) -> bool) -> Option<&IndexEntry> {
        let count = self.entries.partition_point(holds);
        self.entries[..count].last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(position_kib: u64, offset: u64, timestamp: u64) -> IndexEntry {
        IndexEntry {
            position: position_kib << 10,
            offset: Offset(offset),
            index: offset,
            timestamp: UnixMillis(timestamp),
        }
    }

    fn index() -> SparseIndex {
        let mut index = SparseIndex::default();
        for noted in [entry(4, 0, 10), entry(8, 5, 10), entry(260, 9, 20), entry(600, 20, 20)] {
            index.note(noted);
        }
        index
    }

    #[test]
    fn entries_closer_than_an_interval_are_not_kept() {
        let positions: Vec<u64> = index().entries().iter().map(|e| e.position >> 10).collect();
        assert_eq!(positions, [4, 260, 600]);
    }

    #[test]
    fn lookups_answer_the_last_entry_that_cannot_be_too_late() {
        let index = index();
        let kib = |found: Option<&IndexEntry>| found.map(|entry| entry.position >> 10);
        assert_eq!(kib(index.at_offset(Offset(8))), Some(4));
        assert_eq!(kib(index.at_offset(Offset(9))), Some(260));
        assert_eq!(kib(index.at_offset(Offset(1000))), Some(600));
        assert_eq!(kib(index.before_index(20)), Some(260));
        assert_eq!(kib(index.before_timestamp(UnixMillis(10))), None);
        assert_eq!(kib(index.before_timestamp(UnixMillis(20))), Some(4));
        assert_eq!(kib(index.before_timestamp(UnixMillis(21))), Some(600));
    }
}
