//! How long to wait before a delivery that failed is tried again: 1 s, 2 s, 4 s and so on up to 120
//! s, each 15 % longer or shorter by chance, until a time has passed. As AWS documents it for HTTP
//! endpoints.

use std::time::Duration;

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How much shorter or longer a pause may be, as a share of it.
const JITTER: f64 = 0.15;

/// A schedule of pauses. It holds no state: who retries counts the attempts and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    retry_duration: Option<Duration>,
}

impl Backoff {
    /// Retries until `retry_duration` has passed since the first attempt failed; zero never
    /// retries.
    #[must_use]
    pub fn new(retry_duration: Duration) -> Backoff {
        Backoff { retry_duration: Some(retry_duration) }
    }

    /// Retries without end.
    #[must_use]
    pub fn endless() -> Backoff {
        Backoff { retry_duration: None }
    }

    /// The pause before the next attempt, or `None` when the time is up and the batch counts as
    /// refused.
    ///
    /// `attempt` counts the retries so far, from 0; `elapsed` is the time since the first attempt
    /// failed; `random` is uniform in 0..1. The last pause is cut short, so that the last attempt
    /// is made at the end of the time.
    #[must_use]
    pub fn next(&self, attempt: u32, elapsed: Duration, random: f64) -> Option<Duration> {
        let doubled = PAUSE_FIRST.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let random = if random.is_nan() { 0.5 } else { random.clamp(0.0, 1.0) };
        let factor = 1.0 - JITTER + 2.0 * JITTER * random;
        let pause = doubled.min(PAUSE_MAX).mul_f64(factor).min(PAUSE_MAX);
        let Some(retry_duration) = self.retry_duration else { return Some(pause) };
        let left = retry_duration.saturating_sub(elapsed);
        (!left.is_zero()).then(|| pause.min(left))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIDDLE: f64 = 0.5;

    #[test]
    fn pauses_double_up_to_two_minutes() {
        let backoff = Backoff::new(Duration::from_secs(7_200));
        let pauses: Vec<u64> = (0..10)
            .map(|attempt| backoff.next(attempt, Duration::ZERO, MIDDLE).unwrap().as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
    }

    #[test]
    fn pauses_differ_by_fifteen_percent() {
        let check = |attempt, random, want_millis: u64| {
            let pause = Backoff::endless().next(attempt, Duration::ZERO, random);
            assert_eq!(pause, Some(Duration::from_millis(want_millis)), "{attempt} {random}");
        };
        check(0, 0.0, 850);
        check(0, 1.0, 1_150);
        check(3, 0.0, 6_800);
        check(3, 1.0, 9_200);
        check(20, 0.0, 102_000);
        check(20, 1.0, 120_000);
        check(0, f64::NAN, 1_000);
        check(0, f64::INFINITY, 1_150);
        check(0, -7.0, 850);
    }

    #[test]
    fn the_last_attempt_is_at_the_end_of_the_time() {
        let check = |elapsed_millis, want_millis: Option<u64>| {
            let backoff = Backoff::new(Duration::from_secs(10));
            let pause = backoff.next(2, Duration::from_millis(elapsed_millis), MIDDLE);
            assert_eq!(pause, want_millis.map(Duration::from_millis), "{elapsed_millis}");
        };
        check(0, Some(4_000));
        check(6_000, Some(4_000));
        check(9_000, Some(1_000));
        check(9_999, Some(1));
        check(10_000, None);
        check(11_000, None);
    }

    #[test]
    fn no_time_means_no_retry() {
        assert_eq!(Backoff::new(Duration::ZERO).next(0, Duration::ZERO, MIDDLE), None);
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_two_minutes(
            attempt: u32, elapsed in 0..u64::MAX, random: f64,
        ) {
            let elapsed = Duration::from_millis(elapsed);
            let pause = Backoff::endless().next(attempt, elapsed, random).unwrap();
            prop_assert!((Duration::from_millis(850)..=PAUSE_MAX).contains(&pause));
        }
    }
}
