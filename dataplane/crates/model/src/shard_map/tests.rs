//! The laws of topologies, over arbitrary ones.

use proptest::prelude::*;

use super::*;
use crate::{SequenceNumber, plan};

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn open(boundaries: &Boundaries) -> ShardMap {
    let mut map = ShardMap::new(boundaries, START);
    assert_eq!(map.route(HashKey(5)), None, "pending shards take nothing");
    map.finish(&[]);
    map
}

/// Carries out wave after wave; checks the laws at every state that would be stored.
fn converge(map: &mut ShardMap, desired: &Boundaries) -> usize {
    let mut now = START;
    for wave in 0..200 {
        let reshards = plan(map, desired);
        if reshards.is_empty() {
            return wave;
        }
        now = now.saturating_add(std::time::Duration::from_millis(100));
        for reshard in &reshards {
            map.begin(reshard, now);
            check_laws(map);
        }
        assert!(plan(map, desired).is_empty(), "a wave at a time");
        let closing: Vec<_> = map
            .shards()
            .iter()
            .filter(|shard| shard.state == ShardState::Closing)
            .map(|shard| (shard.id, Offset(9), now))
            .collect();
        map.finish(&closing);
        check_laws(map);
    }
    panic!("no end of waves");
}

fn check_laws(map: &ShardMap) {
    let stored = ShardMap::from_parts(map.shards().to_vec(), map.next_id());
    assert_eq!(stored.as_ref(), Ok(map), "what is stored comes back, and owns the ring once");
    for shard in map.shards() {
        for parent in [shard.parent, shard.adjacent_parent].into_iter().flatten() {
            assert!(parent < shard.id);
            let Some(parent) = map.get(parent) else {
                continue;
            };
            let last = SequenceNumber::ending(parent.id, parent.created, UnixMillis(u64::MAX));
            assert!(last < SequenceNumber::starting(shard.id, shard.created));
        }
    }
}

fn boundaries() -> impl Strategy<Value = Boundaries> {
    let few = prop::collection::btree_set(1..50_u128, 0..20);
    (few, any::<bool>()).prop_map(|(keys, spread)| {
        let step = if spread { u128::MAX / 50 } else { 1 };
        let keys = keys.into_iter().map(|key| HashKey(key * step));
        Boundaries::new(std::iter::once(HashKey::MIN).chain(keys).collect()).unwrap()
    })
}

proptest! {
    #[test]
    fn any_topology_leads_to_any_other(from in boundaries(), to in boundaries()) {
        let mut map = open(&from);
        let waves = converge(&mut map, &to);
        prop_assert_eq!(map.boundaries(), Some(to.clone()));
        // 20 boundaries: at most 5 waves of splits and 6 of merges.
        prop_assert!(waves <= 11, "{} waves", waves);
    }

    #[test]
    fn every_key_is_routed_to_the_shard_that_owns_it(from in boundaries(), key: u128) {
        let map = open(&from);
        prop_assert!(map.route(HashKey(key)).unwrap().range.contains(HashKey(key)));
    }

    #[test]
    fn uniform_scaling_ends_uniform(from in 1..40_u32, to in 1..40_u32) {
        let mut map = open(&Boundaries::uniform(from).unwrap());
        converge(&mut map, &Boundaries::uniform(to).unwrap());
        prop_assert_eq!(map.boundaries(), Some(Boundaries::uniform(to).unwrap()));
        prop_assert_eq!(map.owners().len(), to as usize);
    }

    #[test]
    fn doubling_splits_each_shard_once_and_halving_merges_each_pair(count in 1..1_300_u32) {
        let (half, whole) = (Boundaries::uniform(count).unwrap(), Boundaries::uniform(2 * count).unwrap());
        let splits = plan(&open(&half), &whole);
        prop_assert_eq!(splits.len(), count as usize);
        let is_split = |reshard: &crate::Reshard| matches!(reshard, crate::Reshard::Split { .. });
        prop_assert!(splits.iter().all(is_split));
        let merges = plan(&open(&whole), &half);
        prop_assert_eq!(merges.len(), count as usize);
        prop_assert!(!merges.iter().any(is_split));
    }
}

#[test]
fn a_new_stream_is_cut_as_in_aws() {
    let map = open(&Boundaries::uniform(3).unwrap());
    let ranges: Vec<String> = map.owners().map(|shard| shard.range.to_string()).collect();
    assert_eq!(
        ranges,
        [
            "0..=113427455640312821154458202477256070484",
            "113427455640312821154458202477256070485..=226854911280625642308916404954512140969",
            "226854911280625642308916404954512140970..=340282366920938463463374607431768211455",
        ]
    );
}

#[test]
fn expired_shards_are_forgotten_and_their_ids_stay_used() {
    let mut map = open(&Boundaries::uniform(1).unwrap());
    converge(&mut map, &Boundaries::uniform(2).unwrap());
    assert_eq!(map.forget_closed_before(START), []);
    let later = START.saturating_add(std::time::Duration::from_secs(60));
    assert_eq!(map.forget_closed_before(later), [ShardId(0)]);
    converge(&mut map, &Boundaries::uniform(1).unwrap());
    assert_eq!(map.shards().last().map(|shard| shard.id), Some(ShardId(3)));
}

#[test]
fn contradictory_parts_are_refused() {
    let map = open(&Boundaries::uniform(2).unwrap());
    let parts = || map.shards().to_vec();
    let ids = ShardMap::from_parts(parts(), 1);
    assert_eq!(ids, Err(ShardMapError::Ids { next_id: 1 }));
    let hole = ShardMap::from_parts(parts()[..1].to_vec(), 2);
    assert!(matches!(hole, Err(ShardMapError::Ring(_))));
    let mut twice = parts();
    twice[1].range = HashKeyRange::RING;
    assert!(matches!(ShardMap::from_parts(twice, 2), Err(ShardMapError::Ring(_))));
}
