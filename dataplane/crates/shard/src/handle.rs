//! A shard as the rest of the program sees it: a handle to send to from any thread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encryption::Keyring;
use model::{Offset, UnixMillis};
use shard_log::{Batch, Record, RecordBuffer};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::error::{AppendError, CloseError, ReadError, Unavailable};
use crate::leases::{Claim, Lease};
use crate::machine::{Command, Machine};

/// What can be changed about a running shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// How much it takes and gives.
    pub throughput: Throughput,
    /// How long it keeps records.
    pub retention: Retention,
    /// What records are encrypted with on disk, and have been.
    pub keyring: Arc<Keyring>,
}

/// Whether a shard imposes AWS's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throughput {
    /// As fast as disk and processor allow.
    Unlimited,
    /// As one AWS shard: 1 MiB/s or 1,000 records/s in, 2 MiB/s and 5 calls/s out.
    Aws,
}

/// When records may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this cannot be read any more.
    pub age: Duration,
    /// The oldest segments go, whatever their age, while the log is larger than this.
    pub bytes_max: Option<u64>,
}

/// How far a shard has come. Changes are pushed to every handle; to one of another node's shard from when
/// somebody first looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The offset after the last committed record.
    pub commit_end: Offset,
    /// When the last committed record arrived; zero when there was none.
    pub tip_timestamp: UnixMillis,
    /// The committed state machine.
    pub machine: Machine,
    /// Why writes are refused, if they are.
    pub unavailable: Option<Unavailable>,
}

/// Where appended records went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first; the others follow densely.
    pub first: Offset,
    /// The arrival timestamp all of them were given.
    pub timestamp: UnixMillis,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The first record wanted. One that has expired stands for the oldest that has not.
    pub from: Offset,
    /// Payload bytes after which to stop, at a record.
    pub bytes_max: usize,
    /// Records after which to stop.
    pub records_max: usize,
    /// How long to wait when there is nothing yet.
    pub wait: Duration,
    /// Whether the shard's shared read throughput is charged.
    pub charged: bool,
}

/// What was read: committed records, in order, without gap.
#[derive(Debug)]
pub struct ReadReply {
    pub(crate) batches: Vec<Batch>,
    pub(crate) from: Offset,
    pub(crate) end: Offset,
    pub(crate) bytes_max: usize,
    pub(crate) records_max: usize,
    /// How far the shard had come.
    pub progress: Progress,
    /// Memory for what is not in the tail, given back when the reply is dropped.
    pub(crate) _reservation: Option<OwnedSemaphorePermit>,
}

/// A record, and the memory it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Where it stands in its shard.
    pub offset: Offset,
    /// Its partition key, UTF-8; empty when it has none.
    pub partition_key: Bytes,
    /// What the producer sent.
    pub data: Bytes,
    /// When it arrived.
    pub timestamp: UnixMillis,
}

impl ReadReply {
    /// Where reading started: later than asked for when older records have expired.
    #[must_use]
    pub fn from(&self) -> Offset {
        self.from
    }

    /// The records with their arrival timestamps, within the limits of the request, but at least
    /// one when there is any.
    pub fn records(&self) -> impl Iterator<Item = (Record<'_>, UnixMillis)> {
        self.records_of_batches().map(|(batch, record)| (record, batch.header().timestamp))
    }

    /// The same, for who keeps them: each holds on to the memory of the batch it came in.
    pub fn owned_records(&self) -> impl Iterator<Item = OwnedRecord> {
        self.records_of_batches().map(|(batch, record)| OwnedRecord {
            offset: record.offset,
            partition_key: batch.slice(record.partition_key.as_bytes()),
            data: batch.slice(record.data),
            timestamp: batch.header().timestamp,
        })
    }

