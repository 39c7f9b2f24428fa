//! Which of the segments found make up the log. Pure: what the heads say goes in, verdicts come out.
//!
//! Each file is given one verdict by this table. The
//! *chain* is the last segment with a valid head, the predecessor that head names, its predecessor,
//! and so on.
//!
//! ```text
//!      head    a later    in the   holds      a chain member
//!      valid   head is    chain    batches    before it is
//!              valid                          missing           verdict
//!  @A  yes     no         -        -          -                 active
//!  @B  yes     yes        yes      -          -                 sealed
//!  @C  -       yes        no       -          no                cut off by a truncation: removed
//!  @D  no      yes        yes      -          -                 damaged: refused
//!  @E  no      no         -        yes        -                 damaged: refused
//!  @F  no      no         -        no         -                 prepared, never used: removed
//!  @G  -       yes        no       -          yes               a segment is missing: refused
//! ```

use std::collections::VecDeque;
use std::path::Path;

use crate::error::{Corruption, OpenError};
use crate::format::{BatchHeader, SegmentHead};
use crate::segment;

/// A segment's file as found.
pub(super) struct Found<F> {
    pub(super) number: u64,
    pub(super) file: F,
    pub(super) head: Option<Head>,
    /// Looked for only when there is no valid head: whether batches of this segment are behind it.
    pub(super) holds_batches: bool,
}

pub(super) struct Head {
    pub(super) header: BatchHeader,
    pub(super) payload: SegmentHead,
}

/// Which files make up the log, oldest first, and which are to be removed; by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    pub(super) chain: Vec<u64>,
    pub(super) removed: Vec<u64>,
}

/// Why the heads do not make a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Head { segment: u64 },
    Missing { segment: u64 },
}

impl Damage {
    pub(super) fn at(self, directory: &Path) -> OpenError {
        let (number, what) = match self {
            Damage::Head { segment } => (segment, "the segment's head is damaged"),
            Damage::Missing { segment } => (segment, "the segment is missing"),
        };
        let path = segment::path(directory, number);
        OpenError::Corrupt(Corruption { path, position: 0, what: what.to_owned() })
    }
}

/// What the table looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    head_valid: bool,
    later_head_valid: bool,
    in_chain: bool,
    holds_batches: bool,
    /// The chain names a predecessor that is not there, and this file is older still.
    behind_gap: bool,
}

/// The table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// @A and @B.
    Chain,
    /// @C and @F.
    Leftover,
    /// @D and @E.
    DamagedHead,
    /// @G.
    Gap,
}

fn case(facts: Facts) -> Case {
    let Facts { head_valid, later_head_valid, in_chain, holds_batches, behind_gap } = facts;
    match (head_valid, later_head_valid, in_chain) {
        (true, false, _) => Case::Chain,                         // @A
        (true, true, true) => Case::Chain,                       // @B
        (false, true, true) => Case::DamagedHead,                // @D
        (_, true, false) if behind_gap => Case::Gap,             // @G
        (_, true, false) => Case::Leftover,                      // @C
        (false, false, _) if holds_batches => Case::DamagedHead, // @E
        (false, false, _) => Case::Leftover,                     // @F
    }
}

/// Applies the table to all files. Pure.
pub(super) fn judge<F>(found: &[Found<F>]) -> Result<Verdicts, Damage> {
    let last_valid = found.iter().rfind(|segment| segment.head.is_some()).map(|s| s.number);
    let (chain, missing) = chain(found, last_valid);
    let mut removed = Vec::new();
    for segment in found {
        let facts = Facts {
            head_valid: segment.head.is_some(),
            later_head_valid: last_valid.is_some_and(|last| segment.number < last),
            in_chain: chain.contains(&segment.number),
            holds_batches: segment.holds_batches,
            behind_gap: missing.is_some_and(|missing| segment.number < missing),
        };
        match case(facts) {
            Case::Chain => {}
            Case::Leftover => removed.push(segment.number),
            Case::DamagedHead => {
                return Err(Damage::Head { segment: segment.number });
            }
            Case::Gap => {
                let missing = missing.expect("a file is behind a gap only when there is one");
                return Err(Damage::Missing { segment: missing });
            }
        }
    }
    Ok(Verdicts { chain, removed })
}

/// The chain, oldest first, and the predecessor named by its oldest member that is not there.
fn chain<F>(found: &[Found<F>], last_valid: Option<u64>) -> (Vec<u64>, Option<u64>) {
    let mut chain = VecDeque::new();
    let mut next = last_valid;
    while let Some(number) = next {
        let Ok(at) = found.binary_search_by_key(&number, |segment| segment.number) else {
            break;
        };
        chain.push_front(number);
        let previous = found[at].head.as_ref().and_then(|head| head.payload.previous.as_ref());
        // A predecessor is older, so this ends.
        next = previous.map(|previous| previous.number).filter(|previous| *previous < number);
    }
    (chain.into(), next)
}

#[cfg(test)]
mod tests;
