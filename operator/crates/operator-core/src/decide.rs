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

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use model::{Boundaries, Offset, ScaleLimits, ShardId, ShardLoad, ShardState, UnixMillis};
use operator_api::conditions::{self, Says, reasons, types};
use operator_api::{DeletionPolicy, Stream, StreamStatus};
use serde_json::{Value, json};

use crate::difference::first_difference;
use crate::manifests::{NodeSet, Settings, manifests};
use crate::names;
use crate::placement::{Held, pods_for};
use crate::topology::{Topology, encode_boundaries};
use crate::validate::{ValidMode, ValidStream, validate};

/// How long until a stream is looked at again when nothing happens: expired shards have to go.
const EXPIRY_PAUSE: Duration = Duration::from_secs(60);
/// How long pods may take to start before those that are ready are asked without the others.
const PODS_START_MAX: Duration = Duration::from_secs(20);
/// How long until pods that did not answer are asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What was found in the cluster.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The objects made for the stream's StatefulSet, by kind.
    pub children: BTreeMap<&'static str, Value>,
    /// Pods of the set that are ready.
    pub pods_ready: u32,
    /// Whether all its pods are of its newest form.
    pub is_rolled_out: bool,
    /// The other streams of the same pool.
    pub neighbours: Vec<Stream>,
    /// An older stream of the namespace that has the same name in the AWS API.
    pub namesake: Option<String>,
    /// What pods answered to what they were last asked.
    pub answers: BTreeMap<ShardId, Answer>,
    /// What the pods last told of the shards' load, of a stream in mode OnDemand.
    pub loads: BTreeMap<ShardId, ShardLoad>,
    /// Pods in which io_uring is refused.
    pub io_uring_refused: Vec<String>,
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
    /// Whether the finalizer has to be there.
    pub finalizer: Finalizer,
    /// The StatefulSet whose volume claims go before the finalizer does.
    pub removes_claims_of: Option<String>,
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
        return Outcome { status, finalizer: Finalizer::Add, ..Outcome::default() };
    }

    let set_name = names::stateful_set(stream);
    let mut plan = Plan::new(&valid, &status, topology, observed, &set_name, settings);
    plan.advance(observed, now);
    let set = node_set(stream, &valid, &plan, observed, settings, set_name.clone());
    let steps = missing(&set, settings, observed);

    let all_ready = set.pods <= observed.pods_ready;
    status.stateful_set = Some(set_name.clone());
    status.selector = Some(selector_text(&set_name));
    plan.tell(&mut status);
    let says = says(&plan, &set, observed, !steps.is_empty(), all_ready);
    finish_status(stream, &mut status, &says, now);
    let weighs = plan.weighs();
    let asks = if wait_for_pods(&before, all_ready, now) { Vec::new() } else { plan.asks };
    let settled = asks.is_empty() && status == before && steps.is_empty() && all_ready;
    Outcome {
        steps,
        asks,
        weighs,
        status,
        finalizer: Finalizer::Keep,
        removes_claims_of: None,
        next: Some(if settled { EXPIRY_PAUSE } else { RETRY_PAUSE }),
    }
}

/// A stream's shards on their way to what they should be.
struct Plan<'a> {
    valid: &'a ValidStream,
    set_name: &'a str,
    desired: Boundaries,
    topology: Topology,
    /// What the set's pods hold of its other streams.
    others: Held,
    per_pod: u32,
    asks: Vec<Ask>,
    phase: &'static str,
    failures: Vec<String>,
}

