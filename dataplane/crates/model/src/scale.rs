//! Shards that follow their load: where an on-demand stream's shards should start next.
//!
//! Not evenly, as AWS does it, but by key heat: a hot shard is split where half of its load lies on
//! either side, so that one hot key ends up in a shard as narrow as itself. Neighbours that have long
//! been quiet together are merged.

use std::collections::BTreeSet;

use crate::limits::{SHARD_WRITE_BYTES_PER_SECOND, SHARD_WRITE_RECORDS_PER_SECOND, SHARDS_MAX};
use crate::{Boundaries, HashKey, Shard, ShardId, ShardMap};

/// Half of what a shard takes, as AWS: the other half is for the time a split needs.
const HOT_BYTES_PER_SECOND: u64 = SHARD_WRITE_BYTES_PER_SECOND / 2;
const HOT_RECORDS_PER_SECOND: u64 = SHARD_WRITE_RECORDS_PER_SECOND / 2;
/// Two neighbours are quiet when both together have less than this part of a hot shard's load: far
/// enough below that a merge is not followed by a split.
const QUIET_FRACTION: u64 = 4;

/// What one shard has been asked to take lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardLoad {
    /// Data and partition keys.
    pub bytes_per_second: u64,
    /// Records.
    pub records_per_second: u64,
    /// The hash key that half of the load lies below.
    pub median: Option<HashKey>,
    /// Whether it has been quiet for long, not only lately.
    pub is_settled: bool,
}

/// What passed through one gateway on its way to a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Data and partition keys.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Hash keys of some of them: the more bytes, the more often.
    pub samples: Vec<HashKey>,
}

/// How many shards a stream may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleLimits {
    /// At least one.
    pub min: u32,
    /// At most what any stream can have.
    pub max: u32,
}

impl Default for ScaleLimits {
    fn default() -> ScaleLimits {
        ScaleLimits { min: 1, max: SHARDS_MAX }
    }
}

impl ShardLoad {
    /// Of two shards, which has more to do: as if a record cost as much as a KiB.
    fn weight(self) -> u64 {
        self.bytes_per_second.saturating_add(self.records_per_second.saturating_mul(1024))
    }

    fn is_hot(self) -> bool {
        HOT_BYTES_PER_SECOND <= self.bytes_per_second
            || HOT_RECORDS_PER_SECOND <= self.records_per_second
    }

    /// Whether it is quiet: one that is not can be no part of a quiet pair.
    #[must_use]
    pub fn is_quiet(self) -> bool {
        self.is_quiet_with(ShardLoad::default())
    }

    fn is_quiet_with(self, other: ShardLoad) -> bool {
        let bytes = self.bytes_per_second.saturating_add(other.bytes_per_second);
        let records = self.records_per_second.saturating_add(other.records_per_second);
        bytes < HOT_BYTES_PER_SECOND / QUIET_FRACTION
            && records < HOT_RECORDS_PER_SECOND / QUIET_FRACTION
    }
}

/// Where the shards should start, or `None` when they are right as they are. `load` says what each
/// shard has been through. The limits hold whatever the load is.
#[must_use]
pub fn scale(
    current: &ShardMap,
    load: impl Fn(ShardId) -> ShardLoad,
    limits: ScaleLimits,
) -> Option<Boundaries> {
    if current.is_changing() {
        return None;
    }
    let owners: Vec<&Shard> = current.owners().collect();
    let before: BTreeSet<HashKey> = owners.iter().map(|shard| shard.range.starting()).collect();
    let mut starting = before.clone();
    let (min, max) = (limits.min.max(1) as usize, limits.max.min(SHARDS_MAX) as usize);

    if max < owners.len() {
        let load = |shard: &&Shard| load(shard.id).weight();
        let owners = owners.iter().map(|shard| (shard.range.starting(), load(shard)));
        return Boundaries::new(merged_down(owners.collect(), max)).ok();
    }
    let mut hottest: Vec<&&Shard> = owners.iter().filter(|s| load(s.id).is_hot()).collect();
    hottest.sort_by_key(|shard| std::cmp::Reverse(load(shard.id).bytes_per_second));
    for shard in hottest {
        if starting.len() < max
            && let Some(at) = split_at(shard, load(shard.id).median)
        {
            starting.insert(at);
        }
    }
    // The widest shards are split until there are enough.
    while starting.len() < min {
        let Some(at) = widest_middle(&starting) else { break };
        starting.insert(at);
    }
    let mut upper = 1;
    while upper < owners.len() && min < starting.len() {
        let (left, right) = (load(owners[upper - 1].id), load(owners[upper].id));
        if left.is_settled && right.is_settled && left.is_quiet_with(right) {
            starting.remove(&owners[upper].range.starting());
            // Each shard takes part in one merge.
            upper += 1;
        }
        upper += 1;
    }
    if starting == before {
        return None;
    }
    Boundaries::new(starting.into_iter().collect()).ok()
}

