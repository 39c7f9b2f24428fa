//! The seam between a shard and what makes its entries permanent.
//!
//! A shard proposes entries and learns what is committed; it does not know how many members agreed.
//! Today a group has one member and an entry is committed when this member's `fdatasync` returned.
//! Consensus goes here, under the same two calls.

use shard_log::{Appended, Entry, Writer};
use storage::Storage;

/// The replicas of one shard, seen from the leader's actor.
pub(crate) trait ReplicaGroup {
    /// Gives an entry its place in the log. It is not committed, and may yet be lost.
    ///
    /// # Errors
    /// `NextSegment`: nothing happened. `Fenced`: reopen the group.
    async fn propose(&mut self, entry: Proposal<'_>) -> Result<Appended, shard_log::AppendError>;

    /// Returns when everything proposed so far is committed.
    ///
    /// # Errors
    /// `Fenced`: it is unknown what was committed; reopen the group.
    async fn commit(&mut self) -> Result<(), shard_log::AppendError>;
}

/// An entry without the term, which is the group's business.
pub(crate) struct Proposal<'a> {
    pub(crate) kind: shard_log::EntryKind,
    pub(crate) timestamp: model::UnixMillis,
    pub(crate) parts: &'a [&'a [u8]],
}

/// A group of one: its own leader in term 1, for ever.
pub(crate) struct SingleMember<S: Storage> {
    pub(crate) writer: Writer<S>,
}

const TERM: u64 = 1;

impl<S: Storage> ReplicaGroup for SingleMember<S> {
    async fn propose(&mut self, entry: Proposal<'_>) -> Result<Appended, shard_log::AppendError> {
        let Proposal { kind, timestamp, parts } = entry;
        self.writer.append(Entry { kind, term: TERM, timestamp, parts }).await
    }

    async fn commit(&mut self) -> Result<(), shard_log::AppendError> {
        if cfg!(feature = "broken-ack-before-sync") {
            return Ok(());
        }
        self.writer.sync().await
    }
}
