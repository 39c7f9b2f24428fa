//! What is in the cluster: local copies of resources and of everything made for them, kept up to
//! date by watches, and the few looks that go past them to the API server.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, Shared};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector::store::Writer};
use kube::{Client, Resource, ResourceExt};
use operator_api::Stream;
use operator_core::{Claims, Observed, SHARDS_FIELDS, is_owner, names};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::memory::Memory;

/// A Stream, or one that this version does not read.
pub(crate) type Guarded = DeserializeGuard<Stream>;
/// Streams to look at.
pub(crate) type Triggers = mpsc::Sender<ObjectRef<Guarded>>;

/// Selects what the operator made for StatefulSets.
pub(crate) const MANAGED: &str = "app.kubernetes.io/managed-by=leat-operator";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// What it did not put its own name on: claims of volumes, whose labels never change.
const OURS: &str = "app.kubernetes.io/name=leat,app.kubernetes.io/component=stream";
/// Made by a StatefulSet, not by the operator.
const POD: &str = "Pod";
const CLAIM: &str = "PersistentVolumeClaim";

/// The kinds of objects that are made, by the words of `operator-core`.
pub(crate) const KINDS: [&str; 9] = [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "StatefulSet",
    "Secret",
];

/// The same, as the API server has them.
fn kinds() -> [ApiResource; 9] {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Role>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<Secret>(&()),
    ]
}

/// The API of a kind of objects that are made.
pub(crate) fn api_of(client: &Client, namespace: &str, kind: &str) -> Option<Api<DynamicObject>> {
    // Streams are made for delivery streams.
    let mut all = kinds().into_iter().chain([ApiResource::erase::<Stream>(&())]);
    let resource = all.find(|resource| resource.kind == kind)?;
    Some(Api::namespaced_with(client.clone(), namespace, &resource))
}

/// Streams that wait to be looked at because of something else.
const TRIGGERS_MAX: usize = 1024;

/// Local copies.
pub(crate) struct Caches {
    pub(crate) streams: Store<Guarded>,
    children: Vec<(&'static str, ApiResource, Store<DynamicObject>)>,
    /// One wait that all share: of several that wait for a copy itself, kube wakes only the last, and
    /// whatever the others were to look at would never be looked at again.
    filled: Shared<BoxFuture<'static, ()>>,
}

/// What keeps the copies up to date, and tells which streams to look at.
pub(crate) struct Watches {
    /// Forgets streams that are gone.
    pub(crate) memory: Arc<Memory>,
    /// Streams that changed.
    pub(crate) touched: BoxStream<'static, Result<Guarded, watcher::Error>>,
    /// One for each kind of children.
    pub(crate) pumps: Vec<BoxFuture<'static, ()>>,
    pub(crate) triggers: Triggers,
    pub(crate) triggered: mpsc::Receiver<ObjectRef<Guarded>>,
}

/// Copies that are empty until somebody polls what keeps them up to date.
pub(crate) fn start(client: &Client) -> (Arc<Caches>, Watches) {
    let memory = Arc::new(Memory::default());
    let (triggers, triggered) = mpsc::channel(TRIGGERS_MAX);
    let (streams, touched) = streams(client, Arc::clone(&memory), triggers.clone());
    let mut children = Vec::new();
    let mut pumps = Vec::new();
    let of_sets = [
        (POD, ApiResource::erase::<Pod>(&())),
        (CLAIM, ApiResource::erase::<PersistentVolumeClaim>(&())),
    ];
    for (name, resource) in KINDS.into_iter().zip(kinds()).chain(of_sets) {
        let writer = Writer::new(resource.clone());
        let reader = writer.as_reader();
        let api = Api::all_with(client.clone(), &resource);
        pumps.push(pump(name, api, writer, streams.clone(), triggers.clone()).boxed());
        children.push((name, resource, reader));
    }
    let (all, readers) = (streams.clone(), children.clone());
    let filled = async move {
        // An error means that the watch has ended, and with it the process.
        let _ = all.wait_until_ready().await;
        for (_, _, children) in &readers {
            let _ = children.wait_until_ready().await;
        }
    };
    let filled = filled.boxed().shared();
    let watches = Watches { memory, touched: touched.boxed(), pumps, triggers, triggered };
    (Arc::new(Caches { streams, children, filled }), watches)
}

impl Caches {
    /// Waits until every copy has been filled once. What is not in one that is not would be made again.
    pub(crate) fn filled(&self) -> Shared<BoxFuture<'static, ()>> {
        self.filled.clone()
    }

    fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let (_, resource, children) = self.children.iter().find(|(known, ..)| *known == kind)?;
        children.get(&ObjectRef::new_with(name, resource.clone()).within(namespace))
    }

    /// An object that was made.
    pub(crate) fn child(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let (_, resource, _) = self.children.iter().find(|(known, ..)| *known == kind)?;
        let object = self.object(kind, namespace, name)?;
        let mut value = serde_json::to_value(&*object).ok()?;
        // Objects of a list do not say what they are.
        value["apiVersion"] = resource.api_version.clone().into();
        value["kind"] = resource.kind.clone().into();
        Some(value)
    }

    fn claims(&self, namespace: &str, set: &str) -> Claims {
        let of_it = |claim: &DynamicObject| {
            claim.meta().namespace.as_deref() == Some(namespace)
                && claim.labels().get(INSTANCE).is_some_and(|instance| instance == set)
        };
        let claims = self.children.iter().find(|(kind, ..)| *kind == CLAIM);
        let claims = claims.map(|(.., claims)| claims.state_filter(of_it)).unwrap_or_default();
        count(claims.iter().map(|claim| claim.meta()))
    }

    /// What is known about a stream without asking anybody.
    pub(crate) fn observe(&self, stream: &Stream, memory: &Memory) -> Observed {
        let all = self.streams.state();
        let readable = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        let near = readable.filter(|other| is_neighbour(stream, other));
        let neighbours = near.map(|other| memory.newest(other)).collect();
        let is_partial = all
            .iter()
            .any(|other| other.0.is_err() && other.meta().namespace == stream.metadata.namespace);
        self.observe_with(stream, neighbours, is_partial, memory)
    }

    fn older_namesake(&self, stream: &Stream) -> Option<String> {
        let is_older =
            |other: &Guarded| other.0.as_ref().is_ok_and(|o| names::is_older_namesake(stream, o));
        self.streams.find(is_older).map(|other| other.name_any())
    }

    pub(crate) fn observe_with(
        &self,
        stream: &Stream,
        neighbours: Vec<Stream>,
        is_partial: bool,
        memory: &Memory,
    ) -> Observed {
        let namespace = stream.namespace().unwrap_or_default();
        let set = names::stateful_set(stream);
        let is_told = |kind: &&'static str| !["Secret", POD, CLAIM].contains(kind);
        let kinds = self.children.iter().map(|(kind, ..)| *kind).filter(is_told);
        let children: BTreeMap<&'static str, Value> =
            kinds.filter_map(|kind| Some((kind, self.child(kind, &namespace, &set)?))).collect();
        let (pods, is_rolled_out) = children.get("StatefulSet").map(pods).unwrap_or_default();
        let pods = (0..pods).map(|ordinal| names::pod(&set, ordinal));
        let is_ready =
            |pod: &String| self.object(POD, &namespace, pod).is_some_and(|pod| is_ready(&pod));
        Observed {
            pods_ready: pods.filter(is_ready).collect(),
            children,
            is_rolled_out,
            claims: self.claims(&namespace, &set),
            neighbours,
            is_partial,
            namesake: self.older_namesake(stream),
            answers: memory.answers(stream),
            loads: memory.loads(stream),
            io_uring_refused: memory.io_uring_refused(stream),
        }
    }
}

/// What there is of a set now, after it was to go.
pub(crate) async fn fresh_set(
    client: &Client,
    namespace: &str,
    set: &str,
    observed: &mut Observed,
) -> kube::Result<()> {
    let live: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    // One of this name that is somebody else's is not there for us.
    let labels = names::labels(names::PodRole::Stream, set);
    let is_ours = |live: &StatefulSet| {
        labels.iter().all(|(name, text)| live.labels().get(name) == Some(text))
    };
    match live.get_opt(set).await?.filter(is_ours) {
        Some(live) => {
            let live = serde_json::to_value(live).map_err(kube::Error::SerdeError)?;
            observed.children.insert("StatefulSet", live);
        }
        None => drop(observed.children.remove("StatefulSet")),
    }
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let ours = ListParams::default().labels(&names::selector_text(set));
    let claims = claims.list_metadata(&ours).await?;
    observed.claims = count(claims.iter().map(|claim| &claim.metadata));
    Ok(())
}

fn count<'a>(claims: impl Iterator<Item = &'a ObjectMeta>) -> Claims {
    claims.fold(Claims::default(), |Claims { all, going }, claim| Claims {
        all: all + 1,
        going: going + usize::from(claim.deletion_timestamp.is_some()),
    })
}

/// How many pods a StatefulSet asks for, and whether all are of its newest form.
fn pods(set: &Value) -> (u32, bool) {
    let number = |path: &str| set.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let revision = |name: &str| set["status"][name].as_str();
    let is_seen = number("/metadata/generation") <= number("/status/observedGeneration");
    let is_newest = revision("updateRevision") == revision("currentRevision");
    let pods = u32::try_from(number("/spec/replicas")).unwrap_or(u32::MAX);
    (pods, is_seen && is_newest && revision("updateRevision").is_some())
}

/// Whether a pod takes requests, and goes on to.
fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
    pod.meta().deletion_timestamp.is_none() && ready.any(|ready| ready["status"] == "True")
}

/// Of a pod only what [`is_ready`] looks at: nobody needs more, and there are many.
fn shorten(kind: &str, object: &mut DynamicObject) {
    object.managed_fields_mut().clear();
    if kind == POD {
        object.annotations_mut().clear();
        object.data = json!({"status": {"conditions": object.data["status"]["conditions"]}});
    }
    if kind == CLAIM {
        object.annotations_mut().clear();
        object.data = Value::Null;
    }
}

