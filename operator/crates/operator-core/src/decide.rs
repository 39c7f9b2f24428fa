//! What is to be done about one stream, and what its status says: a function of what was observed.
//!
//! ```text
//!  spec ──validate──► ValidStream ─┬─► NodeSet ──manifests──► what is missing or differs is applied
//!                                  └─► wish ──model::plan──► status.shards ──► pods are asked
//! ```
//!
//! Shards change in the status first, by compare-and-swap; then pods are asked to carry it out; what
//! they answer is the next change. So an operator that is killed anywhere is followed by one that
//! reads where it was.

mod budget;
mod count;
mod plan;
mod removal;
mod says;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use model::{Offset, ShardId, ShardLoad, UnixMillis};
use operator_api::conditions::{self, Says, reasons, types};
use operator_api::{DeletionPolicy, Stream, StreamSpec, StreamStatus};
use serde_json::{Value, json};

use crate::difference::first_difference;
use crate::manifests::{NodeSet, Settings, manifests};
use crate::names;
use crate::topology::Topology;
use crate::validate::{ValidStream, validate};
pub use count::{SHARDS_FIELDS, SpecEdit, is_owner};
use plan::{Plan, carry_out};
pub use removal::Removal;
use removal::{delete, going};
use says::says;

/// How long until a stream is looked at again when nothing happens: expired shards have to go.
const EXPIRY_PAUSE: Duration = Duration::from_secs(60);
/// How long until pods that did not answer are asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What was found in the cluster.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The objects made for the stream's StatefulSet, by kind.
    pub children: BTreeMap<&'static str, Value>,
    /// The pods of the set that are ready, by their names.
    pub pods_ready: BTreeSet<String>,
    /// Whether all its pods are of its newest form.
    pub is_rolled_out: bool,
    /// Claims of the set's volumes, also when the set is gone.
    pub claims: Claims,
    /// The other streams of the same pool.
    pub neighbours: Vec<Stream>,
    /// Whether there may be more of them, which this version does not read.
    pub is_partial: bool,
    /// An older stream of the namespace that has the same name in the AWS API.
    pub namesake: Option<String>,
    /// What pods answered to what they were last asked.
    pub answers: BTreeMap<ShardId, Answer>,
    /// What the pods last told of the shards' load, of a stream in mode OnDemand.
    pub loads: BTreeMap<ShardId, ShardLoad>,
    /// Pods in which io_uring is refused.
    pub io_uring_refused: Vec<String>,
}

/// Volume claims of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// How many there are.
    pub all: usize,
    /// How many of them are deleted, and go when no pod uses them.
    pub going: usize,
}

/// What a pod did about a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its log exists and takes records.
    Opened,
    /// It is closed for good.
    Closed {
        /// The offset after its last record.
        end: Offset,
        /// When.
        at: UnixMillis,
    },
    /// Its log is gone.
    Removed,
    /// It could not, and says why.
    Failed(String),
}

/// Something to ask of a pod. Asking twice is asking once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The pod.
    pub pod: String,
    /// The shard.
    pub shard: ShardId,
    /// What about it.
    pub what: Request,
}

/// What a pod is asked to do about a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Make its log.
    Open,
    /// Close it for good.
    Close,
    /// Remove its log.
    Remove,
}

/// A change in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The kind of the object.
    pub kind: &'static str,
    /// The object, as it is applied.
    pub object: Value,
    /// Why, for people.
    pub reason: String,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Objects to apply, in order.
    pub steps: Vec<Step>,
    /// What to ask of pods, all at once, after the status was stored.
    pub asks: Vec<Ask>,
    /// The shards whose load is asked for now and then, with their pods.
    pub weighs: Vec<(ShardId, String)>,
    /// What the status should be; stored only if nobody changed the stream since it was read.
    pub status: StreamStatus,
    /// What to change in the spec: together with the finalizer, or when there is nothing else to change.
    pub edit: Option<SpecEdit>,
    /// Whether the finalizer has to be there.
    pub finalizer: Finalizer,
    /// What to delete.
    pub removal: Option<Removal>,
    /// When to look again, if nothing happens before.
    pub next: Option<Duration>,
}

/// What about the finalizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finalizer {
    /// It is as it should be.
    #[default]
    Keep,
    /// Put it there before anything is made.
    Add,
    /// Take it away: nothing is left to do.
    Remove,
}

