//! Where a record stands in its shard.

use std::fmt;

/// The dense index of a record in one shard's log, counted from 0.
///
/// An end of a range of offsets is always exclusive: it names the record that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The offset of a shard's first record.
    pub const FIRST: Offset = Offset(0);

    /// The offset `count` records further on.
    ///
    /// # Panics
    /// Past `u64::MAX`, which at a billion records a second takes five centuries.
    #[must_use]
    pub fn advance(self, count: u64) -> Offset {
        Offset(self.0.checked_add(count).expect("a shard never holds 2^64 records"))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
