//! One round of the group commit: admit, merge, propose, commit, answer.

use std::collections::VecDeque;

use encryption::Sealer;
use model::{Offset, UnixMillis};
use shard_log::{EntryKind, LogId, RecordBuffer};
use storage::Storage;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Actor;
use crate::error::{AppendError, Unavailable};
use crate::group::{Proposal, ReplicaGroup};
use crate::handle::{Appended, Committed, Write};
use crate::leases::Lease;
use crate::machine::Command;
use crate::reads::seal_context;

/// Appends are merged into one entry up to this payload: enough to keep the disk busy, little enough
/// for a reader that wants one record of it.
const ENTRY_BYTES_TARGET: usize = 1 << 20;
/// A round ends after this much payload, so that its first append need not wait for the last.
const ROUND_BYTES_MAX: usize = 4 << 20;

type AppendReply = oneshot::Sender<Result<Appended, AppendError>>;
type CommandReply = oneshot::Sender<Result<Committed, AppendError>>;

/// What becomes one entry of the log, and who waits for it.
enum Step {
    Records { buffers: Vec<RecordBuffer>, replies: Vec<AppendReply>, bytes: usize },
    Command { command: Command, reply: CommandReply },
}

impl<S: Storage> Actor<S> {
    /// Takes appends and commands off the front of the queue and carries them out together.
    pub(super) async fn round(&mut self, queue: &mut VecDeque<Write>) {
        let steps = self.admit(queue);
        if steps.is_empty() {
            return;
        }
        let started = Instant::now();
        let Some(group) = &mut self.group else {
            return steps.into_iter().for_each(|step| step.refuse(&Unavailable::Stopped));
        };
        let log = group.writer.log_id();
        let mut sealer = self.sealer.as_mut().ok().and_then(Option::as_mut);
        let encode = |step: &Step| step.encode(sealer.as_deref_mut(), log);
        let encoded: Vec<Option<Vec<u8>>> = steps.iter().map(encode).collect();
        let now = self.state.clock.now();
        let steps_encoded = steps.iter().zip(&encoded);
        let proposals: Vec<Proposal<'_>> =
            steps_encoded.map(|(step, encoded)| step.proposal(encoded.as_deref(), now)).collect();
        let mut committed = Vec::with_capacity(proposals.len());
        let result = group.commit(&proposals, &mut committed).await;
        if !committed.is_empty() {
            self.disk_full = None;
        }
        let refused = self.after(result).err();
        let mut steps = steps.into_iter();
        let done: Vec<_> = steps.by_ref().take(committed.len()).zip(committed).collect();
        if !done.is_empty() {
            self.answer(done, started);
        }
        let refused = refused.unwrap_or(Unavailable::Stopped);
        steps.for_each(|step| step.refuse(&refused));
    }

    /// Answers what cannot be appended and merges the rest into steps, in the order of the queue.
    fn admit(&mut self, queue: &mut VecDeque<Write>) -> Vec<Step> {
        let unavailable = self.unavailable();
        let now = self.state.clock.now();
        let closed = self.machine.closed_at().is_some();
        let mut steps = Vec::new();
        let mut bytes = 0;
        while bytes < ROUND_BYTES_MAX {
            let write = queue.pop_front_if(|write| {
                matches!(write, Write::Append { .. } | Write::Command { .. })
            });
            match write {
                Some(Write::Append { records, reply }) => {
                    let admitted = match &unavailable {
                        Some(unavailable) => Err(AppendError::Unavailable(unavailable.clone())),
                        None if closed => Err(AppendError::Closed),
                        None if let Err(number) = self.sealer => Err(AppendError::NoKey(number)),
                        None => self.throttle(&records, now),
                    };
                    match admitted {
                        Err(error) => drop(reply.send(Err(error))),
                        Ok(()) => {
                            bytes += records.payload().len();
                            merge(&mut steps, records, reply);
                        }
                    }
                }
                Some(Write::Command { command, lease, reply }) => {
                    let admitted = match &unavailable {
                        Some(unavailable) => Err(AppendError::Unavailable(unavailable.clone())),
                        None => self.admit_command(&command, lease.as_ref()),
                    };
                    match admitted {
                        Err(error) => drop(reply.send(Err(error))),
                        Ok(()) => {
                            steps.push(Step::Command { command, reply });
                            // What comes next is admitted by the machine that this one leaves.
                            break;
                        }
                    }
                }
                _ => break,
            }
        }
        steps
    }