/// Where a hot shard is split: the median of its load begins the upper half, or, when it is where the
/// shard begins, ends the lower one.
fn split_at(shard: &Shard, median: Option<HashKey>) -> Option<HashKey> {
    let (starting, ending) = (shard.range.starting(), shard.range.ending());
    let middle = HashKey(starting.0 + (ending.0 - starting.0).div_ceil(2));
    let median = median.unwrap_or(middle).max(starting);
    let at = if median == starting { HashKey(starting.0.saturating_add(1)) } else { median };
    (starting < at && at <= ending).then_some(at)
}

/// The neighbours that together have the least to do are merged until there are so many.
fn merged_down(mut shards: Vec<(HashKey, u64)>, max: usize) -> Vec<HashKey> {
    while max < shards.len() {
        let pairs = shards.windows(2).map(|pair| pair[0].1.saturating_add(pair[1].1));
        let Some((left, weight)) = pairs.enumerate().min_by_key(|(_, weight)| *weight) else {
            break;
        };
        shards[left].1 = weight;
        shards.remove(left + 1);
    }
    shards.into_iter().map(|(starting, _)| starting).collect()
}

fn widest_middle(starting: &BTreeSet<HashKey>) -> Option<HashKey> {
    let ends = starting.iter().skip(1).map(|next| next.0 - 1).chain([u128::MAX]);
    let arcs = starting.iter().map(|start| start.0).zip(ends);
    let (start, end) = arcs.max_by_key(|(start, end)| end - start)?;
    (start < end).then(|| HashKey(start + (end - start).div_ceil(2)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Offset, UnixMillis, plan};

    const HOT: ShardLoad = ShardLoad {
        bytes_per_second: 1 << 20,
        records_per_second: 10,
        median: None,
        is_settled: false,
    };
    const QUIET: ShardLoad =
        ShardLoad { bytes_per_second: 0, records_per_second: 0, median: None, is_settled: true };
    const BUSY: ShardLoad = ShardLoad {
        bytes_per_second: 200_000,
        records_per_second: 10,
        median: None,
        is_settled: false,
    };

    fn map(starting: &[u128]) -> ShardMap {
        let keys = starting.iter().map(|key| HashKey(*key)).collect();
        let mut map = ShardMap::new(&Boundaries::new(keys).unwrap(), UnixMillis(0));
        map.finish(&[]);
        map
    }

    fn check(starting: &[u128], loads: &[ShardLoad], limits: ScaleLimits, want: Option<&[u128]>) {
        let got = scale(&map(starting), |shard| loads[shard.0 as usize], limits);
        let got = got.map(|to| to.starting().iter().map(|key| key.0).collect::<Vec<_>>());
        assert_eq!(got.as_deref(), want);
    }

    #[test]
    fn hot_shards_are_split_at_the_median_of_their_load() {
        let any = ScaleLimits::default();
        let at = |median| ShardLoad { median: Some(HashKey(median)), ..HOT };
        check(&[0], &[at(77)], any, Some(&[0, 77]));
        check(&[0, 100], &[at(77), BUSY], any, Some(&[0, 77, 100]));
        check(&[0, 100], &[BUSY, BUSY], any, None);
        check(&[0], &[HOT], any, Some(&[0, 1 << 127]));
        let many = ShardLoad { records_per_second: 500, ..BUSY };
        check(&[0], &[many], any, Some(&[0, 1 << 127]));
        // The hottest first when there is room for one.
        let hotter = ShardLoad { bytes_per_second: 2 << 20, ..at(150) };
        check(&[0, 100], &[at(77), hotter], ScaleLimits { min: 1, max: 3 }, Some(&[0, 100, 150]));
    }

    #[test]
    fn one_hot_key_ends_up_alone_and_then_nothing_helps() {
        let any = ScaleLimits::default();
        let hot = ShardLoad { median: Some(HashKey(77)), ..HOT };
        check(&[0], &[hot], any, Some(&[0, 77]));
        check(&[0, 77], &[BUSY, hot], any, Some(&[0, 77, 78]));
        check(&[0, 77, 78], &[BUSY, hot, BUSY], any, None);
        let last = ShardLoad { median: Some(HashKey(u128::MAX)), ..HOT };
        check(&[0, u128::MAX], &[BUSY, last], any, None);
    }

    #[test]
    fn quiet_neighbours_are_merged_down_to_the_minimum() {
        let any = ScaleLimits::default();
        check(&[0, 10, 20, 30], &[QUIET; 4], any, Some(&[0, 20]));
        check(&[0, 10, 20, 30], &[QUIET; 4], ScaleLimits { min: 3, max: 9 }, Some(&[0, 20, 30]));
        check(&[0, 10, 20], &[QUIET, BUSY, QUIET], any, None);
        check(&[0, 10], &[QUIET, ShardLoad { is_settled: false, ..QUIET }], any, None);
        check(&[0], &[QUIET], any, None);
        let both = ShardLoad { median: Some(HashKey(25)), ..HOT };
        check(&[0, 10, 20], &[QUIET, QUIET, both], any, Some(&[0, 20, 25]));
    }

    #[test]
    fn there_are_as_many_as_the_minimum() {
        let limits = ScaleLimits { min: 4, max: 9 };
        let quarter = 1 << 126;
        check(&[0], &[QUIET], limits, Some(&[0, quarter, 2 * quarter, 3 * quarter]));
    }

    #[test]
    fn there_are_no_more_than_the_maximum_whatever_the_load_is() {
        let limits = ScaleLimits { min: 1, max: 2 };
        check(&[0, 10, 20, 30], &[HOT, BUSY, QUIET, HOT], limits, Some(&[0, 30]));
        check(&[0, 10, 20], &[HOT, HOT, BUSY], limits, Some(&[0, 10]));
        check(&[0, 10], &[HOT, HOT], limits, None);
    }

    #[test]
    fn load_on_uneven_keys_is_evened_out() {
        // Nine tenths of the load on a thousandth of the ring.
        let keys: Vec<u128> = (0..1_000)
            .map(|n| if n % 10 == 0 { n * (u128::MAX / 1_000) } else { n * 1_000_000 })
            .collect();
        let mut map = map(&[0]);
        for _ in 0..8 {
            let loads: BTreeMap<ShardId, ShardLoad> = map
                .owners()
                .map(|shard| {
                    let mut inside: Vec<u128> = keys
                        .iter()
                        .copied()
                        .filter(|key| shard.range.contains(HashKey(*key)))
                        .collect();
                    inside.sort_unstable();
                    let load = ShardLoad {
                        bytes_per_second: inside.len() as u64 * 10_000,
                        median: inside.get(inside.len() / 2).map(|key| HashKey(*key)),
                        ..ShardLoad::default()
                    };
                    (shard.id, load)
                })
                .collect();
            let Some(desired) = scale(&map, |id| loads[&id], ScaleLimits::default()) else {
                let most = loads.values().map(|load| load.bytes_per_second).max();
                assert!(most < Some(HOT_BYTES_PER_SECOND), "{most:?}");
                assert!(map.owners().len() < 40, "{}", map.owners().len());
                return;
            };
            for reshard in plan(&map, &desired) {
                map.begin(&reshard, UnixMillis(0));
            }
            let closing: Vec<_> = map
                .shards()
                .iter()
                .filter(|s| s.state == crate::ShardState::Closing)
                .map(|s| (s.id, Offset(0), UnixMillis(0)))
                .collect();
            map.finish(&closing);
        }
        panic!("still hot after eight rounds");
    }
}
