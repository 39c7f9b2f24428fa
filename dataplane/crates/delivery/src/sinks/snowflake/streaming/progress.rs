//! Offset tokens: what of a shard is committed in a channel.

use std::fmt;
use std::str::FromStr;

use model::{Origin, SequenceNumber};

/// Runs that a token tells of: 500 characters. A window has as many only when batches of it were given
/// up in turn with others that were not.
const RUNS_MAX: usize = 4;

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

/// Records from a first to a last one, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: Place,
    pub(super) last: Place,
}

impl Run {
    fn covers(self, place: Place) -> bool {
        self.first <= place && place <= self.last
    }
}

/// What is committed of what may be read again: the offset token of the request that came last.
///
/// All records of its runs are committed; of those between them some may not be: they were given up, and
/// wait to be written into the backup. After a crash these have to be tried again, and the others not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// In the order of the records. Never empty.
    runs: Vec<Run>,
    /// Tells tokens apart that are about the same records: they may be sent a second time.
    attempt: u64,
}

impl Progress {
    /// What is committed with `run`, once it is, beside what was `before`.
    pub(super) fn with(before: Option<&Progress>, run: Run, attempt: u64) -> Progress {
        let is_part = |other: &Run| run.covers(other.first) && run.covers(other.last);
        let before = before.map_or(&[][..], |before| &before.runs);
        let mut runs: Vec<Run> = before.iter().copied().filter(|other| !is_part(other)).collect();
        runs.push(run);
        runs.sort_by_key(|run| (run.first, run.last));
        // The oldest are the least likely to be read again.
        runs.drain(..runs.len().saturating_sub(RUNS_MAX));
        Progress { runs, attempt }
    }

    pub(super) fn covers(&self, place: Place) -> bool {
        self.runs.iter().any(|run| run.covers(place))
    }

    /// The last of its runs.
    pub(super) fn newest(&self) -> Run {
        *self.runs.last().expect("there is a run")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sequence_number, self.sub)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Run { first, last } in &self.runs {
            write!(f, "{first}-{last}-")?;
        }
        write!(f, "{}", self.attempt)
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
        let (places, attempt) = text.rsplit_once('-').ok_or(Foreign)?;
        let attempt = attempt.parse().map_err(|_| Foreign)?;
        let places = places.splitn(2 * RUNS_MAX + 1, '-').map(str::parse);
        let places: Vec<Place> = places.collect::<Result<_, _>>()?;
        let (pairs, []) = places.as_chunks() else { return Err(Foreign) };
        let run = |[first, last]: &[Place; 2]| Run { first: *first, last: *last };
        let runs: Vec<Run> = pairs.iter().map(run).collect();
        if runs.is_empty() || RUNS_MAX < runs.len() {
            return Err(Foreign);
        }
        Ok(Progress { runs, attempt })
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

    fn run(first: (u64, u32), last: (u64, u32)) -> Run {
        Run { first: place(first.0, first.1), last: place(last.0, last.1) }
    }

    #[test]
    fn a_token_says_what_is_committed() {
        let progress = Progress::with(None, run((3, 1), (40, 0)), 7);
        let text = progress.to_string();
        expect!["49670424472731169861061894383147721128543699241099329538.1-49670424472731169861061894383192451383869440520563458050.0-7"].assert_eq(&text);
        assert_eq!(text.parse().as_ref(), Ok(&progress));
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
    fn a_token_has_the_newest_runs() {
        let mut progress = Progress::with(None, run((10, 0), (19, 0)), 7);
        let mut check = |first, last, want: &[u64]| {
            progress = Progress::with(Some(&progress), run((first, 0), (last, 0)), 7);
            assert_eq!(progress.to_string().parse().as_ref(), Ok(&progress));
            let tens = (0..8).filter(|ten| progress.covers(place(10 * ten + 5, 0)));
            assert_eq!(tens.collect::<Vec<_>>(), want);
        };
        check(0, 9, &[0, 1]);
        // It goes on, over what is committed, to what follows.
        check(0, 29, &[0, 1, 2]);
        check(40, 49, &[0, 1, 2, 4]);
        check(60, 69, &[0, 1, 2, 4, 6]);
        check(50, 59, &[0, 1, 2, 4, 5, 6]);
        check(70, 79, &[4, 5, 6, 7]);
    }

    #[test]
    fn other_tokens_say_nothing() {
        let place = place(3, 1);
        for text in [
            "",
            "0",
            "12",
            "-",
            "--",
            "1.0-2.0-3",
            &format!("{place}-{place}"),
            &format!("{place}-1"),
            "a.0-b.0-1",
        ] {
            assert_eq!(text.parse::<Progress>(), Err(Foreign), "{text}");
        }
    }
}
