//! What is to be done about one delivery stream, and what its status says: a function of what was observed.
//!
//! ```text
//!  DirectPut ──► a Stream of its own, which holds what producers put
//!  pods      ──► a StatefulSet in role `delivery`; they look at the DeliveryStreams that are theirs
//! ```
//!
//! Nothing about a destination is told to pods but by the resource itself, so editing one restarts none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use model::UnixMillis;
use operator_api::conditions::{self, Says, reasons, types};
use operator_api::delivery_stream::{
    DeliveryPod, DeliveryStreamSpec, DeliveryStreamStatus, DirectPut,
};
use operator_api::{DeliveryStream, Stream};
use serde_json::{Map, Value, json};

use crate::decide::{Step, differing, time};
use crate::manifests::{NodeSet, Settings, manifests};
use crate::names::{self, PodRole};
use crate::validate::validate_delivery_stream;

/// How long until a delivery stream is looked at again that is not as it should be. What changes wakes it.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The same for one that is: certificates have to be renewed.
const LOOK_PAUSE: Duration = Duration::from_secs(60);
/// What of a failure is told in a condition.
const FAILURE_CHARS_MAX: usize = 500;

/// What was found in the cluster.
#[derive(Clone, Debug, Default)]
pub struct DeliveryObserved {
    /// The objects that have the names of those made for the StatefulSet, by kind; its Secret too.
    pub children: BTreeMap<&'static str, Value>,
    /// The Stream that it reads: the one that is named, or that holds what producers put.
    pub source: Option<Stream>,
    /// All delivery streams that the same pods carry out, this one included.
    pub members: Vec<DeliveryStream>,
    /// An older one of the namespace that has the same name in the AWS API.
    pub namesake: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Objects to apply, in order.
    pub steps: Vec<Step>,
    /// With whom everything made for the pods goes, for their Secret.
    pub owners: Vec<OwnerReference>,
    /// What the status should be.
    pub status: DeliveryStreamStatus,
    /// When to look again, if nothing happens before.
    pub next: Duration,
}

/// Of all delivery streams of a namespace, those that the pods of this one carry out.
pub fn delivery_members<'a>(
    stream: &DeliveryStream,
    all: impl Iterator<Item = &'a DeliveryStream>,
) -> Vec<DeliveryStream> {
    let set = names::delivery_set(stream);
    let mut members: Vec<DeliveryStream> = all
        .filter(|other| other.metadata.namespace == stream.metadata.namespace)
        .filter(|other| names::delivery_set(other) == set)
        .filter(|other| other.metadata.uid != stream.metadata.uid)
        .filter(|other| other.metadata.deletion_timestamp.is_none())
        .cloned()
        .collect();
    members.push(stream.clone());
    members.sort_by(|left, right| left.metadata.uid.cmp(&right.metadata.uid));
    members
}

/// Of all delivery streams of a namespace, an older one that has the same name in the AWS API, and so has it.
pub fn delivery_namesake<'a>(
    stream: &DeliveryStream,
    all: impl Iterator<Item = &'a DeliveryStream>,
) -> Option<String> {
    let age = |stream: &DeliveryStream| {
        let created = stream.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, stream.metadata.uid.clone())
    };
    let mut older = all
        .filter(|other| other.metadata.namespace == stream.metadata.namespace)
        .filter(|other| other.delivery_stream_name() == stream.delivery_stream_name())
        .filter(|other| age(other) < age(stream));
    older.next()?.metadata.name.clone()
}

/// A digest of what is delivered where, and how; how many pods there are, and what holds the records of
/// producers, is not in it.
#[must_use]
pub fn destination_digest(spec: &DeliveryStreamSpec) -> String {
    let told = DeliveryStreamSpec {
        tags: BTreeMap::new(),
        pool: None,
        replicas: None,
        pods: None,
        storage: None,
        encryption: None,
        delivery_stream_name: None,
        source: spec.source.clone().filter(|source| source.stream.is_some()),
        ..spec.clone()
    };
    names::hash(&serde_json::to_string(&told).unwrap_or_default())
}

