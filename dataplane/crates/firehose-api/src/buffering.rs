//! When a batch is delivered.

use aws_protocol::ApiError;

use crate::draft::{Draft, Told, small};
use crate::errors::invalid_argument;
use crate::shape::{Anything, Checks, Rule, Within, member, shapes};

shapes! {
    /// As BufferingHints, whose bounds differ by destination: see [`Hints`].
    BufferingHints {
        SizeInMBs: i64, Never, Anything;
        IntervalInSeconds: i64, Never, Anything;
    }
}

/// The largest hints of a destination: its size and its interval.
pub(crate) struct Hints(pub(crate) i64, pub(crate) i64);

impl Rule<BufferingHints> for Hints {
    fn check(&self, checks: &mut Checks, path: &str, hints: &BufferingHints) {
        let Hints(mib_max, seconds_max) = *self;
        if let Some(mib) = &hints.SizeInMBs {
            Within(1..=mib_max).check(checks, &member(path, "SizeInMBs"), mib);
        }
        if let Some(seconds) = &hints.IntervalInSeconds {
            let path = member(path, "IntervalInSeconds");
            Within(0..=seconds_max).check(checks, &path, seconds);
        }
    }
}

impl BufferingHints {
    pub(crate) fn apply(given: Option<&BufferingHints>, draft: &mut Draft<'_>) {
        let Some(hints) = given else { return };
        let buffering = draft.spec().buffering.get_or_insert_default();
        if let Some(mib) = hints.SizeInMBs {
            buffering.size_mib = Some(small(mib));
        }
        if let Some(seconds) = hints.IntervalInSeconds {
            buffering.interval_seconds = Some(small(seconds));
        }
    }

    /// As AWS where it takes both hints or none.
    pub(crate) fn check_both(given: Option<&BufferingHints>) -> Result<(), ApiError> {
        match given {
            Some(hints) if hints.SizeInMBs.is_some() != hints.IntervalInSeconds.is_some() => {
                Err(invalid_argument(
                    "BufferingHints must have both SizeInMBs and IntervalInSeconds, or neither.",
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn told(told: &Told<'_>, mib: u32, seconds: u32) -> Option<BufferingHints> {
        let set = told.spec().buffering.clone().unwrap_or_default();
        Some(BufferingHints::of(
            set.size_mib.unwrap_or(mib),
            set.interval_seconds.unwrap_or(seconds),
        ))
    }

    pub(crate) fn of(mib: u32, seconds: u32) -> BufferingHints {
        BufferingHints {
            SizeInMBs: Some(i64::from(mib)),
            IntervalInSeconds: Some(i64::from(seconds)),
        }
    }
}
