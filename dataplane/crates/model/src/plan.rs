//! From the shards there are to the shards there should be, in waves of splits and merges.
//!
//! One pure function, used by whoever changes topologies, so that a boundary edited in a resource, a
//! SplitShard and an UpdateShardCount all lead the same way.

use std::collections::BTreeSet;

use crate::limits::SHARDS_MAX;
use crate::{HashKey, HashKeyRange, ShardId, ShardMap};

/// The starting hash keys of all shards: increasing, the first is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundaries(Vec<HashKey>);

/// Why hash keys are no boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundariesError {
    /// None, or more than a stream can have.
    #[error("a stream has 1 to {SHARDS_MAX} shards, not {0}")]
    Count(usize),
    /// The ring starts at 0, and so does the first shard.
    #[error("the first boundary is 0, not {0}")]
    First(HashKey),
    /// Repeated or out of order.
    #[error("boundaries increase, but {0} does not")]
    Order(HashKey),
}

impl Boundaries {
    /// These boundaries.
    ///
    /// # Errors
    /// They do not cut the ring.
    pub fn new(starting: Vec<HashKey>) -> Result<Boundaries, BoundariesError> {
        match starting.first() {
            Some(_) if SHARDS_MAX as usize * 2 < starting.len() => {
                return Err(BoundariesError::Count(starting.len()));
            }
            None => return Err(BoundariesError::Count(0)),
            Some(first) if *first != HashKey::MIN => return Err(BoundariesError::First(*first)),
            Some(_) => {}
        }
        match starting.windows(2).find(|pair| pair[1] <= pair[0]) {
            Some(pair) => Err(BoundariesError::Order(pair[1])),
            None => Ok(Boundaries(starting)),
        }
    }

    /// `count` arcs of the same width, but for the rounding of where they start: twice as many start
    /// where these do, and in between, so that doubling splits each shard once and merges none.
    ///
    /// # Errors
    /// `Count`.
    pub fn uniform(count: u32) -> Result<Boundaries, BoundariesError> {
        if !(1..=SHARDS_MAX).contains(&count) {
            return Err(BoundariesError::Count(count as usize));
        }
        let count = u128::from(count);
        // 2^128 = width * count + rest, without 2^128; for one shard the width wraps to 0, and is not used.
        let width = (u128::MAX / count).wrapping_add((u128::MAX % count + 1) / count);
        let rest = (u128::MAX % count + 1) % count;
        let start = |number: u128| HashKey(number.wrapping_mul(width) + number * rest / count);
        Ok(Boundaries((0..count).map(start).collect()))
    }

    /// The starting hash keys.
    #[must_use]
    pub fn starting(&self) -> &[HashKey] {
        &self.0
    }

    /// The arcs they cut the ring into.
    pub fn ranges(&self) -> impl Iterator<Item = HashKeyRange> {
        let ends = self.0.iter().skip(1).map(|next| HashKey(next.0 - 1));
        let ends = ends.chain(std::iter::once(HashKey::MAX));
        let range = |(starting, ending): (&HashKey, HashKey)| {
            HashKeyRange::new(*starting, ending).expect("boundaries increase")
        };
        self.0.iter().zip(ends).map(range)
    }

    /// With one more; the same when it is there already.
    #[must_use]
    pub fn with(&self, key: HashKey) -> Boundaries {
        let mut starting = self.0.clone();
        if let Err(at) = starting.binary_search(&key) {
            starting.insert(at, key);
        }
        Boundaries(starting)
    }

    /// With one fewer; the same when it is not there, or is 0.
    #[must_use]
    pub fn without(&self, key: HashKey) -> Boundaries {
        let keep = |starting: &&HashKey| **starting != key || **starting == HashKey::MIN;
        Boundaries(self.0.iter().filter(keep).copied().collect())
    }
}

/// One change of a topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reshard {
    /// `parent` becomes two shards, the upper one starting at `at`.
    Split {
        /// The shard to split.
        parent: ShardId,
        /// The upper child's starting hash key.
        at: HashKey,
    },
    /// Two neighbours become one shard.
    Merge {
        /// The one with the lower arc.
        lower: ShardId,
        /// The one with the upper arc.
        upper: ShardId,
    },
}

/// The next wave of reshards from `current` towards `desired`: each can run beside the others. Empty
/// when there is nothing to do, and while a wave is under way.
///
/// All splits come before any merge, so that capacity does not dip on the way. Carrying out wave
/// after wave arrives in a number of waves that is logarithmic in the number of boundaries.
#[must_use]
pub fn plan(current: &ShardMap, desired: &Boundaries) -> Vec<Reshard> {
    if current.is_changing() {
        return Vec::new();
    }
    let splits: Vec<Reshard> =
        current.owners().filter_map(|shard| split(shard.id, shard.range, desired)).collect();
    if splits.is_empty() { merges(current, desired) } else { splits }
}

/// Splits at the median of the boundaries that are missing inside a shard.
fn split(parent: ShardId, range: HashKeyRange, desired: &Boundaries) -> Option<Reshard> {
    let first = desired.0.partition_point(|key| *key <= range.starting());
    let end = desired.0.partition_point(|key| *key <= range.ending());
    let missing = &desired.0[first..end];
    missing.get(missing.len() / 2).map(|at| Reshard::Split { parent, at: *at })
}

/// Merges shards that start where none should with their lower neighbours, each shard once.
fn merges(current: &ShardMap, desired: &Boundaries) -> Vec<Reshard> {
    let desired: BTreeSet<HashKey> = desired.0.iter().copied().collect();
    let mut merges = Vec::new();
    let mut owners = current.owners().peekable();
    while let Some(lower) = owners.next() {
        let is_surplus = |upper: &&crate::Shard| !desired.contains(&upper.range.starting());
        if let Some(upper) = owners.next_if(is_surplus) {
            merges.push(Reshard::Merge { lower: lower.id, upper: upper.id });
        }
    }
    merges
}
