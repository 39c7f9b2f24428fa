//! Which shards a process reads, when several share a stream.

use model::ShardId;

/// One of several processes that share a stream's shards. They need not agree at every moment: a shard's
/// lease lets one of them read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its number among them, from 0.
    pub ordinal: u32,
    /// How many there are.
    pub of: u32,
}

impl Share {
    /// There are no others.
    pub const ALL: Share = Share { ordinal: 0, of: 1 };

    /// Whether this process is the one that should read a shard; others stand in for it when nobody does.
    /// Shards that were made together have consecutive numbers, so each process gets as many.
    #[must_use]
    pub fn has(self, shard: ShardId) -> bool {
        shard.0 % self.of.max(1) == self.ordinal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_in_one_share() {
        for of in 1..5 {
            for shard in 0..20 {
                let shares =
                    (0..of).filter(|ordinal| Share { ordinal: *ordinal, of }.has(ShardId(shard)));
                assert_eq!(shares.count(), 1, "shard {shard} of {of}");
            }
        }
        assert!(Share { ordinal: 0, of: 0 }.has(ShardId(3)));
        assert!(!Share { ordinal: 3, of: 2 }.has(ShardId(3)), "one that is to go");
    }
}
