//! Delivery streams: observe, decide, execute, tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, DeleteParams, Patch, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller, Error};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use model::{Clock, UnixMillis};
use operator_api::{DeliveryStream, Stream, StreamShardState};
use operator_core::manifests::{Settings, secret_name};
use operator_core::names::{self, PodRole};
use operator_core::{
    Delivery, DeliveryObserved, consumer_name, decide_delivery, delivery_conditions,
    delivery_members, delivery_namesake, is_remembered, status_patch, stream_uid,
};
use serde_json::{Value, json};
use shard::{LEASE, SystemClock};
use tokio::time::Instant;

use crate::ask::{self, Shards};
use crate::events;
use crate::execute::{self, ExecuteError};
use crate::metrics::{self, Kind, KindLabels, Metrics, Outcome, ReconcileLabels};
use crate::observe::{Caches, KINDS, api_of};
use crate::trust::Trust;

const CONCURRENCY: u16 = 8;
/// Changes that come together are looked at together, when the local copies have them too.
const DEBOUNCE: Duration = Duration::from_millis(50);
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at what has to let go of one that is deleted.
const FORGET_PAUSE: Duration = Duration::from_secs(2);
/// How long shards may be away that have to forget one that is deleted: then it goes all the same.
const FORGET_MAX: Duration = Duration::from_secs(300);
/// The longest that one look may take.
const RECONCILE_MAX: Duration = Duration::from_secs(60);

type Guarded = DeserializeGuard<DeliveryStream>;

struct Context {
    client: Client,
    caches: Arc<Caches>,
    settings: Settings,
    trust: Arc<Trust>,
    metrics: Metrics,
    recorder: Recorder,
    all: Store<Guarded>,
}

/// Reconciles until the watches end.
pub(crate) async fn run(
    client: Client,
    caches: Arc<Caches>,
    settings: Settings,
    trust: Arc<Trust>,
    metrics: Metrics,
    recorder: Recorder,
) {
    let api: Api<Guarded> = Api::all(client.clone());
    let controller = Controller::new(api, watcher::Config::default());
    let all = controller.store();
    let (streams, sets) =
        (Api::<DeserializeGuard<Stream>>::all(client.clone()), Api::all(client.clone()));
    let readers = all.clone();
    let context = Arc::new(Context { client, caches, settings, trust, metrics, recorder, all });
    let ours = watcher::Config::default()
        .labels("app.kubernetes.io/name=leat,app.kubernetes.io/component=delivery");
    controller
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .watches(streams, watcher::Config::default(), move |stream| of_source(&readers, &stream))
        .owns(sets as Api<StatefulSet>, ours)
        .run(
            |stream, context: Arc<Context>| async move {
                context.caches.filled().await;
                reconcile(stream, context).await
            },
            after_error,
            context,
        )
        .for_each(|result| async {
            if let Err(Error::QueueError(error)) = result {
                tracing::warn!(%error, "the watch of DeliveryStreams failed; it begins again");
            }
        })
        .await;
}

/// Those that read a Stream.
fn of_source(all: &Store<Guarded>, source: &DeserializeGuard<Stream>) -> Vec<ObjectRef<Guarded>> {
    let Ok(source) = &source.0 else { return Vec::new() };
    let reads = |stream: &Guarded| {
        let Ok(stream) = &stream.0 else { return false };
        stream.namespace() == source.namespace() && is_source(source, stream)
    };
    let readers = all.state().into_iter().filter(|stream| reads(stream));
    readers.map(|stream| ObjectRef::from_obj(&*stream)).collect()
}

/// Whether it is the Stream that a delivery stream of its namespace reads.
fn is_source(source: &Stream, stream: &DeliveryStream) -> bool {
    match stream.spec.source.as_ref().and_then(|source| source.stream.as_ref()) {
        Some(named) => source.stream_name() == named.name,
        None => source.name_any() == names::source_stream(&stream.name_any()),
    }
}

/// Of two with one name in the AWS API the older, as everywhere.
fn find_source(stream: &DeliveryStream, ctx: &Context) -> Option<Stream> {
    let all = ctx.caches.streams.state();
    let readable = all.iter().filter_map(|source| source.0.as_ref().ok());
    let sources = readable
        .filter(|source| source.namespace() == stream.namespace() && is_source(source, stream));
    sources.reduce(|one, two| if names::is_older_namesake(one, two) { two } else { one }).cloned()
}