/// Whether two streams are of one pool.
fn is_neighbour(stream: &Stream, other: &Stream) -> bool {
    stream.spec.pool.is_some()
        && stream.spec.pool == other.spec.pool
        && stream.metadata.namespace == other.metadata.namespace
        && stream.metadata.uid != other.metadata.uid
}

/// The streams of a namespace as the API server has them now.
pub(crate) struct Fresh {
    /// The stream that was asked for; `None` when it is gone.
    pub(crate) stream: Option<Stream>,
    pub(crate) neighbours: Vec<Stream>,
    /// Whether there are streams that this version does not read, so that nobody knows what they
    /// have in a pool.
    pub(crate) is_partial: bool,
}

/// Asks past the local copies, before something is done that cannot be undone.
pub(crate) async fn fresh(client: &Client, stream: &Stream) -> kube::Result<Fresh> {
    let namespace = stream.namespace().unwrap_or_default();
    let api: Api<Guarded> = Api::namespaced(client.clone(), &namespace);
    let all = api.list(&ListParams::default()).await?.items;
    let is_partial = all.iter().any(|guarded| guarded.0.is_err());
    let readable: Vec<Stream> = all.into_iter().filter_map(|guarded| guarded.0.ok()).collect();
    let own = readable.iter().find(|other| other.metadata.uid == stream.metadata.uid);
    let neighbours = readable.iter().filter(|other| is_neighbour(stream, other));
    Ok(Fresh { stream: own.cloned(), neighbours: neighbours.cloned().collect(), is_partial })
}

/// Keeps one kind of children up to date.
async fn pump(
    kind: &'static str,
    api: Api<DynamicObject>,
    writer: Writer<DynamicObject>,
    streams: Store<Guarded>,
    triggers: Triggers,
) {
    let labels = if kind == CLAIM { OURS } else { MANAGED };
    let config = watcher::Config::default().labels(labels);
    let events = watcher(api, config).modify(move |object| shorten(kind, object));
    // By name: pods change often, and what streams of their set look at, only sometimes.
    let mut ready: BTreeMap<(Option<String>, String), bool> = BTreeMap::new();
    let mut events = std::pin::pin!(reflector(writer, events).default_backoff());
    while let Some(event) = events.next().await {
        let object = match event {
            Ok(Event::Apply(object)) if kind == POD => {
                let is = is_ready(&object);
                if ready.insert((object.namespace(), object.name_any()), is) == Some(is) {
                    continue;
                }
                object
            }
            Ok(Event::Delete(object)) => {
                ready.remove(&(object.namespace(), object.name_any()));
                object
            }
            Ok(Event::Apply(object)) => object,
            Ok(Event::Init) => {
                // What changes in a list is in no event.
                ready.clear();
                continue;
            }
            Ok(Event::InitApply(_)) => continue,
            // What vanished while nobody watched is in no event.
            Ok(Event::InitDone) => {
                for stream in streams.state() {
                    let _ = triggers.send(ObjectRef::from_obj(&*stream)).await;
                }
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a watch failed; it begins again");
                continue;
            }
        };
        let set = object.labels().get(INSTANCE);
        let of_it = |stream: &Guarded| {
            stream.namespace() == object.namespace()
                && stream.0.as_ref().is_ok_and(|s| Some(&names::stateful_set(s)) == set)
        };
        for stream in streams.state_filter(of_it) {
            // An error means that nobody reconciles any more.
            let _ = triggers.send(ObjectRef::from_obj(&*stream)).await;
        }
    }
}

/// Whether it says who wrote the number of shards, of which nobody else's is looked at.
fn is_about_shards(managed: &ManagedFieldsEntry) -> bool {
    SHARDS_FIELDS.iter().any(|field| is_owner(managed, field))
}

/// Streams, and the events of their watch: each after the local copy has it.
fn streams(
    client: &Client,
    memory: Arc<Memory>,
    triggers: Triggers,
) -> (
    Store<Guarded>,
    impl futures_util::Stream<Item = Result<Guarded, watcher::Error>> + Send + 'static,
) {
    let (reader, writer) = store::<Guarded>();
    let api: Api<Guarded> = Api::all(client.clone());
    let events = watcher(api, watcher::Config::default())
        .modify(|stream| stream.managed_fields_mut().retain(is_about_shards));
    let copy = reader.clone();
    let events = reflector(writer, events).default_backoff().inspect_ok(move |event| {
        let Event::Delete(gone) = event else { return };
        memory.forget(gone.meta().uid.as_deref().unwrap_or_default());
        // One of those that stay in the pool takes care of what the stream left; and one that waited
        // for its name has it now.
        let Ok(gone) = &gone.0 else { return };
        for next in [is_neighbour, names::is_namesake] {
            if let Some(next) = copy.find(|other| other.0.as_ref().is_ok_and(|o| next(gone, o))) {
                // When there is no room it is looked at later all the same.
                let _ = triggers.try_send(ObjectRef::from_obj(&*next));
            }
        }
    });
    (reader, events.applied_objects())
}
