//! Offset tokens: what of a shard is committed in a channel.

use std::fmt;
use std::str::FromStr;

use model::{Origin, SequenceNumber};

/// A record's place among all that come out of its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    sequence_number: SequenceNumber,
    sub: u32,
}

impl Place {
    pub(super) fn of(origin: &Origin) -> Place {
        Place { sequence_number: origin.sequence_number, sub: origin.sub }
    }
}

/// All records from a first to a last one are committed: the offset token of the last one's request.
///
/// The first is there because not all that come before the last need to be: some may have been given
/// up, and wait to be written into the backup. After a crash these have to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) first: Place,
    pub(super) last: Place,
    /// Tells tokens apart that are about the same records: they may be sent a second time.
    pub(super) attempt: u64,
}

impl Progress {
    pub(super) fn covers(&self, place: Place) -> bool {
        self.first <= place && place <= self.last
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sequence_number, self.sub)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.first, self.last, self.attempt)
    }
}

/// A token that somebody else set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign;

impl FromStr for Place {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Place, Foreign> {
        let (sequence_number, sub) = text.split_once('.').ok_or(Foreign)?;
        let sequence_number = sequence_number.parse().map_err(|_| Foreign)?;
        Ok(Place { sequence_number, sub: sub.parse().map_err(|_| Foreign)? })
    }
}

impl FromStr for Progress {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Progress, Foreign> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(Foreign);
        let (first, last) = (part()?.parse()?, part()?.parse()?);
        Ok(Progress { first, last, attempt: part()?.parse().map_err(|_| Foreign)? })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use model::DeliveryRecord;

    use super::*;
    use crate::sinks::testing::record;

    fn place(offset: u64, sub: u32) -> Place {
        let DeliveryRecord { origin, .. } = record(offset, "");
        Place::of(&Origin { sub, ..origin })
    }

    #[test]
    fn a_token_says_what_is_committed() {
        let progress = Progress { first: place(3, 1), last: place(40, 0), attempt: 7 };
        let text = progress.to_string();
        expect!["49670424472731169861061894383147721128543699241099329538.1-49670424472731169861061894383192451383869440520563458050.0-7"].assert_eq(&text);
        assert_eq!(text.parse(), Ok(progress));
        for (at, want) in [
            (place(3, 0), false),
            (place(3, 1), true),
            (place(3, 2), true),
            (place(40, 0), true),
            (place(40, 1), false),
        ] {
            assert_eq!(progress.covers(at), want, "{at}");
        }
    }

    #[test]
    fn other_tokens_say_nothing() {
        let place = place(3, 1);
        for text in
            ["", "0", "12", "-", "--", "1.0-2.0-3", &format!("{place}-{place}"), "a.0-b.0-1"]
        {
            assert_eq!(text.parse::<Progress>(), Err(Foreign), "{text}");
        }
    }
}