async fn reconcile(guarded: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, ExecuteError> {
    let started = Instant::now();
    let kind = Kind::DeliveryStream;
    let looked = match &guarded.0 {
        Ok(stream) => {
            let looked = tokio::time::timeout(RECONCILE_MAX, look(stream, &ctx)).await;
            looked.unwrap_or(Err(ExecuteError::TooLong))
        }
        Err(unreadable) => {
            let name = guarded.name_any();
            tracing::warn!(name, error = unreadable.error, "a DeliveryStream is unreadable");
            let (error, now) = (&unreadable.error, SystemClock.now());
            let told = execute::tell_unreadable(&ctx.client, &ctx.recorder, &*guarded, error, now);
            told.await.map(|is_written| {
                is_written.then(|| count_write(&ctx));
                (Action::await_change(), Outcome::Unreadable)
            })
        }
    };
    let outcome = match &looked {
        Ok((_, outcome)) => *outcome,
        Err(error) if error.is_conflict() => Outcome::Conflict,
        Err(_) => Outcome::Failed,
    };
    ctx.metrics.reconciles.get_or_create(&ReconcileLabels { kind, outcome }).inc();
    let seconds = started.elapsed().as_secs_f64();
    ctx.metrics.reconcile_seconds.get_or_create(&KindLabels { kind }).observe(seconds);
    looked.map(|(action, _)| action)
}

fn after_error(guarded: Arc<Guarded>, error: &ExecuteError, _: Arc<Context>) -> Action {
    if error.is_conflict() {
        return Action::requeue(CONFLICT_PAUSE);
    }
    if error.is_gone() {
        return Action::await_change();
    }
    let (namespace, name) = (guarded.namespace(), guarded.name_any());
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(namespace, name, %error, source, "a DeliveryStream was not reconciled");
    Action::requeue(FAILURE_PAUSE)
}

async fn look(
    stream: &DeliveryStream,
    ctx: &Context,
) -> Result<(Action, metrics::Outcome), ExecuteError> {
    if stream.metadata.deletion_timestamp.is_some() {
        return let_go(stream, ctx).await;
    }
    if is_remembered(stream) && !has_finalizer(stream) {
        set_finalizer(stream, true, ctx).await?;
        // The next look begins with it.
        return Ok((Action::requeue(Duration::ZERO), Outcome::Changed));
    }
    let now = SystemClock.now();
    let observed = observe(stream, ctx).await?;
    let Delivery { mut steps, owners, status, next } =
        decide_delivery(stream, &ctx.settings, &observed, now);
    if !owners.is_empty() {
        let set = names::delivery_set(stream);
        let namespace = stream.namespace().unwrap_or_default();
        let material = ctx.trust.material();
        let secret = material.node_secret(
            PodRole::Delivery,
            &set,
            &namespace,
            owners,
            observed.children.get("Secret"),
            now,
        )?;
        // Pods find it when they start.
        steps.splice(..0, secret);
    }
    for step in &steps {
        let (name, namespace) = (stream.name_any(), stream.namespace());
        tracing::info!(name, namespace, reason = step.reason, "applies");
        execute::apply(&ctx.client, step).await?;
        count_write(ctx);
    }
    let mut notes: Vec<_> = events::of_steps(&steps).into_iter().collect();
    notes.extend(events::of_conditions(delivery_conditions(stream), &status.conditions));
    let patch = status_patch(stream, &status);
    let is_changed = patch.is_some() || !steps.is_empty();
    if let Some(patch) = patch {
        let api: Api<DeliveryStream> =
            Api::namespaced(ctx.client.clone(), &stream.namespace().unwrap_or_default());
        let (params, patch) = (execute::params(), Patch::Merge(&patch));
        let patched = api.patch_status(&stream.name_any(), &params, &patch).await;
        patched.map_err(ExecuteError::Status)?;
        count_write(ctx);
    }
    events::publish(&ctx.recorder, stream, notes).await;
    let outcome = if is_changed { Outcome::Changed } else { Outcome::Unchanged };
    Ok((Action::requeue(next), outcome))
}

/// What was made for it goes with it; what it reads forgets it, once nobody reads for it any more.
async fn let_go(
    stream: &DeliveryStream,
    ctx: &Context,
) -> Result<(Action, metrics::Outcome), ExecuteError> {
    if !has_finalizer(stream) {
        return Ok((Action::await_change(), Outcome::Unchanged));
    }
    let deleted =
        stream.metadata.deletion_timestamp.as_ref().map_or(0, |time| time.0.as_millisecond());
    let now = SystemClock.now();
    let waited = now.since(UnixMillis(u64::try_from(deleted).unwrap_or_default()));
    let namespace = stream.namespace().unwrap_or_default();
    let again = Ok((Action::requeue(FORGET_PAUSE), Outcome::Unchanged));
    if stream.spec.pool.is_some() {
        if waited < LEASE {
            return again;
        }
    } else {
        let sets: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), &namespace);
        let set = sets.get_opt(&names::delivery_set(stream)).await.map_err(ExecuteError::Remove)?;
        // One of this name that is somebody else's is none of ours.
        let set = set.filter(|set| {
            set.owner_references().iter().any(|owner| Some(&owner.uid) == stream.uid().as_ref())
        });
        if let Some(set) = set {
            let meant = Preconditions { uid: set.uid(), ..Preconditions::default() };
            // It stays until its pods are gone.
            let params = DeleteParams { preconditions: Some(meant), ..DeleteParams::foreground() };
            let deleted = sets.delete(&set.name_any(), &params).await;
            deleted.map_err(ExecuteError::Remove)?;
            return again;
        }
    }
    if waited < FORGET_MAX {
        if let Err(why) = forget(stream, ctx).await {
            tracing::info!(name = stream.name_any(), namespace, why, "not forgotten yet");
            return again;
        }
    } else {
        let name = stream.name_any();
        tracing::warn!(
            name,
            namespace,
            "a Stream may still remember a DeliveryStream that is gone"
        );
    }
    set_finalizer(stream, false, ctx).await?;
    Ok((Action::await_change(), Outcome::Changed))
}