/// Decides.
#[must_use]
pub fn decide(
    stream: &Stream,
    settings: &Settings,
    observed: &Observed,
    now: UnixMillis,
) -> Outcome {
    let mut status = stream.status.clone().unwrap_or_default();
    let before = status.clone();
    let topology = Topology::of(&status);
    if stream.metadata.deletion_timestamp.is_some() {
        // Nobody knows where logs are of which the status contradicts itself: they do not keep it.
        return delete(stream, status, topology.ok().flatten(), observed, now);
    }
    let is_outdated = count::is_outdated(stream);
    let without = is_outdated.then(|| {
        let spec = StreamSpec { shard_count: None, ..stream.spec.clone() };
        Stream { spec, ..stream.clone() }
    });
    let stream = without.as_ref().unwrap_or(stream);
    let topology = match topology {
        Ok(topology) => topology,
        Err(error) => return refuse(stream, status, vec![error.to_string()], None, observed, now),
    };
    let valid = match validate(stream) {
        Ok(valid) => valid,
        Err(errors) => {
            let errors = errors.iter().map(ToString::to_string).collect();
            return refuse(stream, status, errors, topology, observed, now);
        }
    };
    if let Some(other) = &observed.namesake {
        let why = format!(
            "spec.streamName: Stream {other} has the name {} in the AWS API already; delete one of them",
            valid.name
        );
        return refuse(stream, status, vec![why], topology, observed, now);
    }
    let finalizers = stream.metadata.finalizers.iter().flatten();
    if !finalizers.into_iter().any(|name| name == names::FINALIZER) {
        // The next look begins with it.
        let edit = count::of_new(stream, &valid);
        return Outcome { status, edit, finalizer: Finalizer::Add, ..Outcome::default() };
    }

    let former = going(stream, observed);
    // Whoever is still there is not one of its pods.
    let nobody = former.as_ref().map(|_| Observed { pods_ready: [].into(), ..observed.clone() });
    let observed = nobody.as_ref().unwrap_or(observed);
    let set_name = names::stateful_set(stream);
    let mut plan = Plan::new(&valid, &status, topology, observed, &set_name, settings);
    plan.advance(stream, &status, observed, now);
    let set = node_set(stream, &valid, &plan, observed, settings, set_name.clone());
    let mut steps = missing(&set, settings, observed);
    steps.retain(|step| former.is_none() || step.kind != "StatefulSet");

    let all_ready = set.pods as usize <= observed.pods_ready.len();
    status.stateful_set = Some(set_name.clone());
    status.selector = Some(names::selector_text(&set_name));
    plan.tell(&mut status);
    let says = says(&plan, &set, observed, !steps.is_empty(), former.as_deref());
    finish_status(stream, &mut status, &says, now);
    let weighs = plan.weighs();
    let is_told = status == before;
    let edit = match is_outdated {
        true => Some(count::release(stream)),
        false => count::missing(stream, &plan),
    };
    let asks = plan.next.asks;
    let settled = asks.is_empty() && is_told && steps.is_empty() && all_ready;
    Outcome {
        steps,
        asks,
        weighs,
        status,
        finalizer: Finalizer::Keep,
        edit: edit.filter(|_| is_told),
        removal: None,
        next: Some(if settled { EXPIRY_PAUSE } else { RETRY_PAUSE }),
    }
}

fn node_set(
    stream: &Stream,
    valid: &ValidStream,
    plan: &Plan<'_>,
    observed: &Observed,
    settings: &Settings,
    name: String,
) -> NodeSet {
    let storage = stream.spec.storage.clone().unwrap_or_default();
    NodeSet {
        role: names::PodRole::Stream,
        name,
        namespace: stream.metadata.namespace.clone().unwrap_or_default(),
        owners: owners(stream, &observed.neighbours),
        pods: plan.pods(),
        class_name: if valid.pool { None } else { storage.class_name },
        volume_size: match (valid.pool, storage.size) {
            (true, _) => settings.pool_volume_size.clone(),
            (false, size) => size.unwrap_or_else(|| "10Gi".to_owned()),
        },
        secrets: BTreeSet::new(),
        retains_volumes: storage.deletion_policy == Some(DeletionPolicy::Retain),
        settings: stream.spec.pods.clone().unwrap_or_default(),
    }
}