    fn records_of_batches(&self) -> impl Iterator<Item = (&Batch, Record<'_>)> {
        let records = self
            .batches
            .iter()
            .flat_map(|batch| batch.records_from(self.from).map(move |record| (batch, record)));
        let mut bytes_left = self.bytes_max;
        records
            .take_while(|(_, record)| record.offset < self.end)
            .enumerate()
            .take_while(move |(at, (_, record))| {
                let bytes = record.partition_key.len() + record.data.len();
                let fits = *at == 0 || bytes <= bytes_left;
                bytes_left = bytes_left.saturating_sub(bytes);
                fits
            })
            .map(|(_, record)| record)
            .take(self.records_max.max(1))
    }
}

/// A running shard. Cheap to clone; dropping it stops nothing.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    pub(crate) writes: mpsc::Sender<Write>,
    pub(crate) reads: mpsc::Sender<Read>,
    pub(crate) progress: watch::Receiver<Progress>,
    /// Where the progress is of another node: told that somebody looks at it.
    pub(crate) looked_at: Option<Arc<Notify>>,
}

/// A message to a shard's actor.
#[derive(Debug)]
pub(crate) enum Write {
    Append {
        records: RecordBuffer,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
    },
    /// With the lease that it needs, if it needs one.
    Command {
        command: Command,
        lease: Option<Lease>,
        reply: oneshot::Sender<Result<Committed, AppendError>>,
    },
    Claim {
        lease: Lease,
        vacant_for: Duration,
        reply: oneshot::Sender<Result<Claim, AppendError>>,
    },
    Release {
        lease: Lease,
    },
    Checkpoint {
        name: String,
        reply: oneshot::Sender<Result<Option<Offset>, AppendError>>,
    },
    Configure(ShardOptions),
    TailBytesMax(usize),
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// A message to a shard's reader.
#[derive(Debug)]
pub(crate) enum Read {
    Records { request: ReadRequest, reply: oneshot::Sender<Result<ReadReply, ReadError>> },
    OffsetAt { timestamp: UnixMillis, reply: oneshot::Sender<Result<Offset, ReadError>> },
    Start { reply: oneshot::Sender<Result<Offset, ReadError>> },
}

/// The state right behind a committed command.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) end: Offset,
    pub(crate) machine: Machine,
}

impl ShardHandle {
    /// Appends records, as one piece: on `Ok` all of them are durable on a quorum of the shard's
    /// replicas.
    ///
    /// # Errors
    /// See [`AppendError`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the records are appended.
    ///
    /// # Panics
    /// When there are no records.
    pub async fn append(&self, records: RecordBuffer) -> Result<Appended, AppendError> {
        assert!(0 < records.record_count(), "an append has at least one record");
        self.ask_write(|reply| Write::Append { records, reply }).await
    }

    /// Closes the shard for good: no record comes after the returned offset. Closing a closed shard
    /// answers the same again.
    ///
    /// # Errors
    /// See [`CloseError`]; close again when the shard is back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the shard is closed.
    pub async fn close(&self, now: UnixMillis) -> Result<(Offset, UnixMillis), CloseError> {
        match self.command(Command::Close { at: now.0 }, None).await {
            Ok(Committed { end, machine }) => Ok((end, machine.closed_at().unwrap_or(now))),
            Err(AppendError::Unavailable(unavailable)) => Err(unavailable),
            Err(other) => unreachable!("closing is never refused with {other}"),
        }
    }

    /// Claims or renews the lease under which a consumer's checkpoints are set. One that is somebody else's
    /// is granted only when nobody has had it for `vacant_for`.
    ///
    /// # Errors
    /// `Unavailable`, when the shard cannot be asked.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open who has the lease.
    pub async fn claim(&self, lease: &Lease, vacant_for: Duration) -> Result<Claim, AppendError> {
        let lease = lease.clone();
        self.ask_write(|reply| Write::Claim { lease, vacant_for, reply }).await
    }

    /// Gives a lease up, so that others need not wait until it has run out. Never waits; one that cannot be
    /// given up now runs out.
    pub fn release(&self, lease: &Lease) {
        let _ = self.writes.try_send(Write::Release { lease: lease.clone() });
    }

