//! The segmented log of one shard.
