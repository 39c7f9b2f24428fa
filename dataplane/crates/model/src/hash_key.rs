//! The ring of hash keys, and the arcs of it that shards own.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};

/// A point of the ring: an unsigned 128-bit number, decimal in the AWS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl HashKey {
    /// Where the ring starts.
    pub const MIN: HashKey = HashKey(0);
    /// The last point of the ring, 2^128 - 1.
    pub const MAX: HashKey = HashKey(u128::MAX);

    /// The MD5 of the key's UTF-8, read as a big-endian number, as AWS PutRecord.
    #[must_use]
    pub fn of(partition_key: &str) -> HashKey {
        HashKey(u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into()))
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no hash key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hash key {0:?}, want a decimal number below 2^128 without leading zeros")]
pub struct ParseHashKeyError(String);

impl FromStr for HashKey {
    type Err = ParseHashKeyError;

    fn from_str(text: &str) -> Result<HashKey, ParseHashKeyError> {
        let refused = || ParseHashKeyError(text.chars().take(64).collect());
        let canonical = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
        if !canonical {
            return Err(refused());
        }
        text.parse().map(HashKey).map_err(|_| refused())
    }
}

/// The arc of the ring one shard owns. Both ends inclusive, as in the AWS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKeyRange {
    starting: HashKey, // Invariant: starting <= ending.
    ending: HashKey,
}

impl HashKeyRange {
    /// The whole ring.
    pub const RING: HashKeyRange = HashKeyRange { starting: HashKey::MIN, ending: HashKey::MAX };

    /// The range from `starting` to `ending`; `None` when they are the wrong way round.
    #[must_use]
    pub fn new(starting: HashKey, ending: HashKey) -> Option<HashKeyRange> {
        (starting <= ending).then_some(HashKeyRange { starting, ending })
    }

    /// Its first key.
    #[must_use]
    pub fn starting(self) -> HashKey {
        self.starting
    }

    /// Its last key.
    #[must_use]
    pub fn ending(self) -> HashKey {
        self.ending
    }

    /// Whether it owns `key`.
    #[must_use]
    pub fn contains(self, key: HashKey) -> bool {
        self.starting <= key && key <= self.ending
    }

    /// Cuts the range so that `at` starts the upper half; `None` unless both halves are non-empty.
    #[must_use]
    pub fn split(self, at: HashKey) -> Option<(HashKeyRange, HashKeyRange)> {
        if at <= self.starting || self.ending < at {
            return None;
        }
        let lower = HashKeyRange { starting: self.starting, ending: HashKey(at.0 - 1) };
        let upper = HashKeyRange { starting: at, ending: self.ending };
        Some((lower, upper))
    }

    /// This range and the one right behind it as one; `None` when `upper` does not follow.
    #[must_use]
    pub fn merge(self, upper: HashKeyRange) -> Option<HashKeyRange> {
        let follows = self.ending.0.checked_add(1) == Some(upper.starting.0);
        follows.then_some(HashKeyRange { starting: self.starting, ending: upper.ending })
    }
}

impl fmt::Display for HashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.starting, self.ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(starting: u128, ending: u128) -> HashKeyRange {
        HashKeyRange::new(HashKey(starting), HashKey(ending)).unwrap()
    }

    #[test]
    fn a_partition_key_hashes_as_in_aws() {
        // MD5("a") = 0cc175b9c0f1b6a831c399e269772661.
        assert_eq!(HashKey::of("a"), HashKey(0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661));
    }

    #[test]
    fn split_starts_the_upper_half_at_the_new_hash_key() {
        let check = |at, want: Option<&str>| {
            let halves = range(0, 99).split(HashKey(at));
            let text = halves.map(|(lower, upper)| format!("{lower} | {upper}"));
            assert_eq!(text.as_deref(), want, "{at}");
        };
        check(50, Some("0..=49 | 50..=99"));
        check(1, Some("0..=0 | 1..=99"));
        check(99, Some("0..=98 | 99..=99"));
        check(0, None);
        check(100, None);
    }

    #[test]
    fn only_adjacent_ranges_merge() {
        assert_eq!(range(0, 49).merge(range(50, 99)), Some(range(0, 99)));
        assert_eq!(range(0, 49).merge(range(51, 99)), None);
        assert_eq!(range(50, 99).merge(range(0, 49)), None);
        assert_eq!(HashKeyRange::RING.merge(HashKeyRange::RING), None);
    }

    #[test]
    fn hash_keys_are_canonical_decimals() {
        for good in ["0", "1", "340282366920938463463374607431768211455"] {
            assert_eq!(good.parse::<HashKey>().unwrap().to_string(), good);
        }
        for bad in ["", "00", "01", "+1", "-1", "1a", "340282366920938463463374607431768211456"] {
            assert!(bad.parse::<HashKey>().is_err(), "{bad}");
        }
    }
}
