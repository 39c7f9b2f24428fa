//! The actor of one shard: the only one that writes its log.
//!
//! It takes everything that waits in the mailbox, decides what may be appended, proposes that as few
//! entries, commits once, and only then answers. While a commit is under way the next one collects.
//!
//! When the log fails, the actor refuses writes with the reason and reopens the log with back-off;
//! it never writes on behind an error.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use encryption::Sealer;
use model::Offset;
use shard_log::{OpenMode, Opened, Reader};
use storage::Storage;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::error::{AppendError, OpenError, Unavailable, chain};
use crate::group::SingleMember;
use crate::handle::{ShardOptions, Write};
use crate::leases::Leases;
use crate::machine::Machine;
use crate::metrics::{Cause, UnwritableGuard};
use crate::reads::ShardState;
use crate::throttle::Throttle;

mod round;

/// Messages taken from the mailbox at once.
const MESSAGES_MAX: usize = 4_096;
/// A log that has been idle for this long gets a durable mark.
const IDLE_BEFORE_MARK: Duration = Duration::from_secs(5);
/// After a full disk, how long appends are refused before the next attempt.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);
/// Back-off of reopening a failed log: doubles from the first to the second.
const REOPEN_PAUSE_MIN: Duration = Duration::from_millis(500);
const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(30);
/// After a trim that removed nothing, how long until the next.
const TRIM_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Where a shard's log is and how to open it.
pub(crate) struct Place<S> {
    pub(crate) storage: S,
    pub(crate) directory: PathBuf,
    /// Whether a log that is not there is created: until it has been open once.
    pub(crate) mode: OpenMode,
    pub(crate) log_options: shard_log::Options,
}

pub(crate) struct Actor<S: Storage> {
    place: Place<S>,
    state: Rc<ShardState<S>>,
    mailbox: mpsc::Receiver<Write>,
    /// `None` while the log is not open.
    group: Option<SingleMember<S>>,
    machine: Machine,
    leases: Leases,
    /// Seals records, if they are to be encrypted; or the data key that is missing for that.
    sealer: Result<Option<Sealer>, u32>,
    failure: Option<Failure>,
    disk_full: Option<DiskFull>,
    last_append: Instant,
    next_trim: Instant,
}

/// The log is closed until it can be reopened.
struct Failure {
    reason: Arc<str>,
    /// Entries after this are not trusted: the sync that was to cover them failed. `None` when the
    /// log has not been open in this process.
    durable_index: Option<u64>,
    /// A record that must be readable again, when reading was what failed.
    unreadable: Option<Offset>,
    next_attempt: Instant,
    pause: Duration,
    _counted: UnwritableGuard,
}

struct DiskFull {
    next_attempt: Instant,
    _counted: UnwritableGuard,
}

impl<S: Storage> Actor<S> {
    /// Opens the log and returns the actor, ready to run. A log that does not open makes an actor
    /// that refuses everything with the reason, and tries again.
    pub(crate) async fn open(
        place: Place<S>,
        state: Rc<ShardState<S>>,
        mailbox: mpsc::Receiver<Write>,
    ) -> Actor<S> {
        let now = Instant::now();
        let mut actor = Actor {
            place,
            state,
            mailbox,
            group: None,
            machine: Machine::default(),
            leases: Leases::new(now),
            sealer: Ok(None),
            failure: None,
            disk_full: None,
            last_append: now,
            next_trim: now,
        };
        if let Err(error) = actor.open_log(None, None).await {
            actor.fail(Cause::LogFailed, chain(&error).into(), None, None);
        }
        actor
    }

