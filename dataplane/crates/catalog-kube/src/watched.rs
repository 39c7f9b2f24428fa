//! The resources of a kind, watched.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use catalog::{Stored, Stream as Known, StreamUid};
use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use model::{ShardId, StreamName};
use operator_api::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::copy;
use crate::pause::WatchPause;

/// How long a start waits for the API server, when there is a copy to start with.
const API_SERVER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Between two copies: this, or so many times what the last one took, if that is longer. What a pod's copy
/// does not know yet is not served by the pod if it is killed while the API server is away.
const COPY_PAUSE_MIN: Duration = Duration::from_millis(50);
const COPY_PAUSE_FACTOR: u32 = 10;

/// A kind of resource that is a catalog's.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// What the catalog knows of one.
    type Known: Stored + Clone + Send + Sync + 'static;

    /// What this one says.
    ///
    /// # Errors
    /// What is wrong with one that cannot be served.
    fn known(&self) -> Result<Self::Known, String>;

    /// Tells it from all others.
    fn uid(known: &Self::Known) -> StreamUid;

    /// A new one in this namespace.
    fn new_in(namespace: &str, known: &Self::Known) -> Self;

    /// What has to be stored so that this one, which says `current`, says `wanted`.
    fn edit(&self, current: &Self::Known, wanted: &Self::Known) -> Edit<Self>;

    /// Whether it is to go, or gone.
    fn is_going(known: &Self::Known) -> bool;

    /// The same, on its way out.
    fn going(known: Self::Known) -> Self::Known;

    /// Whether it is a part of something else, which users of the AWS API see instead.
    fn is_part(&self) -> bool;
}

/// A resource as it is to be stored, in two parts that are stored one after the other.
pub struct Edit<K> {
    /// With another status: what the rest may refer to.
    pub(crate) status: Option<K>,
    /// With another spec, or other metadata.
    pub(crate) rest: Option<K>,
}

/// What is known, and its resource.
pub(crate) struct Entry<K: Kind> {
    pub(crate) known: Arc<K::Known>,
    pub(crate) resource: Arc<K>,
}

impl<K: Kind> Clone for Entry<K> {
    fn clone(&self) -> Entry<K> {
        Entry { known: Arc::clone(&self.known), resource: Arc::clone(&self.resource) }
    }
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

type ByName<K> = BTreeMap<StreamName, Entry<K>>;

/// All resources of a kind in a namespace, or in all namespaces.
pub struct Watched<K: Kind> {
    pub(crate) client: Client,
    /// Only of this one.
    namespace: Option<String>,
    /// By namespace.
    entries: RwLock<HashMap<String, ByName<K>>>,
    changes: watch::Sender<u64>,
    copy: Option<PathBuf>,
}

/// Why there is no catalog to start with.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A copy that this program did not write, or that was damaged.
    #[error("read the copy of the catalog; remove it to start with the API server's")]
    Copy(#[source] std::io::Error),
    /// The API server was not reached, and there is no copy.
    #[error("the API server was not reached, and there is no copy of the catalog yet")]
    Unreachable,
}

impl<K: Kind> Watched<K> {
    /// Watches those of a namespace, or of all, and keeps a copy in the file of this name. Waits
    /// until all are known; with a copy, not for long.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub async fn start(
        client: Client,
        namespace: Option<String>,
        copy: Option<PathBuf>,
    ) -> Result<(Arc<Watched<K>>, JoinHandle<()>), WatchError> {
        let watched = Arc::new(Watched {
            client,
            namespace,
            entries: RwLock::default(),
            changes: watch::Sender::new(0),
            copy,
        });
        let copied = match &watched.copy {
            Some(file) => copy::read(file).map_err(WatchError::Copy)?,
            None => None,
        };
        let has_copy = copied.is_some();
        watched.reset(copied.unwrap_or_default());
        let (ready, is_ready) = watch::channel(false);
        let watching = tokio::spawn(Arc::clone(&watched).watch(ready));
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
            Err(_) => return Err(WatchError::Unreachable),
        }
        Ok((watched, watching))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HashMap<String, ByName<K>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, ByName<K>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that grows with every change, to wait on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The namespaces that have any.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// Takes what the API server answered to a change, unless something newer is known.
    pub(crate) fn learn(&self, resource: K) -> Option<Arc<K::Known>> {
        let namespace = resource.namespace()?;
        let known = match resource.known() {
            Ok(known) => Arc::new(known),
            Err(what) => {
                let (kind, name) = (K::kind(&()), resource.name_any());
                tracing::error!(%kind, name, namespace, what, "it is not served");
                return None;
            }
        };
        let mut entries = self.write();
        let by_name = entries.entry(namespace).or_default();
        let newer = by_name.get(known.name()).filter(|entry| {
            K::uid(&entry.known) == K::uid(&known) && known.version() < entry.known.version()
        });
        if let Some(newer) = newer {
            return Some(Arc::clone(&newer.known));
        }
        // Of two that have one name in the AWS API, the older has it, as the operator says too.
        let is_older = |entry: &Entry<K>| age(&*entry.resource) < age(&resource);
        if by_name.get(known.name()).is_some_and(is_older) {
            return None;
        }
        let entry = Entry { known: Arc::clone(&known), resource: Arc::new(resource) };
        by_name.insert(known.name().clone(), entry);
        drop(entries);
        self.changes.send_modify(|number| *number += 1);
        Some(known)
    }

