//! The resources, watched.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use catalog::Stream as Known;
use futures_util::StreamExt;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use model::{ShardId, StreamName};
use operator_api::Stream;
use operator_core::names;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::convert;
use crate::copy;
use crate::pause::WatchPause;

/// How long a start waits for the API server, when there is a copy to start with.
const API_SERVER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Between two copies: this, or so many times what the last one took, if that is longer. What a pod's copy
/// does not know yet is not served by the pod if it is killed while the API server is away.
const COPY_PAUSE_MIN: Duration = Duration::from_millis(50);
const COPY_PAUSE_FACTOR: u32 = 10;

/// A stream, and its resource.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) known: Arc<Known>,
    pub(crate) resource: Arc<Stream>,
}

/// A shard, and the pod that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The namespace of both.
    pub namespace: String,
    /// The StatefulSet that the pod is of.
    pub stateful_set: String,
    /// The pod.
    pub pod: String,
    /// The shard.
    pub shard: ShardId,
}

type ByName = BTreeMap<StreamName, Entry>;

/// All streams of a namespace, or of all namespaces.
pub struct Streams {
    pub(crate) client: Client,
    /// Only of this one.
    namespace: Option<String>,
    /// By namespace.
    entries: RwLock<HashMap<String, ByName>>,
    changes: watch::Sender<u64>,
    copy: Option<PathBuf>,
}

/// Why there is no catalog to start with.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// A copy that this program did not write, or that was damaged.
    #[error("read the copy of the catalog; remove it to start with the API server's")]
    Copy(#[source] std::io::Error),
    /// The API server was not reached, and there is no copy.
    #[error("the API server was not reached, and there is no copy of the catalog yet")]
    Unreachable,
}

