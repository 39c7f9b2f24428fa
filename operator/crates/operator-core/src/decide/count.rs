//! The number of shards in the spec, where `kubectl scale` and autoscalers look for it: they refuse a stream
//! that does not name one.
//!
//! The operator writes it as a field manager of its own, so that the API server remembers whose it is: whoever
//! writes another number has it from then on. A number that is the operator's stands against nothing that
//! people write: it goes when they write boundaries that are not as many, or make the load decide.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use model::Boundaries;
use operator_api::{Mode, Stream};

use super::plan::Plan;
use crate::names;
use crate::topology::encode_boundaries;
use crate::validate::{ValidMode, ValidStream, is_count_of};

/// A change of a stream's spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecEdit {
    /// Say how many shards there are, and where they start, if that does not follow from their number.
    Write {
        /// spec.shardCount
        shard_count: u32,
        /// spec.shardBoundaries
        shard_boundaries: Option<Vec<String>>,
    },
    /// Take back what was written.
    Release {
        /// Whether spec.shardBoundaries was, too.
        shard_boundaries: bool,
    },
}

/// Whether a number that the operator wrote stands against what somebody else did.
pub(super) fn is_outdated(stream: &Stream) -> bool {
    let ours = is_ours(stream, "f:shardCount");
    let Some(count) = stream.spec.shard_count.filter(|_| ours) else { return false };
    let boundaries = stream.spec.shard_boundaries.as_deref();
    stream.spec.mode == Some(Mode::OnDemand)
        || boundaries.is_some() && !is_count_of(boundaries, count)
}

/// What takes it back.
pub(super) fn release(stream: &Stream) -> SpecEdit {
    SpecEdit::Release { shard_boundaries: is_ours(stream, "f:shardBoundaries") }
}

/// What the spec of a new stream does not say, so that it is written together with the finalizer.
pub(super) fn of_new(stream: &Stream, valid: &ValidStream) -> Option<SpecEdit> {
    let is_meant = valid.mode == ValidMode::Provisioned && stream.spec.shard_count.is_none();
    let is_new = stream.status.as_ref().is_none_or(|status| status.shards.is_empty());
    let boundaries = valid.boundaries.as_ref().map_or(1, |all| all.starting().len());
    let shard_count = u32::try_from(boundaries).ok()?;
    let write = SpecEdit::Write { shard_count, shard_boundaries: None };
    (is_meant && is_new).then_some(write)
}

/// What the spec of a stream that is as it should be does not say yet.
pub(super) fn missing(stream: &Stream, plan: &Plan<'_>) -> Option<SpecEdit> {
    let is_there = plan.phase == "ACTIVE" && plan.no_room.is_none();
    let is_meant = plan.valid.mode == ValidMode::Provisioned && stream.spec.shard_count.is_none();
    if !is_there || !is_meant {
        return None;
    }
    let count = u32::try_from(plan.desired.starting().len()).ok()?;
    let is_uniform = Boundaries::uniform(count).is_ok_and(|uniform| uniform == plan.desired);
    let is_said = is_uniform || stream.spec.shard_boundaries.is_some();
    let shard_boundaries = (!is_said).then(|| encode_boundaries(&plan.desired));
    Some(SpecEdit::Write { shard_count: count, shard_boundaries })
}

/// The fields of a spec that say how many shards there are, as managed fields name them.
pub const SHARDS_FIELDS: [&str; 2] = ["f:shardCount", "f:shardBoundaries"];

/// Whether a manager wrote this field of the spec.
#[must_use]
pub fn is_owner(managed: &ManagedFieldsEntry, field: &str) -> bool {
    managed.fields_v1.as_ref().is_some_and(|fields| !fields.0["f:spec"][field].is_null())
}

/// Whether we wrote a field, and nobody else wrote the same.
fn is_ours(stream: &Stream, field: &str) -> bool {
    let managers = stream.metadata.managed_fields.iter().flatten();
    let mut owners = managers.filter(|manager| is_owner(manager, field)).peekable();
    owners.peek().is_some()
        && owners.all(|owner| owner.manager.as_deref() == Some(names::SHARDS_MANAGER))
}