/// Makes the shards that it read forget it, if they are there.
async fn forget(stream: &DeliveryStream, ctx: &Context) -> Result<(), String> {
    let namespace = stream.namespace().unwrap_or_default();
    let source = find_source(stream, ctx);
    let source = source.filter(|source| source.metadata.deletion_timestamp.is_none());
    let Some(source) = source else { return Ok(()) };
    let (Some(of), Some(uid)) = (stream_uid(&source), operator_core::uid(&stream.metadata)) else {
        return Ok(());
    };
    let stateful_set = names::stateful_set(&source);
    let told = source.status.map(|status| status.shards).unwrap_or_default();
    let told = told.into_iter().filter(|shard| shard.state != StreamShardState::Pending);
    let told = told.filter_map(|shard| Some((shard.shard_id.parse().ok()?, shard.pod))).collect();
    let shards = Shards { stream: of, stateful_set, namespace };
    ask::forget(told, &shards, &consumer_name(uid), ctx.trust.material().tls()).await
}

fn has_finalizer(stream: &DeliveryStream) -> bool {
    stream.finalizers().iter().any(|name| name == names::FINALIZER)
}

async fn set_finalizer(
    stream: &DeliveryStream,
    wanted: bool,
    ctx: &Context,
) -> Result<(), ExecuteError> {
    let mut finalizers: Vec<&str> = stream.finalizers().iter().map(String::as_str).collect();
    finalizers.retain(|name| *name != names::FINALIZER);
    if wanted {
        finalizers.push(names::FINALIZER);
    }
    let patch = json!({"metadata": {
        "resourceVersion": stream.resource_version(),
        "finalizers": finalizers,
    }});
    let api: Api<DeliveryStream> =
        Api::namespaced(ctx.client.clone(), &stream.namespace().unwrap_or_default());
    let (params, patch) = (execute::params(), Patch::Merge(&patch));
    let patched = api.patch(&stream.name_any(), &params, &patch).await;
    patched.map_err(ExecuteError::Finalizers)?;
    count_write(ctx);
    Ok(())
}

async fn observe(stream: &DeliveryStream, ctx: &Context) -> Result<DeliveryObserved, ExecuteError> {
    let namespace = stream.namespace().unwrap_or_default();
    let set = names::delivery_set(stream);
    let secret = secret_name(&set);
    let looked = KINDS.map(|kind| {
        let (namespace, name) = (&namespace, if kind == "Secret" { &secret } else { &set });
        async move {
            let there = child(ctx, namespace, kind, name).await?;
            Ok::<_, ExecuteError>(there.map(|there| (kind, there)))
        }
    });
    let children: BTreeMap<&'static str, Value> =
        try_join_all(looked).await?.into_iter().flatten().collect();
    let source = find_source(stream, ctx);
    let all = ctx.all.state();
    let readable = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let members = delivery_members(stream, readable.clone());
    let namesake = delivery_namesake(stream, readable);
    Ok(DeliveryObserved { children, source, members, namesake })
}

/// An object that was made. One of this name that is somebody else's is in no local copy; and whether the
/// StatefulSet is there is asked, for its own watch may have said so before the copy's.
async fn child(
    ctx: &Context,
    namespace: &str,
    kind: &str,
    name: &str,
) -> Result<Option<Value>, ExecuteError> {
    let known = ctx.caches.child(kind, namespace, name).filter(|_| kind != "StatefulSet");
    if known.is_some() {
        return Ok(known);
    }
    let Some(api) = api_of(&ctx.client, namespace, kind) else { return Ok(None) };
    let there = api.get_opt(name).await.map_err(ExecuteError::List)?;
    Ok(there.and_then(|there| serde_json::to_value(there).ok()))
}

fn count_write(ctx: &Context) {
    ctx.metrics.writes.get_or_create(&KindLabels { kind: Kind::DeliveryStream }).inc();
}