/// Those with which everything made for a stream's set goes: the stream, or its pool's streams, so
/// that a pool goes when the last of them does.
#[must_use]
pub fn owners(stream: &Stream, neighbours: &[Stream]) -> Vec<OwnerReference> {
    let is_own = stream.spec.pool.is_none();
    let members = std::iter::once(stream).chain(neighbours);
    let mut owners: Vec<_> = members.filter_map(|member| owner(member, is_own)).collect();
    owners.sort_by(|left, right| left.uid.cmp(&right.uid));
    owners
}

fn owner(stream: &Stream, is_controller: bool) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: operator_api::API_VERSION.to_owned(),
        kind: "Stream".to_owned(),
        name: stream.metadata.name.clone()?,
        uid: stream.metadata.uid.clone()?,
        controller: Some(is_controller),
        block_owner_deletion: Some(is_controller),
    })
}

/// On everything that is made: a digest of it as it was applied.
const APPLIED: &str = "leat.dev/applied";

pub(crate) fn digest(object: &Value) -> String {
    names::hash(&object.to_string())
}

/// What is not there yet, or not as it should be, in the order in which it is applied.
fn missing(set: &NodeSet, settings: &Settings, observed: &Observed) -> Vec<Step> {
    differing(manifests(set, settings).objects(), &observed.children)
}

/// Those objects that are not there yet, or not as they should be.
pub(crate) fn differing(
    wanted: Vec<(&'static str, Value)>,
    there: &BTreeMap<&'static str, Value>,
) -> Vec<Step> {
    const CLAIMS: &str = "/spec/volumeClaimTemplates";
    let differs = |(kind, mut object): (&'static str, Value)| {
        // What is in an object no more is no difference to see, but its applied form is.
        object["metadata"]["annotations"] = json!({ APPLIED: digest(&object) });
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let reason = match there.get(kind) {
            None => format!("{kind} {name} is made"),
            Some(live) => {
                // The API server refuses every change of these, as when a new size of a pool's
                // volumes was set: those that are there stay.
                if let (Some(wanted), Some(live)) =
                    (object.pointer_mut(CLAIMS), live.pointer(CLAIMS))
                {
                    wanted.clone_from(live);
                }
                let path = first_difference(&object, live)?;
                format!("{kind} {name} differs at {path}")
            }
        };
        Some(Step { kind, object, reason })
    };
    wanted.into_iter().filter_map(differs).collect()
}

fn finish_status(stream: &Stream, status: &mut StreamStatus, says: &[Says], now: UnixMillis) {
    let generation = stream.metadata.generation.unwrap_or_default();
    status.observed_generation = Some(generation);
    status.conditions = conditions::update(&status.conditions, says, generation, &time(now));
}

/// Nothing is begun for a stream that is wrong, and nothing that runs is touched; a reshard that had
/// begun is brought to its end, for records wait for it.
fn refuse(
    stream: &Stream,
    mut status: StreamStatus,
    errors: Vec<String>,
    topology: Option<Topology>,
    observed: &Observed,
    now: UnixMillis,
) -> Outcome {
    let mut outcome = Outcome::default();
    let is_changing = |topology: &Topology| topology.shards.is_changing();
    if let Some(mut topology) = topology.filter(is_changing) {
        outcome.asks = carry_out(&mut topology, observed).asks;
        outcome.next = Some(RETRY_PAUSE);
        topology.tell(&mut status);
    }
    outcome.status = not_accepted(stream, status, reasons::INVALID, errors.join("; "), now);
    outcome
}

/// A status that says that the spec is not carried out, and why.
#[must_use]
pub fn not_accepted(
    stream: &Stream,
    mut status: StreamStatus,
    reason: &'static str,
    message: String,
    now: UnixMillis,
) -> StreamStatus {
    let says = [Says { condition: types::ACCEPTED, holds: false, reason, message }];
    let before = stream.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let generation = stream.metadata.generation.unwrap_or_default();
    let mut told = conditions::update(before, &says, generation, &time(now));
    let others = std::mem::take(&mut status.conditions).into_iter();
    told.extend(others.filter(|condition| condition.type_ != types::ACCEPTED));
    status.conditions = told;
    status.observed_generation = Some(generation);
    status
}

/// A time as the API server writes it.
pub(crate) fn time(now: UnixMillis) -> Time {
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let timestamp = k8s_openapi::jiff::Timestamp::from_second(seconds);
    Time(timestamp.unwrap_or(k8s_openapi::jiff::Timestamp::MAX))
}