impl<'a> Plan<'a> {
    fn new(
        valid: &'a ValidStream,
        status: &StreamStatus,
        topology: Option<Topology>,
        observed: &Observed,
        set_name: &'a str,
        settings: &Settings,
    ) -> Plan<'a> {
        let was_desired = crate::topology::decode_boundaries(&status.desired_boundaries).ok();
        let desired = match (&valid.mode, &valid.boundaries) {
            (ValidMode::OnDemand { min, max }, _) => {
                let limits = ScaleLimits { min: *min, max: *max };
                let by_load = by_load(topology.as_ref(), was_desired.as_ref(), observed, limits);
                let desired = by_load.or(was_desired);
                desired.unwrap_or_else(|| uniform(ON_DEMAND_SHARDS.clamp(*min, *max)))
            }
            (ValidMode::Provisioned, Some(boundaries)) => boundaries.clone(),
            (ValidMode::Provisioned, None) => was_desired.unwrap_or_else(|| uniform(1)),
        };
        let mut others = Held::default();
        for neighbour in &observed.neighbours {
            let status = neighbour.status.clone().unwrap_or_default();
            // One that contradicts itself is refused where it is looked at itself.
            if let Ok(Some(topology)) = Topology::of(&status) {
                topology.count(set_name, &mut others);
            }
        }
        let is_new = topology.is_none();
        let topology = topology.unwrap_or_else(|| Topology {
            shards: model::ShardMap::new(&desired, UnixMillis(0)),
            pods: BTreeMap::new(),
        });
        Plan {
            valid,
            set_name,
            desired,
            topology,
            others,
            per_pod: if valid.pool { settings.pool_shards_per_pod } else { valid.shards_per_pod },
            asks: Vec::new(),
            phase: if is_new { "CREATING" } else { phase_before(status) },
            failures: Vec::new(),
        }
    }

    /// One change of the topology, or what has to be asked before the next.
    fn advance(&mut self, observed: &Observed, now: UnixMillis) {
        if self.topology.pods.is_empty() {
            self.topology.shards = model::ShardMap::new(&self.desired, now);
            self.place();
            return;
        }
        self.forget_expired(now);
        if self.topology.shards.is_changing() {
            self.carry_out(observed);
            return;
        }
        let wave = model::plan(&self.topology.shards, &self.desired);
        wave.iter().for_each(|reshard| self.topology.shards.begin(reshard, now));
        if wave.is_empty() {
            self.phase = "ACTIVE";
        } else {
            self.phase = "UPDATING";
            self.place();
        }
    }

    /// What has begun.
    fn carry_out(&mut self, observed: &Observed) {
        let failed = observed.answers.iter().filter_map(|(shard, answer)| match answer {
            Answer::Failed(why) => Some(format!("{shard}: {why}")),
            _ => None,
        });
        self.failures.extend(failed);
        self.asks = carry_out(&mut self.topology, observed);
        if !self.asks.is_empty() {
            return;
        }
        let is_done = model::plan(&self.topology.shards, &self.desired).is_empty();
        self.phase = if is_done { "ACTIVE" } else { self.phase };
    }

    fn forget_expired(&mut self, now: UnixMillis) {
        let hours = u64::from(self.valid.retention_hours);
        let horizon = now.saturating_sub(Duration::from_secs(hours * 3600));
        let expired = self.topology.shards.forget_closed_before(horizon);
        // Their logs go when the pod next compares what it has with what there is.
        self.topology.pods.retain(|shard, _| !expired.contains(shard));
    }

    /// New shards go to the pods that there will be when all shards are where they should be.
    fn place(&mut self) {
        let pods = pods_for(self.open(), self.per_pod);
        let mut held = self.held();
        self.topology.place(self.set_name, &mut held, pods);
    }

    fn held(&self) -> Held {
        let mut held = self.others.clone();
        self.topology.count(self.set_name, &mut held);
        held
    }

    /// How many shards of the set will be open. On the way there may be more, for a moment: no pods are
    /// added for those.
    fn open(&self) -> u32 {
        let own = u32::try_from(self.desired.starting().len()).unwrap_or(u32::MAX);
        self.others.open().saturating_add(own)
    }

    /// The load of an on-demand stream counts while its shards are as they should be.
    fn weighs(&self) -> Vec<(ShardId, String)> {
        let is_asked =
            matches!(self.valid.mode, ValidMode::OnDemand { .. }) && self.phase == "ACTIVE";
        let pods =
            |shard: &model::Shard| Some((shard.id, self.topology.pods.get(&shard.id)?.clone()));
        let open = self.topology.shards.owners().filter(|_| is_asked);
        open.filter_map(pods).collect()
    }

    fn pods(&self) -> u32 {
        self.held().pods(self.open(), self.per_pod)
    }

    fn tell(&self, status: &mut StreamStatus) {
        status.phase = Some(self.phase.to_owned());
        status.desired_boundaries = encode_boundaries(&self.desired);
        status.next_shard = self.topology.shards.next_id();
        status.shards = self.topology.encode();
        let open = u32::try_from(self.topology.shards.owners().len());
        status.open_shard_count = Some(open.unwrap_or(u32::MAX));
    }
}

