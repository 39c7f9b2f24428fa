//! The reading half of a shard: committed records only, the expired ones hidden.
//!
//! Reads run beside the actor on the same thread and never wait for its commits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use encryption::Opener;
use model::{Clock, Offset, UnixMillis};
use shard_log::{Batch, LogId, Reader};
use storage::Storage;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::error::{ReadError, Unavailable};
use crate::handle::{Progress, Read, ReadReply, ReadRequest, ShardOptions};
use crate::metrics::Metrics;
use crate::throttle::Throttle;

/// Reads of one shard that may be under way at once; more wait in the mailbox.
const READS_IN_FLIGHT_MAX: usize = 64;

/// What the actor and the reads of one shard share, all on one thread.
pub(crate) struct ShardState<S: Storage> {
    /// `None` while the log is not open.
    pub(crate) reader: RefCell<Option<Reader<S>>>,
    pub(crate) throttle: RefCell<Throttle>,
    pub(crate) options: RefCell<ShardOptions>,
    pub(crate) opener: RefCell<Opener>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) trouble: ReadTrouble,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
}

/// How a read tells the actor that the disk failed it.
#[derive(Default)]
pub(crate) struct ReadTrouble {
    pub(crate) noticed: Notify,
    pub(crate) at: Cell<Option<Offset>>,
    pub(crate) reason: RefCell<Option<Arc<str>>>,
}

/// Answers reads until every handle is gone.
pub(crate) async fn run<S: Storage>(
    state: Rc<ShardState<S>>,
    mut mailbox: mpsc::Receiver<Read>,
    memory: Arc<Semaphore>,
) {
    let slots = Arc::new(Semaphore::new(READS_IN_FLIGHT_MAX));
    while let Some(read) = mailbox.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let task = answer(Rc::clone(&state), read, Arc::clone(&memory), slot);
        tokio::task::spawn_local(crate::engine::or_abort(task));
    }
}

async fn answer<S: Storage>(
    state: Rc<ShardState<S>>,
    read: Read,
    memory: Arc<Semaphore>,
    _slot: OwnedSemaphorePermit,
) {
    // Whoever asked may have gone meanwhile: then nobody needs the answer.
    match read {
        Read::Records { request, reply } => {
            let _ = reply.send(state.records(request, memory).await);
        }
        Read::OffsetAt { timestamp, reply } => {
            let _ = reply.send(state.offset_at(timestamp).await);
        }
        Read::Start { reply } => {
            let _ = reply.send(state.offset_at(state.horizon()).await);
        }
    }
}

impl<S: Storage> ShardState<S> {
    /// Records that arrived before this have expired.
    pub(crate) fn horizon(&self) -> UnixMillis {
        self.clock.now().saturating_sub(self.options.borrow().retention.age)
    }

    async fn records(
        &self,
        request: ReadRequest,
        memory: Arc<Semaphore>,
    ) -> Result<ReadReply, ReadError> {
        if request.charged {
            let admitted = self.throttle.borrow_mut().read(self.clock.now());
            admitted.map_err(ReadError::Throttled)?;
        }
        let reader = self.reader()?;
        self.metrics.reads.inc();
        let progress = self.progress.borrow().clone();
        let mut log_request = shard_log::ReadRequest {
            from: request.from,
            end: progress.commit_end,
            bytes_max: request.bytes_max,
            records_max: request.records_max,
        };
        let reservation = reserve(memory, reader.read_cost_bytes(&log_request)).await;
        let horizon = self.horizon();
        let batches = loop {
            let from = log_request.from;
            match reader.read(&log_request).await {
                Err(shard_log::ReadError::Trimmed { start }) => log_request.from = start,
                Err(error) => return Err(self.failed(from, &error)),
                Ok(batches) => {
                    let expired = batches.first().is_some_and(|b| b.header().timestamp < horizon);
                    if !expired {
                        break batches;
                    }
                    log_request.from = self.log_offset_at(&reader, horizon).await?;
                }
            }
        };
        let batches = batches.into_iter().map(|batch| self.opened(batch));
        let reply = ReadReply {
            batches: batches.collect::<Result<_, ReadError>>()?,
            from: log_request.from,
            end: progress.commit_end,
            bytes_max: request.bytes_max,
            records_max: request.records_max,
            progress,
            _reservation: reservation,
        };
        if request.charged {
            let bytes = reply.records().map(|(record, _)| record.data.len() as u64).sum();
            self.throttle.borrow_mut().read_done(bytes, self.clock.now());
        }
        Ok(reply)
    }

    /// The batch with records that can be read.
    fn opened(&self, batch: Batch) -> Result<Batch, ReadError> {
        if !batch.is_closed() {
            return Ok(batch);
        }
        let header = batch.header();
        let context = seal_context(header.log_id, header.record_count);
        let keyring = Arc::clone(&self.options.borrow().keyring);
        let opened = self.opener.borrow_mut().open(&keyring, &context, batch.payload());
        match opened {
            Ok(payload) => Ok(batch.opened(payload.into())),
            Err(encryption::OpenError::NoKey(number)) => Err(ReadError::NoKey(number)),
            // The checksum held, so the disk is not to blame and reading again does not help.
            Err(encryption::OpenError::Refused) => {
                let at = header.base_offset;
                let reason = format!("the records from offset {} on do not decrypt", at.0);
                tracing::error!(reason, "a batch was sealed by something else");
                Err(ReadError::Unavailable(Unavailable::Failed(reason.into())))
            }
        }
    }

    async fn offset_at(&self, timestamp: UnixMillis) -> Result<Offset, ReadError> {
        let reader = self.reader()?;
        let offset = self.log_offset_at(&reader, timestamp.max(self.horizon())).await?;
        Ok(offset.min(self.progress.borrow().commit_end))
    }

    async fn log_offset_at(
        &self,
        reader: &Reader<S>,
        timestamp: UnixMillis,
    ) -> Result<Offset, ReadError> {
        loop {
            match reader.offset_at(timestamp).await {
                Ok(offset) => return Ok(offset),
                // Trimmed while being read: look again in what is left.
                Err(shard_log::ReadError::Trimmed { .. }) => {}
                Err(error) => return Err(self.failed(reader.start_offset(), &error)),
            }
        }
    }

    fn reader(&self) -> Result<Reader<S>, ReadError> {
        match &*self.reader.borrow() {
            Some(reader) => Ok(reader.clone()),
            None => {
                let why = self.progress.borrow().unavailable.clone();
                Err(ReadError::Unavailable(why.unwrap_or(Unavailable::Stopped)))
            }
        }
    }

    /// Tells the actor, which stops taking writes until the same place can be read again.
    fn failed(&self, from: Offset, error: &shard_log::ReadError) -> ReadError {
        let reason: Arc<str> = crate::error::chain(error).into();
        self.metrics.read_errors.inc();
        self.trouble.at.set(Some(from));
        self.trouble.reason.replace(Some(Arc::clone(&reason)));
        self.trouble.noticed.notify_one();
        ReadError::Unavailable(Unavailable::Failed(reason))
    }
}

/// What binds a sealed batch to its log: in another one, or with another count, it does not open.
pub(crate) fn seal_context(log: LogId, record_count: u32) -> [u8; 12] {
    let mut context = [0; 12];
    context[..8].copy_from_slice(&log.0.to_le_bytes());
    context[8..].copy_from_slice(&record_count.to_le_bytes());
    context
}

/// Waits for memory for a cold read; none is needed for what the tail holds.
async fn reserve(memory: Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    if bytes == 0 {
        return None;
    }
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    // The engine makes the budget larger than any one read.
    memory.acquire_many_owned(kib).await.ok()
}
