//! Which shards can be read now.

use model::{Shard, ShardId, ShardMap, ShardState};

/// The shards whose parents have been read to their end, and that have not been themselves: records of a
/// partition key are read in the order they were put, over reshards too. A parent that is gone has
/// expired, and keeps nobody waiting.
pub fn readable(
    shards: &ShardMap,
    is_finished: impl Fn(ShardId) -> bool,
) -> impl Iterator<Item = &Shard> {
    let waits_for = |parent: &ShardId| shards.get(*parent).is_some();
    shards.shards().iter().filter(move |shard| {
        let mut parents = [shard.parent, shard.adjacent_parent].into_iter().flatten();
        shard.state != ShardState::Pending
            && parents.all(|parent| !waits_for(&parent) || is_finished(parent))
            && !is_finished(shard.id)
    })
}

#[cfg(test)]
mod tests {
    use model::{Boundaries, HashKey, Offset, UnixMillis, plan};

    use super::*;

    fn check(shards: &ShardMap, finished: &[u32], want: &[u32]) {
        let is_finished = |shard: ShardId| finished.contains(&shard.0);
        let got: Vec<u32> = readable(shards, is_finished).map(|shard| shard.id.0).collect();
        assert_eq!(got, want, "with {finished:?} finished");
    }

    fn reshard(shards: &mut ShardMap, desired: &Boundaries, now: UnixMillis) {
        let wave = plan(shards, desired);
        wave.iter().for_each(|reshard| shards.begin(reshard, now));
        let closing = |shard: &&Shard| shard.state == ShardState::Closing;
        let closed: Vec<_> = shards
            .shards()
            .iter()
            .filter(closing)
            .map(|shard| (shard.id, Offset(9), now))
            .collect();
        shards.finish(&closed);
    }

    #[test]
    fn children_wait_for_their_parents_and_expired_parents_for_nobody() {
        let two = Boundaries::uniform(2).unwrap();
        let mut shards = ShardMap::new(&two, UnixMillis(0));
        check(&shards, &[], &[]);
        shards.finish(&[]);
        check(&shards, &[], &[0, 1]);

        // 0 is split into 2 and 3, then 3 and 1 are merged into 4.
        let quarter = HashKey(u128::MAX / 4);
        let keys = [HashKey::MIN, quarter, two.starting()[1]];
        let three = Boundaries::new(keys.to_vec()).unwrap();
        reshard(&mut shards, &three, UnixMillis(5_000));
        check(&shards, &[], &[0, 1]);
        check(&shards, &[0], &[1, 2, 3]);
        reshard(&mut shards, &Boundaries::new(keys[..2].to_vec()).unwrap(), UnixMillis(9_000));
        check(&shards, &[], &[0, 1]);
        check(&shards, &[0, 1], &[2, 3]);
        check(&shards, &[0, 3], &[1, 2]);
        check(&shards, &[0, 1, 3], &[2, 4]);
        check(&shards, &[0, 1, 2, 3], &[4]);

        shards.forget_closed_before(UnixMillis(6_000));
        check(&shards, &[], &[1, 2, 3]);
    }
}