/// The next step of a reshard that has begun, and what has to be asked for it. Pending shards are made
/// first, then closing ones are closed: in this order, because from then on records wait.
fn carry_out(topology: &mut Topology, observed: &Observed) -> Vec<Ask> {
    let in_state = |state: ShardState| -> Vec<ShardId> {
        let shards = topology.shards.shards().iter();
        shards.filter(|shard| shard.state == state).map(|shard| shard.id).collect()
    };
    let (pending, closing) = (in_state(ShardState::Pending), in_state(ShardState::Closing));
    let ask = |shards: &[ShardId], what: Request| -> Vec<Ask> {
        let pod = |shard: &ShardId| topology.pods.get(shard).cloned();
        let ask = |shard: &ShardId| Some(Ask { pod: pod(shard)?, shard: *shard, what });
        shards.iter().filter_map(ask).collect()
    };
    let opened = |shard: &ShardId| observed.answers.get(shard) == Some(&Answer::Opened);
    if !pending.iter().all(opened) {
        return ask(&pending, Request::Open);
    }
    let closed = closing.iter().filter_map(|shard| match observed.answers.get(shard)? {
        Answer::Closed { end, at } => Some((*shard, *end, *at)),
        _ => None,
    });
    let closed: Vec<_> = closed.collect();
    if closed.len() < closing.len() {
        // Asking for what is open already shows that it still is.
        return [ask(&pending, Request::Open), ask(&closing, Request::Close)].concat();
    }
    topology.shards.finish(&closed);
    Vec::new()
}

/// Pods that start are not asked before they are ready: a name that DNS does not know yet it goes on not
/// to know for as long as it keeps that, 30 s in a usual cluster. When they take longer than pods do,
/// those that are there are asked.
fn wait_for_pods(before: &StreamStatus, all_ready: bool, now: UnixMillis) -> bool {
    let degraded = before.conditions.iter().find(|c| c.type_ == types::DEGRADED);
    let degraded = degraded.filter(|c| c.status == "True" && c.reason == reasons::PODS_MISSING);
    let since = degraded.map(|c| c.last_transition_time.0.as_millisecond());
    let since = since.and_then(|millis| u64::try_from(millis).ok()).map(UnixMillis);
    !all_ready && since.is_none_or(|since| now.since(since) < PODS_START_MAX)
}

/// Shards of a new stream in mode OnDemand, as AWS.
const ON_DEMAND_SHARDS: u32 = 4;

/// Where an on-demand stream's shards should start by their load; `None` when that is where they do, or
/// when they are on their way to something else.
fn by_load(
    topology: Option<&Topology>,
    was_desired: Option<&Boundaries>,
    observed: &Observed,
    limits: ScaleLimits,
) -> Option<Boundaries> {
    let shards = &topology?.shards;
    let is_there = model::plan(shards, was_desired?).is_empty();
    let load = |shard| observed.loads.get(&shard).copied().unwrap_or_default();
    is_there.then(|| model::scale(shards, load, limits)).flatten()
}

fn uniform(count: u32) -> Boundaries {
    Boundaries::uniform(count).expect("validated: 1 to 10,000 shards")
}

