//! The shards that run in this process: opened, given their settings, and removed.
//!
//! ```text
//!  shards/UID/SHARD/*.segment      the records of a shard
//! ```

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use catalog::{RecordLimits, Settings, Stream, StreamUid};
use encryption::{Keyring, MasterKeys};
use futures_util::future::join_all;
use model::{Shard, ShardId};
use shard::{Engine, Retention, ShardHandle, ShardOptions, Throughput};
use shard_log::OpenMode;
use streams_api::{ShardKey, Shards};

/// Keeps the shards of one data directory.
pub(crate) struct Keeper {
    engine: Engine,
    shards: Shards,
    directory: PathBuf,
    keys: Arc<MasterKeys>,
    /// The settings that the running shards of a stream have been given.
    configured: Mutex<HashMap<StreamUid, Settings>>,
}

impl Keeper {
    /// Shards that run on `engine`, in directories below this one, made known in `shards`.
    pub(crate) fn new(
        engine: Engine,
        shards: Shards,
        directory: PathBuf,
        keys: Arc<MasterKeys>,
    ) -> Keeper {
        Keeper { engine, shards, directory, keys, configured: Mutex::default() }
    }

    /// A shard that runs.
    pub(crate) fn get(&self, key: ShardKey) -> Option<ShardHandle> {
        self.shards.get(key)
    }

    /// Runs a shard.
    pub(crate) async fn open(
        &self,
        stream: &Stream,
        shard: &Shard,
        mode: OpenMode,
    ) -> (ShardId, ShardHandle) {
        let key = ShardKey { stream: stream.uid, shard: shard.id };
        let handle = self.engine.open(self.directory_of(key), mode, self.shard_options(stream));
        let handle = handle.await.expect("the engine outlives its keeper");
        self.shards.insert(key, handle.clone());
        (shard.id, handle)
    }

    /// Hands changed settings to the shards that run.
    pub(crate) async fn configure(&self, stream: &Stream) {
        if self.lock().get(&stream.uid) == Some(&stream.settings) {
            return;
        }
        let options = self.shard_options(stream);
        for shard in stream.shards.shards() {
            let key = ShardKey { stream: stream.uid, shard: shard.id };
            if let Some(handle) = self.shards.get(key) {
                // A shard that stopped is given its settings when it starts.
                let _ = handle.configure(options.clone()).await;
            }
        }
        self.is_configured(stream);
    }

    /// The shards of this stream have its settings.
    pub(crate) fn is_configured(&self, stream: &Stream) {
        self.lock().insert(stream.uid, stream.settings.clone());
    }

    /// Stops shards and removes their records. Those that are not there are removed.
    pub(crate) async fn remove(&self, stream: StreamUid, shards: &[ShardId]) -> io::Result<()> {
        let removed = shards.iter().map(|shard| {
            let key = ShardKey { stream, shard: *shard };
            self.shards.remove(key);
            self.engine.delete(self.directory_of(key))
        });
        join_all(removed).await.into_iter().collect()
    }

    /// The same with all shards of a stream, and what is left of it.
    pub(crate) async fn remove_stream(&self, stream: &Stream) -> io::Result<()> {
        let shards = stream.shards.shards().iter().map(|shard| shard.id).collect::<Vec<_>>();
        self.remove(stream.uid, &shards).await?;
        self.lock().remove(&stream.uid);
        match std::fs::remove_dir(self.stream_directory(stream.uid)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<StreamUid, Settings>> {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_of(&self, key: ShardKey) -> PathBuf {
        self.stream_directory(key.stream).join(format!("{:08}", key.shard.0))
    }

    fn stream_directory(&self, stream: StreamUid) -> PathBuf {
        self.directory.join(format!("{:016x}", stream.0))
    }

    fn shard_options(&self, stream: &Stream) -> ShardOptions {
        let settings = &stream.settings;
        ShardOptions {
            throughput: match settings.limits {
                RecordLimits::Unlimited => Throughput::Unlimited,
                RecordLimits::Aws => Throughput::Aws,
            },
            retention: Retention {
                age: Duration::from_secs(u64::from(settings.retention_hours) * 3600),
                bytes_max: settings.retention_bytes_per_shard,
            },
            keyring: Arc::new(self.keyring(stream)),
        }
    }

    /// The data keys that the key file unlocks; what was encrypted with others is refused when it is
    /// read, and so is encrypting with them.
    fn keyring(&self, stream: &Stream) -> Keyring {
        let context = stream.key_context();
        let unwrap = |key: &catalog::DataKey| {
            let unwrapped = self.keys.unwrap(&key.key_id, &context, &key.wrapped);
            let unwrapped = unwrapped.inspect_err(|error| {
                tracing::error!(stream = %stream.name, number = key.number, %error, "no data key");
            });
            Some((key.number, unwrapped.ok()?))
        };
        let keys = stream.data_keys.iter().filter_map(unwrap).collect();
        Keyring { keys, current: stream.settings.encryption }
    }
}
