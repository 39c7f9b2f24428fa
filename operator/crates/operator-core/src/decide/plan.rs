//! A stream's shards: where they should be, and the next step on their way there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Boundaries, ScaleLimits, ShardId, ShardState, UnixMillis};
use operator_api::{Stream, StreamStatus};

use super::budget;
use super::{Answer, Ask, Observed, Request};
use crate::manifests::Settings;
use crate::placement::{Held, pods_for};
use crate::topology::{Topology, encode_boundaries};
use crate::validate::{ValidMode, ValidStream};

/// A stream's shards on their way to what they should be.
pub(super) struct Plan<'a> {
    pub(super) valid: &'a ValidStream,
    pub(super) set_name: &'a str,
    pub(super) desired: Boundaries,
    pub(super) topology: Topology,
    /// What the set's pods hold of its other streams.
    pub(super) others: Held,
    /// How many open shards those are on their way to.
    pub(super) others_open: u32,
    pub(super) per_pod: u32,
    pub(super) next: Next,
    pub(super) phase: &'static str,
    pub(super) failures: Vec<String>,
    /// Why the reshard that is wanted does not begin.
    pub(super) no_room: Option<String>,
}

/// What is to be asked next, or what for now keeps it from being asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Next {
    pub(super) asks: Vec<Ask>,
    /// Pods that are not ready.
    pub(super) waits_for: BTreeSet<String>,
}

impl Next {
    /// Nothing is asked before all can be: one shard that is closed while the pod of its child is away
    /// would have nowhere to put its records. And pods that start are not asked: a name that DNS does
    /// not know yet it goes on not to know for as long as it keeps that, 30 s in a usual cluster.
    fn new(asks: Vec<Ask>, observed: &Observed) -> Next {
        let pods = asks.iter().map(|ask| &ask.pod);
        let waits_for: BTreeSet<String> =
            pods.filter(|pod| !observed.pods_ready.contains(*pod)).cloned().collect();
        Next { asks: if waits_for.is_empty() { asks } else { Vec::new() }, waits_for }
    }

    fn is_done(&self) -> bool {
        self.asks.is_empty() && self.waits_for.is_empty()
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(
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
        let (others, others_open) = others(&observed.neighbours, set_name);
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
            others_open,
            per_pod: if valid.pool { settings.pool_shards_per_pod } else { valid.shards_per_pod },
            next: Next::default(),
            phase: if is_new { "CREATING" } else { phase_before(status) },
            failures: Vec::new(),
            no_room: None,
        }
    }

    /// One change of the topology, or what has to be asked before the next.
    pub(super) fn advance(
        &mut self,
        stream: &Stream,
        status: &StreamStatus,
        observed: &Observed,
        now: UnixMillis,
    ) {
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
        let wave = if wave.is_empty() || self.has_room(stream, status) { wave } else { Vec::new() };
        wave.iter().for_each(|reshard| self.topology.shards.begin(reshard, now));
        if wave.is_empty() {
            self.phase = "ACTIVE";
        } else {
            self.phase = "UPDATING";
            self.place();
        }
    }

    /// Whether the status takes all of the reshard. If not, the shards stay as they are.
    fn has_room(&mut self, stream: &Stream, status: &StreamStatus) -> bool {
        let (topology, desired) = (&self.topology, &self.desired);
        self.no_room = budget::no_room(stream, status, topology, desired, self.set_name);
        if self.no_room.is_some() {
            self.desired =
                topology.shards.boundaries().expect("shards that do not change are open");
        }
        self.no_room.is_none()
    }

    /// What has begun.
    fn carry_out(&mut self, observed: &Observed) {
        let failed = observed.answers.iter().filter_map(|(shard, answer)| match answer {
            Answer::Failed(why) => Some(format!("{shard}: {why}")),
            _ => None,
        });
        self.failures.extend(failed);
        self.next = carry_out(&mut self.topology, observed);
        if !self.next.is_done() {
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
        self.others_open.saturating_add(own)
    }

    /// The load of an on-demand stream counts while its shards are as they should be.
    pub(super) fn weighs(&self) -> Vec<(ShardId, String)> {
        let is_asked =
            matches!(self.valid.mode, ValidMode::OnDemand { .. }) && self.phase == "ACTIVE";
        let pods =
            |shard: &model::Shard| Some((shard.id, self.topology.pods.get(&shard.id)?.clone()));
        let open = self.topology.shards.owners().filter(|_| is_asked);
        open.filter_map(pods).collect()
    }

    /// The pods that take its records; of a new stream, those that will.
    pub(super) fn writable(&self) -> BTreeSet<&str> {
        let is_new = self.topology.shards.owners().len() == 0;
        self.pods_of(|state| is_new || matches!(state, ShardState::Open | ShardState::Closing))
    }

    /// The pods that have records of it, or could have.
    pub(super) fn readable(&self) -> BTreeSet<&str> {
        self.pods_of(|state| state != ShardState::Pending)
    }

    fn pods_of(&self, is_meant: impl Fn(ShardState) -> bool) -> BTreeSet<&str> {
        let shards = self.topology.shards.shards().iter().filter(|shard| is_meant(shard.state));
        shards.filter_map(|shard| self.topology.pods.get(&shard.id).map(String::as_str)).collect()
    }

    pub(super) fn pods(&self) -> u32 {
        self.held().pods(self.open(), self.per_pod)
    }

    pub(super) fn tell(&self, status: &mut StreamStatus) {
        status.phase = Some(self.phase.to_owned());
        status.desired_boundaries = encode_boundaries(&self.desired);
        self.topology.tell(status);
    }
}

/// What other streams hold on a set's pods, and how many open shards they are on their way to: each is
/// counted as it counts itself. Were it by what is open in the middle of its reshard, the set would grow
/// when the one is looked at and shrink when the other is.
fn others(neighbours: &[Stream], set_name: &str) -> (Held, u32) {
    let (mut held, mut wanted) = (Held::default(), 0);
    for neighbour in neighbours {
        let Some(status) = &neighbour.status else { continue };
        let mut own = status.desired_boundaries.len();
        // One that contradicts itself is refused where it is looked at itself.
        if let Ok(Some(topology)) = Topology::of(status) {
            topology.count(set_name, &mut held);
            if own == 0 {
                own = topology.shards.owners().len();
            }
        }
        wanted += u32::try_from(own).unwrap_or(u32::MAX);
    }
    (held, wanted)
}

/// The next step of a reshard that has begun, and what has to be asked for it. Pending shards are made
/// first, then closing ones are closed: in this order, because from then on records wait.
pub(super) fn carry_out(topology: &mut Topology, observed: &Observed) -> Next {
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
        return Next::new(ask(&pending, Request::Open), observed);
    }
    let closed = closing.iter().filter_map(|shard| match observed.answers.get(shard)? {
        Answer::Closed { end, at } => Some((*shard, *end, *at)),
        _ => None,
    });
    let closed: Vec<_> = closed.collect();
    if closed.len() < closing.len() {
        // Asking for what is open already shows that it still is.
        let all = [ask(&pending, Request::Open), ask(&closing, Request::Close)].concat();
        return Next::new(all, observed);
    }
    topology.shards.finish(&closed);
    Next::default()
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
