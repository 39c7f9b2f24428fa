//! One segment as the log keeps it in memory, and the names of segment files.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use model::{Offset, UnixMillis};

use crate::format::BatchHeader;
use crate::index::{IndexEntry, SparseIndex};

const FILE_SUFFIX: &str = ".segment";

/// `00000000000000000042.segment`
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:020}{FILE_SUFFIX}")
}

/// The number in a segment's file name; `None` for any other file.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(FILE_SUFFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(file_name(number))
}

/// A place in the log: what the next batch written there would be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// Offset of the next record.
    pub(crate) offset: Offset,
    /// Index of the last entry.
    pub(crate) index: u64,
    /// Term of the last entry.
    pub(crate) term: u64,
    /// Timestamp of the last batch.
    pub(crate) timestamp: UnixMillis,
    /// Checksum of the last batch.
    pub(crate) checksum: u32,
}

impl End {
    pub(crate) fn after(header: &BatchHeader) -> End {
        End {
            offset: header.end_offset(),
            index: header.index,
            term: header.term,
            timestamp: header.timestamp,
            checksum: header.checksum,
        }
    }
}

/// A segment. The log's last one is active and grows at `end_position`; the others are sealed.
pub(crate) struct Segment<F> {
    pub(crate) number: u64,
    /// Open when it is the active one or was read recently.
    pub(crate) file: Option<Rc<F>>,
    pub(crate) size_bytes: u64,
    /// What its head says: the state of the log before its first batch.
    pub(crate) start: End,
    /// The state of the log behind its last batch.
    pub(crate) end: End,
    /// Where its last batch ends.
    pub(crate) end_position: u64,
    pub(crate) index: SparseIndex,
}

impl<F> Segment<F> {
    /// A segment that consists of its head.
    pub(crate) fn new(file: F, size_bytes: u64, head: &BatchHeader) -> Segment<F> {
        Segment {
            number: head.segment,
            file: Some(Rc::new(file)),
            size_bytes,
            start: End::after(head),
            end: End::after(head),
            end_position: head.padded_bytes() as u64,
            index: SparseIndex::default(),
        }
    }

    /// Extends the segment by a batch that starts at its end.
    pub(crate) fn push(&mut self, header: &BatchHeader) {
        self.index.note(IndexEntry {
            position: self.end_position,
            offset: header.base_offset,
            index: header.index,
            timestamp: header.timestamp,
        });
        self.end_position += header.padded_bytes() as u64;
        self.end = End::after(header);
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.size_bytes - self.end_position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_file_names_are_segments() {
        assert_eq!(parse_file_name(&file_name(42)), Some(42));
        assert_eq!(parse_file_name(&file_name(u64::MAX)), Some(u64::MAX));
        for other in ["42.segment", "00000000000000000042.seg", "+0000000000000000042.segment", ""]
        {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