/// AWS's VersionId of a delivery stream. Whoever looks at the resource says the same, whether the operator has
/// seen the last change or not.
#[must_use]
pub fn destination_version(stream: &DeliveryStream) -> u64 {
    let status = stream.status.as_ref();
    match status.and_then(|status| Some((status.destination_version?, &status.destination_digest)))
    {
        Some((version, Some(digest))) if *digest == destination_digest(&stream.spec) => version,
        Some((version, _)) => version + 1,
        None => 1,
    }
}

/// The name by which a delivery stream of this uid is known to the shards that it reads.
#[must_use]
pub fn consumer_name(uid: u64) -> String {
    format!("delivery/{uid:016x}")
}

/// Whether shards of somebody else's Stream have to forget it before it may go.
#[must_use]
pub fn is_remembered(stream: &DeliveryStream) -> bool {
    named_source(stream).is_some()
}

/// Decides. One that is deleted goes with all that it owns.
#[must_use]
pub fn decide_delivery(
    stream: &DeliveryStream,
    settings: &Settings,
    observed: &DeliveryObserved,
    now: UnixMillis,
) -> Delivery {
    let mut status = stream.status.clone().unwrap_or_default();
    let generation = stream.metadata.generation.unwrap_or_default();
    status.observed_generation = Some(generation);
    let wrong = wrong(stream);
    let is_wrong = wrong.is_some();
    if let Some(why) = wrong.or_else(|| in_the_way(stream, observed)) {
        let says = [say(types::ACCEPTED, false, reasons::INVALID, why)];
        // What runs goes on as it was.
        let mut told = conditions::update(&status.conditions, &says, generation, &time(now));
        told.extend(status.conditions.into_iter().filter(|it| it.type_ != types::ACCEPTED));
        status.conditions = told;
        // What others have to do for it may be done soon.
        let next = if is_wrong { LOOK_PAUSE } else { RETRY_PAUSE };
        return Delivery { steps: Vec::new(), owners: Vec::new(), status, next };
    }
    let set = node_set(stream, observed);
    let pods = set.pods;
    let owners = set.owners.clone();
    let mut steps = source_step(stream, observed).into_iter().collect::<Vec<_>>();
    steps.extend(differing(manifests(&set, settings).objects(), &observed.children));

    let version = destination_version(stream);
    if status.destination_version.is_some_and(|before| before != version) {
        status.destination_changed = Some(time(now));
    }
    status.destination_version = Some(version);
    status.destination_digest = Some(destination_digest(&stream.spec));
    status.destination = stream.spec.destination.names().first().map(|name| (*name).to_owned());
    status.pods.retain(|told| names::ordinal(&set.name, &told.pod).is_some_and(|at| at < pods));
    status.stateful_set = Some(set.name);
    let ready = ready_pods(observed);
    let has_source = observed.source.as_ref().is_some_and(in_service);
    // Nothing has to be made for one that reads somebody else's Stream, which may come and go.
    if has_source || is_remembered(stream) {
        status.phase = Some("ACTIVE".to_owned());
    } else {
        status.phase.get_or_insert_with(|| "CREATING".to_owned());
    }
    let says = says(stream, observed, &status.pods, (ready, pods), !steps.is_empty());
    status.conditions = conditions::update(&status.conditions, &says, generation, &time(now));
    let is_settled = steps.is_empty() && has_source && ready == pods;
    let next = if is_settled { LOOK_PAUSE } else { RETRY_PAUSE };
    Delivery { steps, owners, status, next }
}

/// What is wrong with it, if anything is.
fn wrong(stream: &DeliveryStream) -> Option<String> {
    let errors = validate_delivery_stream(stream).err()?;
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Some(errors.join("; "))
}

/// What of somebody else is in its way, if anything is.
fn in_the_way(stream: &DeliveryStream, observed: &DeliveryObserved) -> Option<String> {
    if let Some(other) = &observed.namesake {
        let name = stream.delivery_stream_name();
        return Some(format!(
            "spec.deliveryStreamName: DeliveryStream {other} has the name {name} in the AWS API already; delete one of them"
        ));
    }
    if let Some((kind, name)) = foreign(stream, observed) {
        return Some(format!(
            "{kind} {name}, which would be made for its pods, is there already and belongs to somebody else: delete it, or choose another name"
        ));
    }
    let source = observed.source.as_ref().filter(|_| named_source(stream).is_none())?;
    let is_ours = source
        .metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| Some(&owner.uid) == stream.metadata.uid.as_ref());
    let name = source.metadata.name.as_deref().unwrap_or_default();
    (!is_ours).then(|| {
        format!("Stream {name}, which would hold what producers put, is there already and belongs to somebody else: delete it, or choose another name")
    })
}

