//! What on-demand streams are asked to take, shard by shard and key by key.
//!
//! Every so many bytes the record at hand is remembered by its hash key: a sample in which a key counts
//! as much as its bytes, at the cost of an addition for each record.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{HashKey, Passed, ShardLoad, UnixMillis};

use crate::shards::ShardKey;

/// A sample each time this much has passed.
const SAMPLE_EVERY: usize = 16 << 10;
/// A record costs a shard more than its bytes: a shard of 1 MiB/s takes a thousand of them.
const RECORD_WEIGHT: usize = 1 << 10;
/// Samples kept of one shard.
const SAMPLES_MAX: usize = 512;

/// The loads of shards. Clones are the same.
///
/// A process that holds shards and serves them adds and takes. On a cluster each gateway adds what
/// passes through it, drains that now and then, and sends it to the pods that hold the shards; there
/// it is merged, and taken by the operator.
#[derive(Clone, Default)]
pub struct Heat {
    shards: Arc<Mutex<HashMap<ShardKey, ShardHeat>>>,
}

#[derive(Default)]
struct ShardHeat {
    since: UnixMillis,
    /// The last moment it was not quiet.
    busy: UnixMillis,
    bytes: u64,
    records: u64,
    until_sample: usize,
    samples: VecDeque<HashKey>,
}

impl Heat {
    /// Counts records, each by hash key and size, on their way to a shard.
    pub(crate) fn add(&self, key: ShardKey, records: impl Iterator<Item = (HashKey, usize)>) {
        let mut shards = self.lock();
        let heat = shards.entry(key).or_default();
        for (hash_key, bytes) in records {
            heat.bytes += bytes as u64;
            heat.records += 1;
            heat.until_sample += bytes + RECORD_WEIGHT;
            // A large record counts as much as the small ones that are as large together.
            for _ in 0..(heat.until_sample / SAMPLE_EVERY).min(SAMPLES_MAX) {
                heat.sample(hash_key);
            }
            heat.until_sample %= SAMPLE_EVERY;
        }
    }

    /// All that was added since this was last called.
    #[must_use]
    pub fn drain(&self) -> Vec<(ShardKey, Passed)> {
        let shards = std::mem::take(&mut *self.lock());
        let passed = |heat: ShardHeat| {
            let ShardHeat { bytes, records, samples, .. } = heat;
            Passed { bytes, records, samples: samples.into() }
        };
        shards.into_iter().map(|(key, heat)| (key, passed(heat))).collect()
    }

    /// Counts what a gateway drained.
    pub fn merge(&self, key: ShardKey, passed: Passed) {
        let mut shards = self.lock();
        let heat = shards.entry(key).or_default();
        heat.bytes = heat.bytes.saturating_add(passed.bytes);
        heat.records = heat.records.saturating_add(passed.records);
        passed.samples.into_iter().for_each(|sample| heat.sample(sample));
    }

    /// The load of a shard since it was last asked for; `None` the first time. It `is_settled` when it
    /// has been quiet for `quiet_for`.
    #[must_use]
    pub fn take(&self, key: ShardKey, now: UnixMillis, quiet_for: Duration) -> Option<ShardLoad> {
        let mut shards = self.lock();
        let heat = shards.entry(key).or_default();
        let before = std::mem::replace(&mut heat.since, now);
        if before == UnixMillis::default() {
            // What came before was counted for an unknown time: no rate can be made of it.
            *heat = ShardHeat { since: now, busy: now, ..ShardHeat::default() };
            return None;
        }
        let millis = u64::try_from(now.since(before).as_millis()).unwrap_or(u64::MAX).max(1);
        let per_second = |count: u64| count.saturating_mul(1_000) / millis;
        let mut samples: Vec<HashKey> = heat.samples.iter().copied().collect();
        samples.sort_unstable();
        let load = ShardLoad {
            bytes_per_second: per_second(std::mem::take(&mut heat.bytes)),
            records_per_second: per_second(std::mem::take(&mut heat.records)),
            median: samples.get(samples.len() / 2).copied(),
            is_settled: quiet_for <= now.since(heat.busy),
        };
        if !load.is_quiet() {
            heat.busy = now;
        }
        Some(load)
    }

    /// Keeps only the loads of these shards.
    pub fn retain(&self, keep: impl Fn(&ShardKey) -> bool) {
        self.lock().retain(|key, _| keep(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShardKey, ShardHeat>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardHeat {
    fn sample(&mut self, hash_key: HashKey) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(hash_key);
    }
}

#[cfg(test)]
mod tests {
    use catalog::StreamUid;
    use model::ShardId;

    use super::*;

    const KEY: ShardKey = ShardKey { stream: StreamUid(1), shard: ShardId(0) };
    const QUIET_FOR: Duration = Duration::from_secs(60);

    #[test]
    fn loads_are_rates_and_the_median_is_by_bytes() {
        let heat = Heat::default();
        let at = |seconds: u64| UnixMillis(1_000_000 + seconds * 1_000);
        heat.add(KEY, std::iter::once((HashKey(1), 1 << 30)));
        assert_eq!(heat.take(KEY, at(0), QUIET_FOR), None);
        // Few large records on high keys outweigh many small ones on low keys.
        heat.add(KEY, (0..1_000).map(|number| (HashKey(number), 10)));
        heat.add(KEY, (0..400).map(|number| (HashKey(10_000 + number), 10_000)));
        let load = heat.take(KEY, at(2), QUIET_FOR).unwrap();
        assert_eq!(load.bytes_per_second, (10_000 + 4_000_000) / 2);
        assert_eq!(load.records_per_second, 700);
        assert!(HashKey(10_000) < load.median.unwrap(), "{load:?}");
        let later = heat.take(KEY, at(3), QUIET_FOR).unwrap();
        assert_eq!((later.bytes_per_second, later.is_settled), (0, false));
        assert!(heat.take(KEY, at(62), QUIET_FOR).unwrap().is_settled);
        heat.retain(|_| false);
        assert_eq!(heat.take(KEY, at(63), QUIET_FOR), None);
    }

    #[test]
    fn large_records_count_by_their_bytes() {
        let (heat, at) = (Heat::default(), UnixMillis(1_000_000));
        assert_eq!(heat.take(KEY, at, QUIET_FOR), None);
        heat.add(KEY, (0..10).map(|_| (HashKey(1), 100 << 10)));
        heat.add(KEY, (0..200).map(|_| (HashKey(2), 1 << 10)));
        let later = UnixMillis(1_001_000);
        assert_eq!(heat.take(KEY, later, QUIET_FOR).unwrap().median, Some(HashKey(1)));
    }

    #[test]
    fn what_gateways_drain_is_one_load_where_it_is_merged() {
        let at = |seconds: u64| UnixMillis(1_000_000 + seconds * 1_000);
        let (gateways, pod) = ([Heat::default(), Heat::default()], Heat::default());
        assert_eq!(pod.take(KEY, at(0), QUIET_FOR), None);
        for (gateway, base) in gateways.iter().zip([0, 10_000]) {
            gateway.add(KEY, (0..1_000).map(|number| (HashKey(base + number), 1_000)));
            for (key, passed) in gateway.drain() {
                pod.merge(key, passed);
            }
            assert_eq!(gateway.drain(), []);
        }
        let load = pod.take(KEY, at(1), QUIET_FOR).unwrap();
        assert_eq!((load.bytes_per_second, load.records_per_second), (2_000_000, 2_000));
        let median = load.median.unwrap().0;
        assert!((900..=10_100).contains(&median), "{median}");
    }
}
