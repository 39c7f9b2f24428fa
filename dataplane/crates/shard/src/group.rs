//! The seam between a shard and what makes its entries permanent.
//!
//! A shard proposes entries and learns what is committed; it does not know how many members agreed.
//! Today a group has one member and an entry is committed when this member's `fdatasync` returned.
//! Consensus goes here, under the same call.

use model::UnixMillis;
use shard_log::{AppendError, Appended, Entry, EntryKind, Writer};
use storage::Storage;

/// The replicas of one shard, seen from the leader's actor.
pub(crate) trait ReplicaGroup {
    /// Proposes entries, in order, and returns when they are committed: `committed` then says where
    /// each went.
    ///
    /// # Errors
    /// `NextSegment`: those in `committed` are committed, and nothing happened to the others.
    /// `Fenced`: `committed` is empty, and it is unknown what was committed; reopen the group.
    async fn commit(
        &mut self,
        entries: &[Proposal<'_>],
        committed: &mut Vec<Appended>,
    ) -> Result<(), AppendError>;
}

/// An entry without the term, which is the group's business.
pub(crate) struct Proposal<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) timestamp: UnixMillis,
    pub(crate) parts: Vec<&'a [u8]>,
}

/// A group of one: its own leader in term 1, for ever.
pub(crate) struct SingleMember<S: Storage> {
    pub(crate) writer: Writer<S>,
}

const TERM: u64 = 1;
/// In the build that the crash tests must find out, nothing waits for the disk.
const BROKEN: bool = cfg!(feature = "broken-ack-before-sync");

impl<S: Storage> ReplicaGroup for SingleMember<S> {
    async fn commit(
        &mut self,
        entries: &[Proposal<'_>],
        committed: &mut Vec<Appended>,
    ) -> Result<(), AppendError> {
        let result = match entries {
            // By far the most common: one operation of the disk.
            [one] if !BROKEN => {
                let appended = self.writer.append_durable(entry(one)).await;
                appended.map(|appended| committed.push(appended))
            }
            several => self.commit_several(several, committed).await,
        };
        if let Err(AppendError::Fenced { .. }) = &result {
            committed.clear();
        }
        result
    }
}

impl<S: Storage> SingleMember<S> {
    /// Writes as many as there is room for, then one sync for all of them.
    async fn commit_several(
        &mut self,
        entries: &[Proposal<'_>],
        committed: &mut Vec<Appended>,
    ) -> Result<(), AppendError> {
        let mut full = Ok(());
        for proposal in entries {
            match self.writer.append(entry(proposal)).await {
                Ok(appended) => committed.push(appended),
                Err(error @ AppendError::NextSegment(_)) => {
                    full = Err(error);
                    break;
                }
                Err(fenced) => return Err(fenced),
            }
        }
        if !BROKEN {
            self.writer.sync().await?;
        }
        full
    }
}

fn entry<'a>(proposal: &'a Proposal<'a>) -> Entry<'a> {
    let Proposal { kind, timestamp, parts } = proposal;
    Entry { kind: *kind, term: TERM, timestamp: *timestamp, parts }
}
