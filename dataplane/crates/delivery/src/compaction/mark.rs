//! What objects say of where they come from, in their metadata.

use std::fmt;
use std::str::FromStr;

use model::{Offset, ShardId};

/// Who wrote an object with records, and when nobody will again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A delivery stream: what it read of a shard from here on. It may write it again until it is done
    /// with that.
    Window { uid: u64, shard: ShardId, start: Offset },
    /// The compaction of a delivery stream.
    Merged { uid: u64 },
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Window { uid, shard, start } => {
                write!(f, "{uid:016x}/{}/{}", shard.0, start.0)
            }
            Mark::Merged { uid } => write!(f, "{uid:016x}/merged"),
        }
    }
}

/// It is no mark.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoMark;

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Mark, NoMark> {
        let (uid, rest) = text.split_once('/').ok_or(NoMark)?;
        let uid = u64::from_str_radix(uid, 16).map_err(|_| NoMark)?;
        let mark = match rest.split_once('/') {
            None if rest == "merged" => Mark::Merged { uid },
            None => return Err(NoMark),
            Some((shard, start)) => Mark::Window {
                uid,
                shard: ShardId(shard.parse().map_err(|_| NoMark)?),
                start: Offset(start.parse().map_err(|_| NoMark)?),
            },
        };
        // One way to write it, so that nothing else is taken for it.
        if mark.to_string() == text { Ok(mark) } else { Err(NoMark) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_back_and_nothing_else_is() {
        let window = Mark::Window { uid: 0xab, shard: ShardId(3), start: Offset(1_000) };
        let merged = Mark::Merged { uid: u64::MAX };
        for (mark, text) in
            [(window, "00000000000000ab/3/1000"), (merged, "ffffffffffffffff/merged")]
        {
            assert_eq!(mark.to_string(), text);
            assert_eq!(text.parse(), Ok(mark));
        }
        for text in
            ["", "/", "ab/3/1000", "00000000000000ab/3", "00000000000000ab/03/1", "x/merged"]
        {
            assert_eq!(text.parse::<Mark>(), Err(NoMark), "{text}");
        }
    }
}
