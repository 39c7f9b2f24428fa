//! The kinds that are checked, but not carried out yet.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller, Error};
use kube::runtime::events::Recorder;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use model::{Clock, UnixMillis};
use operator_api::conditions::{self, Says, reasons, types};
use operator_api::{AnalyticsApp, VideoStream};
use operator_core::{SpecError, names, validate_analytics_app, validate_video_stream};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shard::SystemClock;
use tokio::time::Instant;

use crate::events::{self, Note};
use crate::execute::{self, ExecuteError};
use crate::metrics::{self, Kind, KindLabels, Metrics, ReconcileLabels};

const CONCURRENCY: u16 = 8;
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// A kind that is checked.
pub(crate) trait Checked:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    const KIND: Kind;

    fn check(&self) -> Result<(), Vec<SpecError>>;

    /// The generation and the conditions that its status tells.
    fn told(&self) -> (Option<i64>, &[Condition]);
}

macro_rules! checked {
    ($kind:ident, $check:path) => {
        impl Checked for $kind {
            const KIND: Kind = Kind::$kind;

            fn check(&self) -> Result<(), Vec<SpecError>> {
                $check(self)
            }

            fn told(&self) -> (Option<i64>, &[Condition]) {
                let status = self.status.as_ref();
                let conditions = status.map_or(&[][..], |status| &status.conditions);
                (status.and_then(|status| status.observed_generation), conditions)
            }
        }
    };
}

checked!(AnalyticsApp, validate_analytics_app);
checked!(VideoStream, validate_video_stream);

struct Context {
    client: Client,
    metrics: Metrics,
    recorder: Recorder,
}

/// Checks all resources of a kind until the watch ends.
pub(crate) async fn run<K: Checked>(client: Client, metrics: Metrics, recorder: Recorder) {
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let context = Arc::new(Context { client, metrics, recorder });
    Controller::new(api, watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .run(reconcile::<K>, after_error::<K>, context)
        .for_each(|result| async {
            if let Err(Error::QueueError(error)) = result {
                let kind = K::kind(&());
                tracing::warn!(%kind, %error, "a watch failed; it begins again");
            }
        })
        .await;
}

async fn reconcile<K: Checked>(
    guarded: Arc<DeserializeGuard<K>>,
    ctx: Arc<Context>,
) -> Result<Action, ExecuteError> {
    let started = Instant::now();
    let looked = match &guarded.0 {
        Ok(resource) => look(resource, &ctx).await,
        Err(unreadable) => {
            let (kind, name) = (K::kind(&()), guarded.name_any());
            tracing::warn!(%kind, name, error = unreadable.error, "a resource is unreadable");
            let (error, now) = (&unreadable.error, SystemClock.now());
            let told = execute::tell_unreadable(&ctx.client, &ctx.recorder, &*guarded, error, now);
            told.await.map(|is_written| {
                let writes = ctx.metrics.writes.get_or_create(&KindLabels { kind: K::KIND });
                is_written.then(|| writes.inc());
                metrics::Outcome::Unreadable
            })
        }
    };
    let outcome = match &looked {
        Ok(outcome) => *outcome,
        Err(error) if error.is_conflict() => metrics::Outcome::Conflict,
        Err(_) => metrics::Outcome::Failed,
    };
    let kind = K::KIND;
    ctx.metrics.reconciles.get_or_create(&ReconcileLabels { kind, outcome }).inc();
    let seconds = started.elapsed().as_secs_f64();
    ctx.metrics.reconcile_seconds.get_or_create(&KindLabels { kind }).observe(seconds);
    looked.map(|_| Action::await_change())
}

fn after_error<K: Checked>(
    guarded: Arc<DeserializeGuard<K>>,
    error: &ExecuteError,
    _: Arc<Context>,
) -> Action {
    if error.is_conflict() {
        return Action::requeue(CONFLICT_PAUSE);
    }
    if error.is_gone() {
        return Action::await_change();
    }
    let (kind, name) = (K::kind(&()), guarded.name_any());
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%kind, name, %error, source, "a resource was not reconciled");
    Action::requeue(FAILURE_PAUSE)
}

async fn look<K: Checked>(resource: &K, ctx: &Context) -> Result<metrics::Outcome, ExecuteError> {
    if resource.meta().deletion_timestamp.is_some() {
        return Ok(metrics::Outcome::Unchanged);
    }
    let Some((patch, notes)) = status(resource, SystemClock.now()) else {
        return Ok(metrics::Outcome::Unchanged);
    };
    let api: Api<K> =
        Api::namespaced(ctx.client.clone(), &resource.namespace().unwrap_or_default());
    let params = PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patched = api.patch_status(&resource.name_any(), &params, &Patch::Merge(&patch)).await;
    patched.map_err(ExecuteError::Status)?;
    ctx.metrics.writes.get_or_create(&KindLabels { kind: K::KIND }).inc();
    events::publish(&ctx.recorder, resource, notes).await;
    Ok(metrics::Outcome::Changed)
}

/// What the status has to say, and what is new in it; `None` when it says so already.
fn status<K: Checked>(resource: &K, now: UnixMillis) -> Option<(Value, Vec<Note>)> {
    let generation = resource.meta().generation.unwrap_or_default();
    let (told_generation, told) = resource.told();
    let (holds, reason, message) = match resource.check() {
        Ok(()) => (true, reasons::VALID, String::new()),
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            (false, reasons::INVALID, errors.join("; "))
        }
    };
    let says = [
        Says { condition: types::ACCEPTED, holds, reason, message },
        Says {
            condition: types::READY,
            holds: false,
            reason: reasons::NOT_IMPLEMENTED,
            message: "this version checks the resource, but nothing runs for it".to_owned(),
        },
    ];
    let millis = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let time = Time(Timestamp::from_second(millis).unwrap_or(Timestamp::MAX));
    let conditions = conditions::update(told, &says, generation, &time);
    if told_generation == Some(generation) && told == conditions {
        return None;
    }
    let notes = events::of_conditions(told, &conditions);
    let patch = json!({
        "metadata": {"resourceVersion": resource.meta().resource_version},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    Some((patch, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_core::{Manifest, parse_manifests};

    #[test]
    fn what_is_checked_is_told_once() {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples");
        let mut apps = Vec::new();
        for entry in std::fs::read_dir(examples).unwrap() {
            let yaml = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let manifests = parse_manifests(&yaml).unwrap().into_iter();
            apps.extend(manifests.filter_map(|manifest| match manifest {
                Manifest::AnalyticsApp(app) => Some(*app),
                _ => None,
            }));
        }
        let mut app = apps.swap_remove(0);
        app.metadata.generation = Some(3);
        let now = UnixMillis(1_700_000_000_000);
        let (patch, notes) = status(&app, now).unwrap();
        assert_eq!(patch["status"]["conditions"][0]["reason"], "Valid");
        assert_eq!(patch["status"]["conditions"][1]["reason"], "NotImplemented");
        assert_eq!(notes, []);
        app.status = Some(serde_json::from_value(patch["status"].clone()).unwrap());
        assert_eq!(status(&app, now.saturating_add(Duration::from_secs(9))), None);
        app.metadata.generation = Some(4);
        assert!(status(&app, now).is_some());
    }
}
