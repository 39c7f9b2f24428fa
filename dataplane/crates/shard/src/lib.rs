//! The shard engine: one actor per shard on pinned io_uring threads.
