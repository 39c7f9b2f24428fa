//! Which pod holds which shard, and how many pods there must be.
//!
//! A shard stays where its log is. New ones go to the pods with the fewest open shards, so pods that
//! are added fill up with the next reshards, and one that holds nothing readable any more can go.

use std::collections::BTreeMap;

/// How many shards each pod holds, by its ordinal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    open: BTreeMap<u32, u32>,
    readable: BTreeMap<u32, u32>,
}

impl Held {
    /// Counts a shard on the pod of this ordinal.
    pub fn add(&mut self, ordinal: u32, is_open: bool) {
        *self.readable.entry(ordinal).or_default() += 1;
        if is_open {
            *self.open.entry(ordinal).or_default() += 1;
        }
    }

    /// How many pods there must be for `open` shards, `per_pod` on each: never fewer than reach the
    /// last pod that holds something readable.
    #[must_use]
    pub fn pods(&self, open: u32, per_pod: u32) -> u32 {
        let last = self.readable.keys().next_back().map_or(0, |ordinal| ordinal + 1);
        pods_for(open, per_pod).max(last)
    }

    /// Puts one more open shard on one of the first `pods` pods: that with the fewest.
    pub fn place(&mut self, pods: u32) -> u32 {
        let fewest = |ordinal: &u32| self.open.get(ordinal).copied().unwrap_or_default();
        let ordinal = (0..pods.max(1)).min_by_key(fewest).unwrap_or_default();
        self.add(ordinal, true);
        ordinal
    }
}

/// How many pods hold `open` shards, `per_pod` on each.
#[must_use]
pub(crate) fn pods_for(open: u32, per_pod: u32) -> u32 {
    open.div_ceil(per_pod.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(shards: &[(u32, bool)]) -> Held {
        let mut held = Held::default();
        shards.iter().for_each(|(ordinal, is_open)| held.add(*ordinal, *is_open));
        held
    }

    #[test]
    fn there_are_pods_for_all_open_shards() {
        assert_eq!(held(&[]).pods(0, 16), 1);
        assert_eq!(held(&[]).pods(33, 16), 3);
        assert_eq!(pods_for(3, 2), 2);
    }

    #[test]
    fn a_pod_stays_while_something_on_it_can_be_read() {
        assert_eq!(held(&[(0, true), (4, false)]).pods(0, 16), 5);
    }

    #[test]
    fn new_shards_go_where_there_are_fewest() {
        let mut held = held(&[(0, true), (0, true), (1, true), (2, false)]);
        let placed: Vec<u32> = (0..5).map(|_| held.place(3)).collect();
        assert_eq!(placed, [2, 1, 2, 0, 1]);
    }
}