    /// Serves the mailbox until told to stop.
    pub(crate) async fn run(mut self) {
        let mut queue = VecDeque::new();
        let mut received = Vec::new();
        let stopped = loop {
            let wake = self.next_wake();
            let state = Rc::clone(&self.state);
            tokio::select! {
                count = self.mailbox.recv_many(&mut received, MESSAGES_MAX) => {
                    if count == 0 {
                        break None;
                    }
                    queue.extend(received.drain(..));
                    if let Some(reply) = self.serve(&mut queue).await {
                        break Some(reply);
                    }
                }
                () = tokio::time::sleep_until(wake) => self.maintain().await,
                () = state.trouble.noticed.notified() => self.on_read_trouble().await,
            }
        };
        self.stop(stopped).await;
    }

    /// Deals with everything in the queue; answers who asked for a stop, if anybody did.
    async fn serve(&mut self, queue: &mut VecDeque<Write>) -> Option<oneshot::Sender<()>> {
        while !queue.is_empty() {
            match queue.front() {
                Some(Write::Append { .. } | Write::Command { .. }) => self.round(queue).await,
                _ => match queue.pop_front()? {
                    Write::Configure(options) => self.configure(options),
                    Write::TailBytesMax(bytes_max) => {
                        self.place.log_options.tail_bytes_max = bytes_max;
                        if let Some(group) = &mut self.group {
                            group.writer.set_tail_bytes_max(bytes_max);
                        }
                    }
                    Write::Stop { reply } => return Some(reply),
                    Write::Claim { lease, vacant_for, reply } => {
                        let claim = self.leases.claim(&lease, vacant_for, Instant::now());
                        let _ = reply.send(Ok(claim));
                    }
                    Write::Release { lease } => self.leases.release(&lease, Instant::now()),
                    Write::Checkpoint { name, reply } => {
                        let _ = reply.send(self.checkpoint(&name));
                    }
                    Write::Append { .. } | Write::Command { .. } => unreachable!("matched above"),
                },
            }
        }
        None
    }

    fn checkpoint(&self, name: &str) -> Result<Option<Offset>, AppendError> {
        // Of a log that does not open nobody knows what it remembers.
        match &self.failure {
            Some(failure) => Err(Unavailable::Failed(Arc::clone(&failure.reason)).into()),
            None => Ok(self.machine.checkpoint(name)),
        }
    }

    fn configure(&mut self, options: ShardOptions) {
        let before = self.state.options.replace(options.clone());
        if before.throughput != options.throughput {
            let throttle = Throttle::new(options.throughput, self.state.clock.now());
            self.state.throttle.replace(throttle);
        }
        self.sealer = Sealer::new(&options.keyring);
        self.next_trim = Instant::now();
    }

