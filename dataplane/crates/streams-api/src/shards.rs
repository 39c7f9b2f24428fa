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

/// The running shards. Whoever starts and stops them keeps it up to date. Clones are the same.
#[derive(Clone, Default)]
pub struct Shards {
    handles: Arc<RwLock<HashMap<ShardKey, ShardHandle>>>,
}

impl Shards {
    /// The handle of a shard that runs.
    #[must_use]
    pub fn get(&self, key: ShardKey) -> Option<ShardHandle> {
        self.handles.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Makes a shard known.
    pub fn insert(&self, key: ShardKey, handle: ShardHandle) {
        self.handles.write().unwrap_or_else(PoisonError::into_inner).insert(key, handle);
    }

    /// Forgets a shard.
    pub fn remove(&self, key: ShardKey) {
        self.handles.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}