    /// The name of the resource that has this name in the AWS API; `None` when there is none.
    #[must_use]
    pub fn resource_name(&self, namespace: &str, stream: &StreamName) -> Option<String> {
        let read = self.read();
        Some(read.get(namespace)?.get(stream)?.resource.name_any())
    }

    pub(crate) fn forget(&self, resource: &K) {
        let namespace = resource.namespace().unwrap_or_default();
        let mut entries = self.write();
        let Some(by_name) = entries.get_mut(&namespace) else { return };
        by_name.retain(|_, entry| entry.resource.meta().uid != resource.meta().uid);
        if by_name.is_empty() {
            entries.remove(&namespace);
        }
        drop(entries);
        self.changes.send_modify(|number| *number += 1);
    }

    /// All that there are, and no others.
    fn reset(&self, resources: Vec<K>) {
        let uids: Vec<_> = resources.iter().map(|r| r.meta().uid.clone()).collect();
        for by_name in self.write().values_mut() {
            by_name.retain(|_, entry| uids.contains(&entry.resource.meta().uid));
        }
        self.write().retain(|_, by_name| !by_name.is_empty());
        resources.into_iter().for_each(|resource| drop(self.learn(resource)));
        self.changes.send_modify(|number| *number += 1);
    }

    async fn watch(self: Arc<Self>, ready: watch::Sender<bool>) {
        let api: Api<DeserializeGuard<K>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let events = watcher::watcher(api, watcher::Config::default());
        let events = events.backoff(WatchPause::default());
        let mut events = pin!(events);
        let mut listed: Vec<K> = Vec::new();
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
                Some(Err(error)) => tracing::warn!(kind = %K::kind(&()), %error, "watch"),
                None => return,
            }
            is_copied = false;
        }
    }

    fn copy(&self) {
        let Some(file) = &self.copy else { return };
        // Requests read the entries: nothing is written while they are held.
        let entries = |read: &HashMap<String, ByName<K>>| -> Vec<Arc<K>> {
            let entries = read.values().flat_map(BTreeMap::values);
            entries.map(|entry| Arc::clone(&entry.resource)).collect()
        };
        let resources = entries(&self.read());
        if let Err(error) = copy::write(file, resources.iter().map(|resource| &**resource)) {
            tracing::warn!(%error, "the catalog was not copied: a restart needs the API server");
        }
    }
}

impl Watched<Stream> {
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
}

/// When it was made, and its uid: of two the older goes before.
fn age(resource: &impl Resource) -> impl Ord {
    let metadata = resource.meta();
    (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.uid.clone())
}

fn placed(namespace: &str, entry: &Entry<Stream>) -> Vec<Placed> {
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
fn parsed<K: Kind>(guarded: DeserializeGuard<K>) -> Option<K> {
    match guarded.0 {
        Ok(resource) => Some(resource),
        Err(invalid) => {
            let (kind, name) = (K::kind(&()), invalid.metadata.name.unwrap_or_default());
            tracing::error!(%kind, name, error = invalid.error, "it does not parse");
            None
        }
    }
}
