//! Which shards run in this process, and how to reach them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use catalog::StreamUid;
use model::ShardId;
use shard::ShardHandle;

/// One shard of all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardKey {
    /// Its stream.
    pub stream: StreamUid,
    /// Its id there.
    pub shard: ShardId,
}

/// The running shards. Whoever starts and stops them keeps it up to date.
pub type Shards = ByShard<ShardHandle>;

/// Something of each shard. Clones are the same.
#[derive(Clone)]
pub struct ByShard<T>(Arc<RwLock<HashMap<ShardKey, T>>>);

impl<T> Default for ByShard<T> {
    fn default() -> ByShard<T> {
        ByShard(Arc::default())
    }
}

impl<T: Clone> ByShard<T> {
    /// That of a shard that is known.
    #[must_use]
    pub fn get(&self, key: ShardKey) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Makes a shard known.
    pub fn insert(&self, key: ShardKey, of_it: T) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, of_it);
    }

    /// Forgets a shard.
    pub fn remove(&self, key: ShardKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}
