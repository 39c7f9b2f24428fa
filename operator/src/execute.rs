//! Carries out what was decided: server-side apply for what is made, compare-and-swap for what is
//! told of a stream.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::core::{DeserializeGuard, Status};
use kube::runtime::events::Recorder;
use kube::{Client, Resource, ResourceExt};
use model::UnixMillis;
use operator_api::{Stream, StreamStatus};
use operator_core::{Removal, SpecEdit, Step, first_difference, names, unreadable};
use serde_json::{Value, json};

use crate::events::{self, Note};
use crate::observe::api_of;
use crate::pki::PkiError;

/// What the API server did not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    /// An object.
    #[error("apply {kind} {name}")]
    Apply { kind: &'static str, name: String, source: kube::Error },
    /// The finalizers of a stream.
    #[error("change the finalizers")]
    Finalizers(#[source] kube::Error),
    /// The spec of a stream.
    #[error("write the spec")]
    Spec(#[source] kube::Error),
    /// The status of a resource.
    #[error("write the status")]
    Status(#[source] kube::Error),
    /// What was made for a stream that goes.
    #[error("delete pods and volumes")]
    Remove(#[source] kube::Error),
    /// A list of streams, or what is left of one.
    #[error("list streams")]
    List(#[source] kube::Error),
    /// A certificate.
    #[error("certificate")]
    Certificate(#[from] PkiError),
    /// It took too long.
    #[error("the API server takes too long")]
    TooLong,
}

impl ExecuteError {
    fn status(&self) -> Option<&Status> {
        match self {
            ExecuteError::Apply { source: error, .. }
            | ExecuteError::Finalizers(error)
            | ExecuteError::Spec(error)
            | ExecuteError::Status(error)
            | ExecuteError::Remove(error)
            | ExecuteError::List(error) => match error {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            ExecuteError::Certificate(_) | ExecuteError::TooLong => None,
        }
    }

    fn is_of_stream(&self) -> bool {
        use ExecuteError::{Finalizers, Spec, Status};
        matches!(self, Finalizers(_) | Spec(_) | Status(_))
    }

    /// Somebody else wrote meanwhile: look again.
    pub(crate) fn is_conflict(&self) -> bool {
        let is_own = self.is_of_stream();
        is_own && self.status().is_some_and(Status::is_conflict)
    }

    /// The resource is gone.
    pub(crate) fn is_gone(&self) -> bool {
        let is_own = self.is_of_stream();
        is_own && self.status().is_some_and(Status::is_not_found)
    }

    /// The API server understood, and will not, so that a person has to know.
    pub(crate) fn refusal(&self) -> Option<String> {
        let status = self.status().filter(|status| status.is_invalid() || status.is_forbidden())?;
        Some(format!("{self}: {}", status.message))
    }
}

/// Applies an object.
pub(crate) async fn apply(client: &Client, step: &Step) -> Result<(), ExecuteError> {
    let text = |path: &str| step.object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let Some(api) = api_of(client, namespace, step.kind) else {
        return Ok(());
    };
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let applied = api.patch(name, &params, &Patch::Apply(&step.object)).await;
    let failed = |source| ExecuteError::Apply { kind: step.kind, name: name.to_owned(), source };
    applied.map(drop).map_err(failed)
}

/// Whether a step takes pods away, and perhaps their volumes with them.
pub(crate) fn is_scale_down(step: &Step, live: Option<&Value>) -> bool {
    step.kind == "StatefulSet" && live.is_some_and(|live| replicas(&step.object) < replicas(live))
}

/// The same step, but with as many pods as there are; `None` when nothing is left of it.
pub(crate) fn without_scale_down(mut step: Step, live: Option<&Value>) -> Option<Step> {
    let live = live?;
    step.object["spec"]["replicas"] = live.pointer("/spec/replicas")?.clone();
    first_difference(&step.object, live)?;
    Some(step)
}

fn replicas(set: &Value) -> u64 {
    set.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

/// Puts the finalizer on a stream, or takes it away; `None` when it is so already. With it goes what is to be
/// changed in the spec.
pub(crate) async fn set_finalizer(
    client: &Client,
    stream: &Stream,
    wanted: bool,
    edit: Option<&SpecEdit>,
) -> Result<Option<Stream>, ExecuteError> {
    let mut finalizers: Vec<&str> = stream.finalizers().iter().map(String::as_str).collect();
    if finalizers.contains(&names::FINALIZER) == wanted {
        return Ok(None);
    }
    finalizers.retain(|finalizer| *finalizer != names::FINALIZER);
    if wanted {
        finalizers.push(names::FINALIZER);
    }
    let mut patch = json!({"metadata": {
        "resourceVersion": stream.resource_version(),
        "finalizers": finalizers,
    }});
    let mut params = params();
    if let Some(edit) = edit {
        patch["spec"] = spec_of(edit);
        params = of_shards();
    }
    let patched = streams(client, stream)
        .patch(&stream.name_any(), &params, &Patch::Merge(&patch))
        .await
        .map_err(ExecuteError::Finalizers)?;
    Ok(Some(patched))
}

/// Deletes something. What is gone already is no error.
pub(crate) async fn remove(
    client: &Client,
    stream: &Stream,
    removal: &Removal,
) -> Result<(), ExecuteError> {
    let namespace = stream.namespace().unwrap_or_default();
    match removal {
        Removal::StatefulSet { name, uid } => {
            let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
            let meant = Preconditions { uid: uid.clone(), ..Preconditions::default() };
            // It stays until its pods are gone.
            let params = DeleteParams { preconditions: Some(meant), ..DeleteParams::foreground() };
            unless_gone(sets.delete(name, &params).await)
        }
        Removal::Claims(set) => {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
            let ours = ListParams::default().labels(&names::selector_text(set));
            for claim in claims.list_metadata(&ours).await.map_err(ExecuteError::Remove)? {
                let name = claim.name_any();
                unless_gone(claims.delete(&name, &DeleteParams::default()).await)?;
            }
            Ok(())
        }
    }
}

fn unless_gone<T>(deleted: kube::Result<T>) -> Result<(), ExecuteError> {
    match deleted {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => deleted.map(drop).map_err(ExecuteError::Remove),
    }
}

/// Stores a status, if it is another one and nobody changed the stream since it was read.
pub(crate) async fn set_status(
    client: &Client,
    stream: &Stream,
    status: StreamStatus,
) -> Result<Option<Stream>, ExecuteError> {
    if stream.status.as_ref() == Some(&status) {
        return Ok(None);
    }
    let told = Stream { status: Some(status), ..stream.clone() };
    let params = PostParams { field_manager: params().field_manager, ..PostParams::default() };
    let written = streams(client, stream)
        .replace_status(&stream.name_any(), &params, &told)
        .await
        .map_err(ExecuteError::Status)?;
    Ok(Some(written))
}

/// Changes what a spec says of its shards, if nobody changed the stream since it was read.
pub(crate) async fn edit_spec(
    client: &Client,
    stream: &Stream,
    edit: &SpecEdit,
) -> Result<Stream, ExecuteError> {
    let patch = json!({
        "metadata": {"resourceVersion": stream.resource_version()},
        "spec": spec_of(edit),
    });
    let (streams, name) = (streams(client, stream), stream.name_any());
    streams.patch(&name, &of_shards(), &Patch::Merge(&patch)).await.map_err(ExecuteError::Spec)
}

fn spec_of(edit: &SpecEdit) -> Value {
    match edit {
        SpecEdit::Write { shard_count, shard_boundaries: None } => {
            json!({"shardCount": shard_count})
        }
        SpecEdit::Write { shard_count, shard_boundaries } => {
            json!({"shardCount": shard_count, "shardBoundaries": shard_boundaries})
        }
        SpecEdit::Release { shard_boundaries: false } => json!({"shardCount": null}),
        SpecEdit::Release { shard_boundaries: true } => {
            json!({"shardCount": null, "shardBoundaries": null})
        }
    }
}

/// The API server remembers whose the number of shards is.
fn of_shards() -> PatchParams {
    let field_manager = Some(names::SHARDS_MANAGER.to_owned());
    PatchParams { field_manager, ..PatchParams::default() }
}

/// Says of a resource that this version does not read it, in its status and in an event, unless it says so
/// already; whether anything was written.
pub(crate) async fn tell_unreadable<K>(
    client: &Client,
    recorder: &Recorder,
    guarded: &DeserializeGuard<K>,
    error: &str,
    now: UnixMillis,
) -> Result<bool, ExecuteError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let (namespace, name) = (guarded.namespace().unwrap_or_default(), guarded.name_any());
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let object = api.get(&name).await.map_err(ExecuteError::Status)?;
    let Some(patch) = unreadable(&json!(object), error, now) else { return Ok(false) };
    let patched = api.patch_status(&name, &params(), &Patch::Merge(&patch)).await;
    patched.map_err(ExecuteError::Status)?;
    let note = Note::invalid(format!("unreadable: {error}"));
    events::publish(recorder, guarded, vec![note]).await;
    Ok(true)
}

pub(crate) fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn streams(client: &Client, stream: &Stream) -> Api<Stream> {
    Api::namespaced(client.clone(), &stream.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_not_taken_away_while_somebody_may_need_them() {
        let step = |replicas: u64, image: &str| Step {
            kind: "StatefulSet",
            object: json!({"spec": {"replicas": replicas, "image": image}}),
            reason: String::new(),
        };
        let live = json!({"spec": {"replicas": 3, "image": "a", "default": 1}});
        assert!(is_scale_down(&step(2, "a"), Some(&live)));
        assert!(!is_scale_down(&step(3, "a"), Some(&live)));
        assert!(!is_scale_down(&step(2, "a"), None));
        assert_eq!(without_scale_down(step(2, "a"), Some(&live)), None);
        assert_eq!(without_scale_down(step(2, "b"), Some(&live)), Some(step(3, "b")));
    }
}