/// An object that has the name of one that would be made, and is none: it has neither our labels nor our owners.
fn foreign<'a>(
    stream: &DeliveryStream,
    observed: &'a DeliveryObserved,
) -> Option<(&'static str, &'a str)> {
    let labels = names::labels(PodRole::Delivery, &names::delivery_set(stream));
    let is_owner = |owner: &Value| {
        let uids = observed.members.iter().filter_map(|member| member.metadata.uid.as_deref());
        uids.into_iter().any(|uid| owner["uid"] == *uid)
    };
    let is_ours = |metadata: &Value| {
        labels.iter().all(|(name, text)| metadata["labels"][name] == **text)
            || metadata["ownerReferences"].as_array().into_iter().flatten().any(is_owner)
    };
    let mut foreign = observed.children.iter().filter(|(_, child)| !is_ours(&child["metadata"]));
    foreign.next().map(|(kind, child)| (*kind, child["metadata"]["name"].as_str().unwrap_or("?")))
}

/// The Stream that it names as its source.
fn named_source(stream: &DeliveryStream) -> Option<&str> {
    let source = stream.spec.source.as_ref()?.stream.as_ref()?;
    Some(&source.name)
}

fn in_service(source: &Stream) -> bool {
    let phase = source.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("ACTIVE" | "UPDATING")) && source.metadata.deletion_timestamp.is_none()
}

fn owner(stream: &DeliveryStream, is_controller: bool) -> OwnerReference {
    OwnerReference {
        api_version: operator_api::API_VERSION.to_owned(),
        kind: "DeliveryStream".to_owned(),
        name: stream.metadata.name.clone().unwrap_or_default(),
        uid: stream.metadata.uid.clone().unwrap_or_default(),
        controller: Some(is_controller),
        block_owner_deletion: Some(is_controller),
    }
}

fn node_set(stream: &DeliveryStream, observed: &DeliveryObserved) -> NodeSet {
    let is_own = stream.spec.pool.is_none();
    let members = &observed.members;
    let pods = members.iter().map(|member| member.spec.replicas.unwrap_or(1)).max();
    // Of a pool's delivery streams the same one says how its pods run, whoever is looked at.
    let settings = members.iter().find_map(|member| member.spec.pods.clone());
    NodeSet {
        role: PodRole::Delivery,
        name: names::delivery_set(stream),
        namespace: stream.metadata.namespace.clone().unwrap_or_default(),
        owners: members.iter().map(|member| owner(member, is_own)).collect(),
        pods: pods.unwrap_or(1),
        class_name: None,
        volume_size: String::new(),
        retains_volumes: false,
        secrets: members.iter().flat_map(|member| secret_names(&member.spec)).collect(),
        settings: settings.unwrap_or_default(),
    }
}