    async fn stop(mut self, reply: Option<oneshot::Sender<()>>) {
        self.mailbox.close();
        self.state.reader.replace(None);
        self.publish(Some(Unavailable::Stopped));
        if let Some(group) = self.group.take()
            && let Err(error) = group.writer.close().await
        {
            tracing::warn!(
                directory = %self.place.directory.display(),
                error = chain(&error),
                "closed a log without its durable mark"
            );
        }
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    /// Opens the log, cuts what is not trusted, checks what could not be read, and publishes.
    async fn open_log(
        &mut self,
        durable_index: Option<u64>,
        unreadable: Option<Offset>,
    ) -> Result<(), ReopenError> {
        let Place { storage, directory, mode, log_options } = &self.place;
        let opened =
            shard_log::open(storage.clone(), directory, *mode, log_options.clone()).await?;
        let Opened { mut writer, reader, mut recovered } = opened;
        if let Some(cut) = &recovered.cut {
            self.state.metrics.tail_cuts.inc();
            tracing::info!(
                directory = %directory.display(),
                segment = cut.segment,
                position = cut.position,
                "cut a torn tail that was never acknowledged"
            );
        }
        if let Some(durable_index) = durable_index {
            writer.truncate_suffix(durable_index).await?;
            recovered.commands.retain(|command| command.index <= durable_index);
        }
        if let Some(offset) = unreadable {
            read_one(&reader, offset).await?;
        }
        self.machine = Machine::recover(&recovered).map_err(ReopenError::Machine)?;
        writer.set_image(writer.durable_index(), self.machine.image());
        // Counting begins anew with each opening, so the key must be another.
        self.sealer = Sealer::new(&self.state.options.borrow().keyring);
        self.state.reader.replace(Some(reader));
        self.group = Some(SingleMember { writer });
        self.place.mode = OpenMode::Existing;
        self.next_trim = Instant::now();
        self.publish(None);
        Ok(())
    }

    /// Stops using the log: it is unknown what its tail holds, or it cannot be read.
    fn fail(
        &mut self,
        cause: Cause,
        reason: Arc<str>,
        durable_index: Option<u64>,
        unreadable: Option<Offset>,
    ) {
        tracing::error!(
            directory = %self.place.directory.display(),
            reason = &*reason,
            "the shard refuses writes until its log has been reopened"
        );
        self.disk_full = None;
        self.failure = Some(Failure {
            reason: Arc::clone(&reason),
            durable_index,
            unreadable,
            next_attempt: Instant::now() + REOPEN_PAUSE_MIN,
            pause: REOPEN_PAUSE_MIN,
            _counted: UnwritableGuard::new(&self.state.metrics, cause),
        });
        self.publish(Some(Unavailable::Failed(reason)));
    }

    async fn on_read_trouble(&mut self) {
        let at = self.state.trouble.at.take();
        let reason = self.state.trouble.reason.take();
        let (Some(at), Some(reason), None) = (at, reason, &self.failure) else {
            return;
        };
        let durable_index = self.group.as_ref().map(|group| group.writer.durable_index());
        self.fail(Cause::ReadFailed, reason, durable_index, Some(at));
    }

    async fn reopen(&mut self) {
        let Some(failure) = &self.failure else { return };
        let (durable_index, unreadable) = (failure.durable_index, failure.unreadable);
        if let Some(group) = self.group.take() {
            group.writer.abandon().await;
        }
        match self.open_log(durable_index, unreadable).await {
            Ok(()) => {
                self.failure = None;
                self.publish(None);
                self.state.metrics.reopened.inc();
                tracing::info!(directory = %self.place.directory.display(), "reopened the log");
            }
            Err(error) => {
                let reason: Arc<str> = chain(&error).into();
                self.publish(Some(Unavailable::Failed(Arc::clone(&reason))));
                if let Some(failure) = &mut self.failure {
                    failure.reason = reason;
                    failure.pause = (failure.pause * 2).min(REOPEN_PAUSE_MAX);
                    failure.next_attempt = Instant::now() + failure.pause;
                }
            }
        }
    }

    /// When the actor has something to do though nobody asks.
    fn next_wake(&self) -> Instant {
        if let Some(failure) = &self.failure {
            return failure.next_attempt;
        }
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        let mark = match &self.group {
            Some(group) if !group.writer.is_marked() => self.last_append + IDLE_BEFORE_MARK,
            _ => far,
        };
        mark.min(self.trim_due().unwrap_or(far))
    }

    /// When the oldest sealed segment will have expired, or has to go because the log is too large.
    fn trim_due(&self) -> Option<Instant> {
        let reader = self.state.reader.borrow();
        let reader = reader.as_ref()?;
        let oldest = reader.oldest_sealed_timestamp()?;
        let bytes_max = self.state.options.borrow().retention.bytes_max;
        let is_too_large = bytes_max.is_some_and(|bytes_max| bytes_max < reader.size_bytes());
        let left = match is_too_large {
            true => Duration::ZERO,
            false => oldest.since(self.state.horizon()),
        };
        Some((Instant::now() + left).max(self.next_trim))
    }

    async fn maintain(&mut self) {
        if self.failure.is_some() {
            return self.reopen().await;
        }
        self.trim().await;
        let idle = IDLE_BEFORE_MARK <= self.last_append.elapsed();
        if let Some(group) = &mut self.group
            && idle
            && !group.writer.is_marked()
        {
            let marked = group.writer.mark_durable().await;
            self.last_append = Instant::now();
            // Nobody waits for the mark; a failure has been taken note of.
            let _ = self.after(marked);
        }
    }

    /// Removes segments past the retention, by age and by size.
    async fn trim(&mut self) {
        let Some(group) = &mut self.group else { return };
        let size_before = group.writer.size_bytes();
        let mut trimmed = group.writer.trim_before(self.state.horizon()).await;
        let bytes_max = self.state.options.borrow().retention.bytes_max;
        if let (Ok(_), Some(bytes_max)) = (&trimmed, bytes_max) {
            trimmed = group.writer.trim_to_size(bytes_max).await;
        }
        if let Err(error) = trimmed {
            self.state.metrics.expired_segments_errors.inc();
            tracing::warn!(
                directory = %self.place.directory.display(),
                error = chain(&error),
                "could not remove an expired segment"
            );
        }
        // Nothing may have been removable yet.
        if group.writer.size_bytes() == size_before {
            self.next_trim = Instant::now() + TRIM_PAUSE_MIN;
        }
    }

    /// Takes note of how a call to the log ended: the log may have failed, or be full.
    fn after<T>(&mut self, result: Result<T, shard_log::AppendError>) -> Result<T, Unavailable> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match &error {
            shard_log::AppendError::NextSegment(_) => {
                if self.disk_full.is_none() {
                    tracing::error!(
                        directory = %self.place.directory.display(),
                        error = chain(&error),
                        "the shard refuses writes until there is space"
                    );
                }
                self.disk_full = Some(DiskFull {
                    next_attempt: Instant::now() + DISK_FULL_PAUSE,
                    _counted: UnwritableGuard::new(&self.state.metrics, Cause::DiskFull),
                });
                self.publish(Some(Unavailable::DiskFull));
                Err(Unavailable::DiskFull)
            }
            shard_log::AppendError::Fenced { .. } => {
                let reason: Arc<str> = chain(&error).into();
                let durable_index = self.group.as_ref().map(|group| group.writer.durable_index());
                self.fail(Cause::LogFailed, Arc::clone(&reason), durable_index, None);
                Err(Unavailable::Failed(reason))
            }
        }
    }