    /// The checkpoint of this name, if there is one.
    ///
    /// # Errors
    /// `Unavailable`, when the shard cannot be asked.
    pub async fn checkpoint(&self, name: &str) -> Result<Option<Offset>, AppendError> {
        let name = name.to_owned();
        self.ask_write(|reply| Write::Checkpoint { name, reply }).await
    }

    /// Remembers a consumer's checkpoint with the shard's durability, as in "everything before `next` is
    /// dealt with". Its name is the consumer's, or one below it.
    ///
    /// # Errors
    /// See [`AppendError`]; checkpoints are taken in a closed shard too.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the checkpoint is set.
    pub async fn set_checkpoint(
        &self,
        lease: &Lease,
        name: &str,
        next: Offset,
    ) -> Result<(), AppendError> {
        let command = Command::Checkpoint { consumer: name.to_owned(), next: next.0 };
        self.command(command, Some(lease.clone())).await.map(drop)
    }

    /// Forgets a consumer: checkpoints of its name, and of names below it.
    ///
    /// # Errors
    /// See [`AppendError`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether they are forgotten.
    pub async fn forget_consumer(&self, consumer: &str) -> Result<(), AppendError> {
        self.command(Command::Forget { consumer: consumer.to_owned() }, None).await.map(drop)
    }

    /// Changes limits or retention; takes effect with the next message.
    ///
    /// # Errors
    /// `Stopped`.
    pub async fn configure(&self, options: ShardOptions) -> Result<(), Unavailable> {
        self.writes.send(Write::Configure(options)).await.map_err(|_| Unavailable::Stopped)
    }

    /// Reads committed records. Empty when there are none at `from`, after waiting as asked.
    ///
    /// # Errors
    /// See [`ReadError`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing, though a charge may stay.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadReply, ReadError> {
        if !request.wait.is_zero() {
            self.wait_beyond(request.from, request.wait).await;
        }
        self.ask_read(|reply| Read::Records { request, reply }).await
    }

    /// The offset of the first committed record that arrived at `timestamp` or later; that of the
    /// next record when there is none.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn offset_at(&self, timestamp: UnixMillis) -> Result<Offset, ReadError> {
        self.ask_read(|reply| Read::OffsetAt { timestamp, reply }).await
    }

    /// The offset of the oldest record that can be read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn start_offset(&self) -> Result<Offset, ReadError> {
        self.ask_read(|reply| Read::Start { reply }).await
    }

    /// How far the shard has come, as of now; of a shard of another node, as was last heard.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.follow().borrow().clone()
    }

    /// The progress as far as it is known, and from now on its changes.
    pub(crate) fn follow(&self) -> &watch::Receiver<Progress> {
        if let Some(looked_at) = &self.looked_at {
            looked_at.notify_one();
        }
        &self.progress
    }

    /// Returns when there is a committed record at `offset`, or there will never be one, or after
    /// `timeout`.
    pub async fn wait_beyond(&self, offset: Offset, timeout: Duration) {
        let mut progress = self.follow().clone();
        let arrived =
            progress.wait_for(|now| offset < now.commit_end || now.machine.closed_at().is_some());
        // All three ways to end (arrived, stopped, too late) are answered by reading.
        let _ = tokio::time::timeout(timeout, arrived).await;
    }

    async fn command(
        &self,
        command: Command,
        lease: Option<Lease>,
    ) -> Result<Committed, AppendError> {
        self.ask_write(|reply| Write::Command { command, lease, reply }).await
    }

    async fn ask_write<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, AppendError>>) -> Write,
    ) -> Result<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        let stopped = AppendError::Unavailable(Unavailable::Stopped);
        if self.writes.send(message(reply)).await.is_err() {
            return Err(stopped);
        }
        answer.await.unwrap_or(Err(stopped))
    }

    async fn ask_read<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, ReadError>>) -> Read,
    ) -> Result<T, ReadError> {
        let (reply, answer) = oneshot::channel();
        let stopped = ReadError::Unavailable(Unavailable::Stopped);
        if self.reads.send(message(reply)).await.is_err() {
            return Err(stopped);
        }
        answer.await.unwrap_or(Err(stopped))
    }
}
