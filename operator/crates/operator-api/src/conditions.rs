//! The conditions of all resources: their types and the reasons they give.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The types of conditions.
pub mod types {
    /// Whether the spec is right. The message lists everything that is wrong.
    pub const ACCEPTED: &str = "Accepted";
    /// Whether the resource serves.
    pub const READY: &str = "Ready";
    /// Whether a change is being carried out.
    pub const PROGRESSING: &str = "Progressing";
    /// Whether it serves worse than it should: slower, or with fewer replicas.
    pub const DEGRADED: &str = "Degraded";
}

/// The reasons of conditions. Those of events are the same words.
pub mod reasons {
    /// Accepted: everything in the spec is right.
    pub const VALID: &str = "Valid";
    /// Not accepted: something in the spec is wrong.
    pub const INVALID: &str = "Invalid";
    /// Not accepted: this version of the operator does not read it.
    pub const UNREADABLE: &str = "Unreadable";
    /// Not accepted: the API server refuses what is made for it.
    pub const REFUSED: &str = "Refused";
    /// Not accepted: the resource has no room for the shards that a reshard makes and closes.
    pub const STATUS_FULL: &str = "StatusFull";
    /// Ready: all pods that take its records are there.
    pub const SERVING: &str = "Serving";
    /// Not ready: no version of the operator carries this kind out yet.
    pub const NOT_IMPLEMENTED: &str = "NotImplemented";
    /// Not ready: of the pods that take its records, some are not there.
    pub const PODS_NOT_READY: &str = "PodsNotReady";
    /// Not ready: pods or volumes that were there before, under the same names, are still going.
    pub const FORMER_PODS: &str = "FormerPods";
    /// Not ready: shards have not been opened yet.
    pub const SHARDS_NOT_OPEN: &str = "ShardsNotOpen";
    /// Not ready: what it reads is not there, or not in service.
    pub const SOURCE_NOT_READY: &str = "SourceNotReady";
    /// Ready: records are delivered.
    pub const DELIVERING: &str = "Delivering";
    /// Not ready: it is being deleted.
    pub const DELETING: &str = "Deleting";
    /// Progressing: shards are split or merged.
    pub const RESHARDING: &str = "Resharding";
    /// Progressing: pods are being replaced.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// Not progressing: everything is as it should be.
    pub const UP_TO_DATE: &str = "UpToDate";
    /// Degraded: some pod's kernel or seccomp profile refuses io_uring.
    pub const IO_URING_REFUSED: &str = "IoUringRefused";
    /// Degraded: of the pods that have records of it, some are not ready.
    pub const PODS_MISSING: &str = "PodsMissing";
    /// Degraded: the destination takes nothing, nor does the backup for what it refuses.
    pub const DESTINATION_FAILS: &str = "DestinationFails";
    /// Not degraded.
    pub const HEALTHY: &str = "Healthy";
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// One of [`types`].
    pub condition: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// One of [`reasons`].
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// `current` with what is said now. A transition time changes only with its status.
#[must_use]
pub fn update(current: &[Condition], says: &[Says], generation: i64, now: &Time) -> Vec<Condition> {
    let one = |says: &Says| {
        let status = if says.holds { "True" } else { "False" };
        let before = current.iter().find(|c| c.type_ == says.condition && c.status == status);
        Condition {
            type_: says.condition.to_owned(),
            status: status.to_owned(),
            reason: says.reason.to_owned(),
            message: says.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: before.map_or(now, |c| &c.last_transition_time).clone(),
        }
    };
    says.iter().map(one).collect()
}