    /// Why nothing can be appended right now, if so.
    fn unavailable(&self) -> Option<Unavailable> {
        if let Some(failure) = &self.failure {
            return Some(Unavailable::Failed(Arc::clone(&failure.reason)));
        }
        let full = self.disk_full.as_ref()?;
        (Instant::now() < full.next_attempt).then_some(Unavailable::DiskFull)
    }

    /// Shows the world what is committed.
    fn publish(&self, unavailable: Option<Unavailable>) {
        let reader = self.state.reader.borrow();
        self.state.progress.send_modify(|progress| {
            if let (Some(reader), None) = (&*reader, &self.failure) {
                progress.commit_end = reader.durable_end();
                progress.tip_timestamp = reader.last_timestamp();
                progress.machine.clone_from(&self.machine);
            }
            progress.unavailable = unavailable;
        });
    }
}

/// Why a log did not come back.
#[derive(Debug, thiserror::Error)]
enum ReopenError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("drop what was not acknowledged")]
    Truncate(#[from] shard_log::TruncateError),
    #[error("read again what could not be read")]
    Read(#[from] shard_log::ReadError),
    #[error("the shard's state was written by another version")]
    Machine(#[source] serde_json::Error),
}

async fn read_one<S: Storage>(
    reader: &Reader<S>,
    offset: Offset,
) -> Result<(), shard_log::ReadError> {
    let request = shard_log::ReadRequest {
        from: offset,
        end: reader.durable_end(),
        bytes_max: 1 << 20,
        records_max: usize::MAX,
    };
    match reader.read(&request).await {
        Err(shard_log::ReadError::Trimmed { .. }) => Ok(()),
        read => read.map(drop),
    }
}