impl Streams {
    /// Watches the streams of a namespace, or of all, and keeps a copy in the file of this name. Waits
    /// until all are known; with a copy, not for long.
    ///
    /// # Errors
    /// See [`StreamsError`].
    pub async fn start(
        client: Client,
        namespace: Option<String>,
        copy: Option<PathBuf>,
    ) -> Result<(Arc<Streams>, JoinHandle<()>), StreamsError> {
        let streams = Arc::new(Streams {
            client,
            namespace,
            entries: RwLock::default(),
            changes: watch::Sender::new(0),
            copy,
        });
        let copied = match &streams.copy {
            Some(file) => copy::read(file).map_err(StreamsError::Copy)?,
            None => None,
        };
        let has_copy = copied.is_some();
        streams.reset(copied.unwrap_or_default());
        let (ready, is_ready) = watch::channel(false);
        let watching = tokio::spawn(Arc::clone(&streams).watch(ready));
        let mut is_ready = is_ready;
        let ready = is_ready.wait_for(|ready| *ready);
        let wait = if has_copy { API_SERVER_WAIT_MAX } else { API_SERVER_WAIT_MAX * 12 };
        match tokio::time::timeout(wait, ready).await {
            Ok(_) => {}
            Err(_) if has_copy => {
                tracing::warn!(
                    "the API server is not reached: starting with the copy of the catalog"
                );
            }
            Err(_) => return Err(StreamsError::Unreachable),
        }
        Ok((streams, watching))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HashMap<String, ByName>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, ByName>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that grows with every change, to wait on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The namespaces that have streams.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// Every stream, with where its shards are.
    #[must_use]
    pub fn placed(&self) -> Vec<(Arc<Known>, Vec<Placed>)> {
        let read = self.read();
        let entries = read.iter().flat_map(|(namespace, by_name)| {
            by_name.values().map(move |entry| (Arc::clone(&entry.known), placed(namespace, entry)))
        });
        entries.collect()
    }

    /// Streams that are to be encrypted under a master key, and have no data key under it: their
    /// namespaces, they, and the master keys' ids.
    #[must_use]
    pub fn without_data_key(&self) -> Vec<(String, Arc<Known>, String)> {
        let read = self.read();
        let entries = read.iter().flat_map(|(namespace, by_name)| {
            by_name.values().filter_map(move |entry| {
                let key_id = &entry.resource.spec.encryption.as_ref()?.key_id;
                let is_missing = entry.known.settings.encryption.is_none();
                is_missing.then(|| (namespace.clone(), Arc::clone(&entry.known), key_id.clone()))
            })
        });
        entries.collect()
    }

    /// Takes what the API server answered to a change, unless something newer is known.
    pub(crate) fn learn(&self, resource: Stream) -> Option<Arc<Known>> {
        let namespace = resource.metadata.namespace.clone()?;
        let known = match convert::known(&resource) {
            Ok(known) => Arc::new(known),
            Err(what) => {
                let name = resource.metadata.name.as_deref().unwrap_or_default();
                tracing::error!(stream = name, namespace, what, "a stream is not served");
                return None;
            }
        };
        let mut entries = self.write();
        let by_name = entries.entry(namespace).or_default();
        let newer = by_name
            .get(&known.name)
            .filter(|entry| entry.known.uid == known.uid && known.version < entry.known.version);
        if let Some(newer) = newer {
            return Some(Arc::clone(&newer.known));
        }
        // Of two that have one name in the AWS API, the older has it, as the operator says too.
        let is_older = |entry: &Entry| names::is_older_namesake(&resource, &entry.resource);
        if by_name.get(&known.name).is_some_and(is_older) {
            return None;
        }
        let entry = Entry { known: Arc::clone(&known), resource: Arc::new(resource) };
        by_name.insert(known.name.clone(), entry);
        drop(entries);
        self.changes.send_modify(|number| *number += 1);
        Some(known)
    }

    /// The name of a stream's resource; `None` when there is no such stream.
    #[must_use]
    pub fn resource_name(&self, namespace: &str, stream: &StreamName) -> Option<String> {
        let read = self.read();
        read.get(namespace)?.get(stream)?.resource.metadata.name.clone()
    }

    pub(crate) fn forget(&self, resource: &Stream) {
        let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
        let mut entries = self.write();
        let Some(by_name) = entries.get_mut(namespace) else { return };
        by_name.retain(|_, entry| entry.resource.metadata.uid != resource.metadata.uid);
        if by_name.is_empty() {
            entries.remove(namespace);
        }
        drop(entries);
        self.changes.send_modify(|number| *number += 1);
    }

    /// All that there are, and no others.
    fn reset(&self, resources: Vec<Stream>) {
        let uids: Vec<_> = resources.iter().map(|r| r.metadata.uid.clone()).collect();
        for by_name in self.write().values_mut() {
            by_name.retain(|_, entry| uids.contains(&entry.resource.metadata.uid));
        }
        self.write().retain(|_, by_name| !by_name.is_empty());
        resources.into_iter().for_each(|resource| drop(self.learn(resource)));
        self.changes.send_modify(|number| *number += 1);
    }

    async fn watch(self: Arc<Self>, ready: watch::Sender<bool>) {
        let api: Api<DeserializeGuard<Stream>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let events = watcher::watcher(api, watcher::Config::default());
        let events = events.backoff(WatchPause::default());
        let mut events = pin!(events);
        let mut listed: Vec<Stream> = Vec::new();
        let mut next_copy = Instant::now();
        let mut is_copied = true;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep_until(next_copy), if !is_copied => {
                    let began = Instant::now();
                    self.copy();
                    let pause = (began.elapsed() * COPY_PAUSE_FACTOR).max(COPY_PAUSE_MIN);
                    (next_copy, is_copied) = (Instant::now() + pause, true);
                    continue;
                }
            };
            match event {
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(resource))) => listed.extend(parsed(resource)),
                Some(Ok(Event::InitDone)) => {
                    self.reset(std::mem::take(&mut listed));
                    ready.send_replace(true);
                }
                Some(Ok(Event::Apply(resource))) => {
                    if let Some(resource) = parsed(resource) {
                        self.learn(resource);
                    }
                }
                Some(Ok(Event::Delete(resource))) => {
                    if let Some(resource) = parsed(resource) {
                        self.forget(&resource);
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "watch streams"),
                None => return,
            }
            is_copied = false;
        }
    }

    fn copy(&self) {
        let Some(file) = &self.copy else { return };
        // Requests read the entries: nothing is written while they are held.
        let entries = |read: &HashMap<String, ByName>| -> Vec<Arc<Stream>> {
            let entries = read.values().flat_map(BTreeMap::values);
            entries.map(|entry| Arc::clone(&entry.resource)).collect()
        };
        let resources = entries(&self.read());
        if let Err(error) = copy::write(file, resources.iter().map(|resource| &**resource)) {
            tracing::warn!(%error, "the catalog was not copied: a restart needs the API server");
        }
    }
}

fn placed(namespace: &str, entry: &Entry) -> Vec<Placed> {
    let Some(status) = &entry.resource.status else {
        return Vec::new();
    };
    let stateful_set = status.stateful_set.clone().unwrap_or_default();
    let shards = entry.known.shards.shards().iter().zip(&status.shards);
    let place = |(shard, told): (&model::Shard, &operator_api::StreamShard)| Placed {
        namespace: namespace.to_owned(),
        stateful_set: stateful_set.clone(),
        pod: told.pod.clone(),
        shard: shard.id,
    };
    shards.map(place).collect()
}

/// One that does not parse stops none of the others.
fn parsed(guarded: DeserializeGuard<Stream>) -> Option<Stream> {
    match guarded.0 {
        Ok(resource) => Some(resource),
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            tracing::error!(stream = name, error = invalid.error, "a stream does not parse");
            None
        }
    }
}