fn phase_before(status: &StreamStatus) -> &'static str {
    match status.phase.as_deref() {
        Some("CREATING") | None => "CREATING",
        Some("ACTIVE") => "ACTIVE",
        Some(_) => "UPDATING",
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
        name,
        namespace: stream.metadata.namespace.clone().unwrap_or_default(),
        owners: owners(stream, &observed.neighbours),
        pods: plan.pods(),
        class_name: if valid.pool { None } else { storage.class_name },
        volume_size: match (valid.pool, storage.size) {
            (true, _) => settings.pool_volume_size.clone(),
            (false, size) => size.unwrap_or_else(|| "10Gi".to_owned()),
        },
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

fn digest(object: &Value) -> String {
    names::hash(&object.to_string())
}

/// What is not there yet, or not as it should be, in the order in which it is applied.
fn missing(set: &NodeSet, settings: &Settings, observed: &Observed) -> Vec<Step> {
    const CLAIMS: &str = "/spec/volumeClaimTemplates";
    let wanted = manifests(set, settings).objects();
    let differs = |(kind, mut object): (&'static str, Value)| {
        // What is in an object no more is no difference to see, but its applied form is.
        object["metadata"]["annotations"] = json!({ APPLIED: digest(&object) });
        let reason = match observed.children.get(kind) {
            None => format!("{kind} {} is made", set.name),
            Some(live) => {
                // The API server refuses every change of these, as when a new size of a pool's
                // volumes was set: those that are there stay.
                if let (Some(wanted), Some(live)) =
                    (object.pointer_mut(CLAIMS), live.pointer(CLAIMS))
                {
                    wanted.clone_from(live);
                }
                let path = first_difference(&object, live)?;
                format!("{kind} {} differs at {path}", set.name)
            }
        };
        Some(Step { kind, object, reason })
    };
    wanted.into_iter().filter_map(differs).collect()
}

fn says(
    plan: &Plan<'_>,
    set: &NodeSet,
    observed: &Observed,
    is_applying: bool,
    all_ready: bool,
) -> Vec<Says> {
    let says =
        |condition, holds, reason, message: String| Says { condition, holds, reason, message };
    let shards = &plan.topology.shards;
    let (open, wanted) = (shards.owners().len(), plan.desired.starting().len());
    let pods = format!("{} of {} pods are ready", observed.pods_ready, set.pods);
    let mut all = vec![says(types::ACCEPTED, true, reasons::VALID, String::new())];
    let is_open = plan.phase != "CREATING";
    all.push(match (is_open, 0 < observed.pods_ready) {
        (true, true) => {
            says(types::READY, true, reasons::SERVING, format!("{open} shards; {pods}"))
        }
        (_, false) => says(types::READY, false, reasons::PODS_NOT_READY, pods.clone()),
        (false, true) => {
            let why = plan.failures.join("; ");
            says(types::READY, false, reasons::SHARDS_NOT_OPEN, why)
        }
    });
    let resharding = shards.is_changing() || plan.phase == "UPDATING";
    all.push(if resharding {
        let why = match plan.failures.is_empty() {
            true => format!("{open} open shards, {wanted} wanted"),
            false => plan.failures.join("; "),
        };
        says(types::PROGRESSING, true, reasons::RESHARDING, why)
    } else if is_applying || !observed.is_rolled_out {
        says(types::PROGRESSING, true, reasons::ROLLING_OUT, pods.clone())
    } else {
        says(types::PROGRESSING, false, reasons::UP_TO_DATE, String::new())
    });
    all.push(if !all_ready {
        says(types::DEGRADED, true, reasons::PODS_MISSING, pods)
    } else if let Some(pod) = observed.io_uring_refused.first() {
        let what = "io_uring is refused by the seccomp profile or the kernel; set \
                    pods.seccompProfile to one that allows it. Durable all the same, but slower: ";
        says(types::DEGRADED, true, reasons::IO_URING_REFUSED, format!("{what}{pod}"))
    } else {
        says(types::DEGRADED, false, reasons::HEALTHY, String::new())
    });
    all
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
        outcome.asks = carry_out(&mut topology, observed);
        outcome.next = Some(RETRY_PAUSE);
        let open = u32::try_from(topology.shards.owners().len());
        status.shards = topology.encode();
        status.open_shard_count = Some(open.unwrap_or(u32::MAX));
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

/// The set goes with its owners. Of a pool that stays, the stream's logs are removed first.
fn delete(
    stream: &Stream,
    mut status: StreamStatus,
    topology: Option<Topology>,
    observed: &Observed,
    now: UnixMillis,
) -> Outcome {
    let storage = stream.spec.storage.as_ref();
    let retains = storage.and_then(|s| s.deletion_policy) == Some(DeletionPolicy::Retain);
    // One whose streams all go, as when its namespace is deleted, has no pods to ask any more.
    let is_kept = |other: &Stream| other.metadata.deletion_timestamp.is_none();
    let stays = stream.spec.pool.is_some() && observed.neighbours.iter().any(is_kept);
    let mut asks = Vec::new();
    if let Some(topology) = topology.filter(|_| stays && !retains) {
        let is_left = |shard: &ShardId| observed.answers.get(shard) != Some(&Answer::Removed);
        let left = topology.pods.into_iter().filter(|(shard, _)| is_left(shard));
        let ask = |(shard, pod)| Ask { pod, shard, what: Request::Remove };
        asks = left.map(ask).collect();
    }
    let is_done = asks.is_empty();
    let removes_claims = is_done && !stays && !retains;
    status.phase = Some("DELETING".to_owned());
    let says = Says {
        condition: types::READY,
        holds: false,
        reason: reasons::DELETING,
        message: String::new(),
    };
    finish_status(stream, &mut status, &[says], now);
    Outcome {
        asks,
        status,
        finalizer: if is_done { Finalizer::Remove } else { Finalizer::Keep },
        removes_claims_of: removes_claims.then(|| names::stateful_set(stream)),
        next: Some(RETRY_PAUSE),
        ..Outcome::default()
    }
}

fn selector_text(stateful_set: &str) -> String {
    let pairs = names::selector(stateful_set);
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// A time as the API server writes it.
fn time(now: UnixMillis) -> Time {
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let timestamp = k8s_openapi::jiff::Timestamp::from_second(seconds);
    Time(timestamp.unwrap_or(k8s_openapi::jiff::Timestamp::MAX))
}
