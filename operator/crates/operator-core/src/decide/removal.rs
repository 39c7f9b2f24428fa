//! How a stream goes, and what the next one of its name waits for.
//!
//! ```text
//!  own pods, or all of a pool go    StatefulSet, and with it its pods ──► volume claims ──► finalizer
//!  a pool that stays                the stream's logs on its pods ─────────────────────────► finalizer
//! ```
//!
//! In this order, because a claim that is deleted goes when the last pod that uses it does: pods of a
//! set that somebody takes over meanwhile would write to volumes that vanish under them.

use model::{ShardId, UnixMillis};
use operator_api::conditions::{Says, reasons, types};
use operator_api::{DeletionPolicy, Stream, StreamStatus};
use serde_json::Value;

use super::{Answer, Ask, Finalizer, Observed, Outcome, RETRY_PAUSE, Request, finish_status};
use crate::names;
use crate::topology::Topology;

/// Something to delete, with all that the API server knows now, not with what it knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A StatefulSet: it is there until its pods are gone.
    StatefulSet {
        /// Its name.
        name: String,
        /// That of the one that was looked at: another one may have its name by now.
        uid: Option<String>,
    },
    /// The volume claims of the StatefulSet of this name, which is gone.
    Claims(String),
}

/// What is left to do, or to wait for, before a stream can go.
enum Left {
    Nothing,
    Asks(Vec<Ask>),
    Removal(Removal),
    Going(String),
}

pub(super) fn delete(
    stream: &Stream,
    mut status: StreamStatus,
    topology: Option<Topology>,
    observed: &Observed,
    now: UnixMillis,
) -> Outcome {
    let left = left(stream, topology, observed);
    status.phase = Some("DELETING".to_owned());
    let message = match &left {
        Left::Going(what) => format!("waits for {what} to go"),
        Left::Asks(asks) => format!("waits for the logs of {} shards to go", asks.len()),
        Left::Removal(_) | Left::Nothing => String::new(),
    };
    let says = Says { condition: types::READY, holds: false, reason: reasons::DELETING, message };
    finish_status(stream, &mut status, &[says], now);
    let mut outcome = Outcome { status, next: Some(RETRY_PAUSE), ..Outcome::default() };
    match left {
        Left::Nothing => outcome.finalizer = Finalizer::Remove,
        Left::Asks(asks) => outcome.asks = asks,
        Left::Removal(removal) => outcome.removal = Some(removal),
        Left::Going(_) => {}
    }
    outcome
}

fn left(stream: &Stream, topology: Option<Topology>, observed: &Observed) -> Left {
    let storage = stream.spec.storage.as_ref();
    let retains = storage.and_then(|s| s.deletion_policy) == Some(DeletionPolicy::Retain);
    // One whose streams all go, as when its namespace is deleted, has no pods to ask any more.
    let is_kept = |other: &Stream| other.metadata.deletion_timestamp.is_none();
    let stays = observed.neighbours.iter().any(is_kept) || observed.is_partial;
    let name = names::stateful_set(stream);
    match observed.children.get("StatefulSet") {
        Some(set) if is_going(set) => Left::Going(format!("StatefulSet {name} and its pods")),
        Some(_) if stream.spec.pool.is_some() && stays => {
            let shards = topology.filter(|_| !retains).map(|topology| topology.pods);
            let is_left = |shard: &ShardId| observed.answers.get(shard) != Some(&Answer::Removed);
            let left = shards.into_iter().flatten().filter(|(shard, _)| is_left(shard));
            let asks: Vec<Ask> =
                left.map(|(shard, pod)| Ask { pod, shard, what: Request::Remove }).collect();
            if asks.is_empty() { Left::Nothing } else { Left::Asks(asks) }
        }
        Some(set) => {
            let uid = set["metadata"]["uid"].as_str().map(str::to_owned);
            Left::Removal(Removal::StatefulSet { name, uid })
        }
        // Whoever makes the pool's set again removes logs that are nobody's.
        None if retains || stays && stream.spec.pool.is_some() => Left::Nothing,
        None if observed.claims.going < observed.claims.all => Left::Removal(Removal::Claims(name)),
        None if 0 < observed.claims.all => {
            Left::Going(format!("{} volume claims of {name}", observed.claims.all))
        }
        None => Left::Nothing,
    }
}

/// What of a former stream of the same name, or of a former pool, keeps this one's pods from being made.
pub(super) fn going(stream: &Stream, observed: &Observed) -> Option<String> {
    let name = names::stateful_set(stream);
    match observed.children.get("StatefulSet") {
        Some(set) if is_going(set) => Some(format!("StatefulSet {name} and its pods")),
        // Those of pods that were taken away, and perhaps come back: Kubernetes sees to it.
        Some(_) => None,
        None if 0 < observed.claims.going => {
            Some(format!("{} volume claims of {name}", observed.claims.going))
        }
        None => None,
    }
}

fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}
