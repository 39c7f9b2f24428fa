//! Token buckets, with time passed in.

use std::time::Duration;

use crate::UnixMillis;

/// Admits `rate` units a second, and up to `burst` at once after a quiet time.
///
/// One request larger than the burst is admitted by a full bucket and leaves it in debt: a 10 MiB
/// record must be able to pass a shard of 1 MiB/s, as AWS's large records do.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: u64,
    burst: u64,
    /// Thousandths of a unit, negative when in debt. At most `burst` units.
    level: i128,
    updated: UnixMillis,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: u64, burst: u64, now: UnixMillis) -> TokenBucket {
        TokenBucket { rate: rate.max(1), burst, level: i128::from(burst) * 1_000, updated: now }
    }

    /// Takes `amount`, or says how long to wait before it can be taken.
    ///
    /// # Errors
    /// The time until the same request would succeed; nothing was taken.
    pub fn try_take(&mut self, amount: u64, now: UnixMillis) -> Result<(), Duration> {
        self.check(amount, now)?;
        self.charge(amount, now);
        Ok(())
    }

    /// Whether `amount` could be taken now.
    ///
    /// # Errors
    /// As [`try_take`](Self::try_take).
    pub fn check(&mut self, amount: u64, now: UnixMillis) -> Result<(), Duration> {
        self.refill(now);
        let needed = i128::from(amount.min(self.burst)) * 1_000;
        let missing = needed - self.level;
        if missing <= 0 {
            return Ok(());
        }
        // `rate` units a second are as many thousandths a millisecond.
        let rate = i128::from(self.rate);
        let millis = (missing + rate - 1) / rate;
        Err(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// Takes `amount`, going into debt if need be.
    pub fn charge(&mut self, amount: u64, now: UnixMillis) {
        self.refill(now);
        self.level -= i128::from(amount) * 1_000;
    }

    fn refill(&mut self, now: UnixMillis) {
        // A clock that stepped back refills nothing until it has caught up.
        let elapsed = now.0.saturating_sub(self.updated.0);
        self.updated = self.updated.max(now);
        let full = i128::from(self.burst) * 1_000;
        self.level = (self.level + i128::from(elapsed) * i128::from(self.rate)).min(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> UnixMillis {
        UnixMillis(10_000 + millis)
    }

    #[test]
    fn a_bucket_admits_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, 20, at(0));
        assert_eq!(bucket.try_take(20, at(0)), Ok(()));
        assert_eq!(bucket.try_take(1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.try_take(1, at(99)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.try_take(1, at(100)), Ok(()));
        assert_eq!(bucket.try_take(20, at(5_000)), Ok(()));
        assert_eq!(bucket.try_take(1, at(5_000)), Err(Duration::from_millis(100)));
    }

    #[test]
    fn a_request_above_the_burst_passes_a_full_bucket_and_leaves_debt() {
        let mut bucket = TokenBucket::new(10, 10, at(0));
        assert_eq!(bucket.try_take(100, at(0)), Ok(()));
        assert_eq!(bucket.try_take(1, at(0)), Err(Duration::from_millis(9_100)));
        assert_eq!(bucket.try_take(100, at(9_999)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.try_take(100, at(10_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_steps_back_neither_refills_nor_takes() {
        let mut bucket = TokenBucket::new(10, 10, at(1_000));
        assert_eq!(bucket.try_take(10, at(1_000)), Ok(()));
        assert!(bucket.try_take(1, at(0)).is_err());
        assert!(bucket.try_take(1, at(1_000)).is_err());
        assert_eq!(bucket.try_take(1, at(1_100)), Ok(()));
    }
}