/// The names of all Secrets in a spec: of all that refers to an entry of one.
#[must_use]
pub fn secret_names(spec: &DeliveryStreamSpec) -> BTreeSet<String> {
    fn look(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    match value.get("name").and_then(Value::as_str) {
                        Some(name) if field.ends_with("Ref") => {
                            found.insert(name.to_owned());
                        }
                        _ => look(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| look(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    look(&json!(spec), &mut found);
    found
}

/// The Stream that holds what producers put, if there is to be one and it is not as it should be.
fn source_step(stream: &DeliveryStream, observed: &DeliveryObserved) -> Option<Step> {
    if named_source(stream).is_some() {
        return None;
    }
    let direct = stream.spec.source.as_ref().and_then(|source| source.direct_put.clone());
    let DirectPut { shard_count, retention_period_hours, .. } = direct.unwrap_or_default();
    let mut spec = Map::new();
    spec.insert("shardCount".to_owned(), json!(shard_count.unwrap_or(1)));
    let hours = retention_period_hours.unwrap_or(model::limits::RETENTION_HOURS_MIN);
    spec.insert("retentionPeriodHours".to_owned(), json!(hours));
    if let Some(encryption) = &stream.spec.encryption {
        spec.insert("encryption".to_owned(), json!(encryption));
    }
    if let Some(pool) = &stream.spec.pool {
        spec.insert("pool".to_owned(), json!(pool));
    }
    if let Some(storage) = &stream.spec.storage {
        spec.insert("storage".to_owned(), json!(storage));
    }
    let name = names::source_stream(stream.metadata.name.as_deref().unwrap_or_default());
    let object = json!({
        "apiVersion": operator_api::API_VERSION,
        "kind": "Stream",
        "metadata": {
            "name": name,
            "namespace": stream.metadata.namespace,
            "ownerReferences": [owner(stream, true)],
        },
        "spec": spec,
    });
    let there = observed.source.as_ref().map(|source| ("Stream", json!(source)));
    differing(vec![("Stream", object)], &there.into_iter().collect()).pop()
}

fn ready_pods(observed: &DeliveryObserved) -> u32 {
    let set = observed.children.get("StatefulSet");
    let ready = set.and_then(|set| set["status"]["readyReplicas"].as_u64());
    u32::try_from(ready.unwrap_or_default()).unwrap_or(u32::MAX)
}

fn say(condition: &'static str, holds: bool, reason: &'static str, message: String) -> Says {
    Says { condition, holds, reason, message }
}

fn says(
    stream: &DeliveryStream,
    observed: &DeliveryObserved,
    told: &[DeliveryPod],
    (ready, pods): (u32, u32),
    is_applying: bool,
) -> Vec<Says> {
    let are_ready = format!("{ready} of {pods} pods are ready");
    let is_ready = match &observed.source {
        Some(source) if in_service(source) && 0 < ready => {
            say(types::READY, true, reasons::DELIVERING, are_ready.clone())
        }
        Some(source) if in_service(source) => {
            say(types::READY, false, reasons::PODS_NOT_READY, are_ready.clone())
        }
        source => {
            let own = || names::source_stream(stream.metadata.name.as_deref().unwrap_or_default());
            let name = named_source(stream).map_or_else(own, str::to_owned);
            let how = if source.is_some() { "is not in service yet" } else { "does not exist" };
            let why = format!("Stream {name} {how}");
            say(types::READY, false, reasons::SOURCE_NOT_READY, why)
        }
    };
    let progressing = match is_applying || ready < pods {
        true => say(types::PROGRESSING, true, reasons::ROLLING_OUT, are_ready),
        false => say(types::PROGRESSING, false, reasons::UP_TO_DATE, String::new()),
    };
    let failing = told.iter().find_map(|pod| Some((&pod.pod, pod.last_error.as_ref()?)));
    let degraded = match failing {
        Some((pod, error)) => {
            let error: String = error.chars().take(FAILURE_CHARS_MAX).collect();
            let why = format!("{pod}: {error}");
            say(types::DEGRADED, true, reasons::DESTINATION_FAILS, why)
        }
        None => say(types::DEGRADED, false, reasons::HEALTHY, String::new()),
    };
    vec![say(types::ACCEPTED, true, reasons::VALID, String::new()), is_ready, progressing, degraded]
}

/// What of a status the operator writes, as a merge patch; `None` when it is there already. What pods tell is
/// left to them, but for pods that are no more.
#[must_use]
pub fn status_patch(stream: &DeliveryStream, status: &DeliveryStreamStatus) -> Option<Value> {
    let before = stream.status.clone().unwrap_or_default();
    if before == *status {
        return None;
    }
    let mut told = json!(status);
    if before.pods == status.pods {
        told.as_object_mut()?.remove("pods");
    } else {
        told["pods"] = json!(status.pods);
    }
    Some(json!({
        "metadata": {"resourceVersion": stream.metadata.resource_version},
        "status": told,
    }))
}

/// The conditions that a status has.
#[must_use]
pub fn delivery_conditions(stream: &DeliveryStream) -> &[Condition] {
    stream.status.as_ref().map_or(&[], |status| &status.conditions)
}

#[cfg(test)]
mod tests;