    fn admit_command(&self, command: &Command, lease: Option<&Lease>) -> Result<(), AppendError> {
        let name = match command {
            Command::Checkpoint { consumer, .. } => consumer,
            // It would come back with the next checkpoint.
            Command::Forget { consumer } if self.leases.is_taken(consumer, Instant::now()) => {
                return Err(AppendError::NotHeld);
            }
            Command::Close { .. } | Command::Forget { .. } => return Ok(()),
        };
        if !lease.is_some_and(|lease| lease.covers(name) && self.leases.is_held(lease)) {
            return Err(AppendError::NotHeld);
        }
        self.machine.admits(name).then_some(()).ok_or(AppendError::TooManyConsumers)
    }

    fn throttle(&self, records: &RecordBuffer, now: UnixMillis) -> Result<(), AppendError> {
        let (bytes, count) = (records.payload().len() as u64, u64::from(records.record_count()));
        let admitted = self.state.throttle.borrow_mut().write(bytes, count, now);
        admitted.map_err(AppendError::Throttled)
    }

    /// What was committed is applied, shown, and told to everybody.
    fn answer(&mut self, proposed: Vec<(Step, shard_log::Appended)>, started: Instant) {
        self.last_append = Instant::now();
        self.count(&proposed, started);
        for (step, appended) in &proposed {
            let Some(group) = &mut self.group else { break };
            match step {
                Step::Records { .. } => group.writer.confirm_image(appended.index),
                Step::Command { command, .. } => {
                    self.machine.apply(command.clone());
                    group.writer.set_image(appended.index, self.machine.image());
                }
            }
        }
        self.publish(self.disk_full.as_ref().map(|_| Unavailable::DiskFull));
        for (step, appended) in proposed {
            match step {
                Step::Records { buffers, replies, .. } => {
                    let mut first = appended.offsets.start;
                    for (records, reply) in buffers.iter().zip(replies) {
                        let _ = reply.send(Ok(Appended { first, timestamp: appended.timestamp }));
                        first = first.advance(u64::from(records.record_count()));
                    }
                }
                Step::Command { reply, .. } => {
                    let end: Offset = appended.offsets.start;
                    let _ = reply.send(Ok(Committed { end, machine: self.machine.clone() }));
                }
            }
        }
    }

    fn count(&self, proposed: &[(Step, shard_log::Appended)], started: Instant) {
        let metrics = &self.state.metrics;
        let bytes: usize = proposed.iter().map(|(step, _)| step.bytes()).sum();
        let records: u64 =
            proposed.iter().map(|(_, at)| at.offsets.end.0 - at.offsets.start.0).sum();
        metrics.commits.inc();
        metrics.committed_records.inc_by(records);
        metrics.committed_bytes.inc_by(bytes as u64);
        metrics.commit_bytes.observe(bytes as f64);
        metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
    }
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Step::Records { bytes, .. } => *bytes,
            Step::Command { .. } => 0,
        }
    }

    /// The payload that has to be made: of a command, and of records that are to be encrypted. Others
    /// are used where they are.
    fn encode(&self, sealer: Option<&mut Sealer>, log: LogId) -> Option<Vec<u8>> {
        match self {
            Step::Records { .. } => {
                let context = seal_context(log, self.record_count());
                Some(sealer?.seal(&context, &self.parts()))
            }
            Step::Command { command, .. } => Some(command.encode()),
        }
    }

    fn proposal<'a>(&'a self, encoded: Option<&'a [u8]>, timestamp: UnixMillis) -> Proposal<'a> {
        let count = self.record_count();
        let (kind, parts) = match (self, encoded) {
            (Step::Records { .. }, None) => (EntryKind::Records(count), self.parts()),
            (Step::Records { .. }, Some(sealed)) => (EntryKind::SealedRecords(count), vec![sealed]),
            (Step::Command { .. }, encoded) => (EntryKind::Command, encoded.into_iter().collect()),
        };
        Proposal { kind, timestamp, parts }
    }

    fn record_count(&self) -> u32 {
        match self {
            Step::Records { buffers, .. } => buffers.iter().map(RecordBuffer::record_count).sum(),
            Step::Command { .. } => 0,
        }
    }

    fn parts(&self) -> Vec<&[u8]> {
        match self {
            Step::Records { buffers, .. } => buffers.iter().map(RecordBuffer::payload).collect(),
            Step::Command { .. } => Vec::new(),
        }
    }

    fn refuse(self, unavailable: &Unavailable) {
        let error = AppendError::Unavailable(unavailable.clone());
        match self {
            Step::Records { replies, .. } => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
            Step::Command { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Adds an append to the last step if that has records and room, else as a step of its own.
fn merge(steps: &mut Vec<Step>, records: RecordBuffer, reply: AppendReply) {
    let added = records.payload().len();
    if let Some(Step::Records { buffers, replies, bytes }) = steps.last_mut()
        && *bytes + added <= ENTRY_BYTES_TARGET
    {
        *bytes += added;
        buffers.push(records);
        replies.push(reply);
        return;
    }
    steps.push(Step::Records { buffers: vec![records], replies: vec![reply], bytes: added });
}
