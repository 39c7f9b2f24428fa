//! One shard of one delivery stream, window by window.
//!
//! ```text
//!  read ─► process ─► gather ──full part──► remember how far the window goes ─► deliver the part
//!                       │ time is up, or memory is short
//!                       ▼
//!            remember where the window ends ─► deliver the rest ─► remember that it is done
//! ```
//!
//! A *window* is the piece of a shard that is dealt with as one. What is delivered of it is named by where
//! it starts, so delivering it again, from the same start to the same end, replaces what was delivered
//! before. Parts that are full are cut by what the records say alone; the last ones end where the window
//! ends, which is why how far it goes is remembered, durably, before anything of it is delivered. So is the
//! version of the delivery stream, which is in the names: a window that was begun before an edit keeps it.
//! An edit of what records become, or of where objects end, gives other names all the same, lest what arrives
//! late replaces what is not the same: of such a window some records may be there twice.

use std::sync::Arc;
use std::time::Duration;

use consumer::{ReaderError, ShardReader};
use model::{DeliveryRecord, Offset, Origin, SequenceNumber, Shard, ShardId, UnixMillis};
use shard::{OwnedRecord, ReadError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::group::Stop;
use crate::pipeline::Pipeline;
use crate::status::ShardStatus;
use crate::window::{Window, WindowError};

/// Read at a time.
const READ_BYTES_MAX: usize = 1 << 20;
const READ_RECORDS_MAX: usize = 10_000;
/// How long to wait for records before looking around.
const READ_WAIT: Duration = Duration::from_secs(1);

/// Why a worker ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The shard is closed, and all of it is delivered.
    Finished,
    /// It was told to stop.
    Stopped,
    /// Another process reads the shard.
    Held,
    /// The shard cannot be read, or does not remember. What was not remembered is read again.
    Failed(String),
}

impl From<ReadError> for Ended {
    fn from(error: ReadError) -> Ended {
        Ended::Failed(error.to_string())
    }
}

impl From<ReaderError> for Ended {
    fn from(error: ReaderError) -> Ended {
        match error {
            ReaderError::Held => Ended::Held,
            ReaderError::Read(_) | ReaderError::Remember(_) => Ended::Failed(error.to_string()),
        }
    }
}

impl From<WindowError> for Ended {
    fn from(error: WindowError) -> Ended {
        Ended::Failed(crate::chain(&error))
    }
}

/// Delivers a shard until it ends.
pub(crate) async fn run(
    pipeline: Arc<Pipeline>,
    shard: Shard,
    reader: ShardReader,
    stopped: watch::Receiver<Stop>,
) -> Ended {
    let status = pipeline.status(shard.id);
    let _shown = Shown { pipeline: Arc::clone(&pipeline), shard: shard.id };
    let mut worker = Worker { pipeline, status, shard, reader, stopped };
    if let Err(ended) = worker.wait_for_schema().await {
        return ended;
    }
    loop {
        if let Err(ended) = worker.window().await {
            return ended;
        }
    }
}

/// A shard that is read here; none is left behind, however its worker ends.
struct Shown {
    pipeline: Arc<Pipeline>,
    shard: ShardId,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.pipeline.forget_status(self.shard);
    }
}

struct Worker {
    pipeline: Arc<Pipeline>,
    status: Arc<ShardStatus>,
    shard: Shard,
    reader: ShardReader,
    stopped: watch::Receiver<Stop>,
}

/// When a window ends.
struct Until {
    /// Where it is to end because it came so far the last time it was delivered.
    end: Option<Offset>,
    /// How far it is remembered that it goes: nothing behind it was delivered.
    intended: Option<Offset>,
    /// By which version it was begun.
    version: u64,
    /// By when it ends; from when its first record was read.
    deadline: Option<Instant>,
}

impl Worker {
    /// Reads nothing before it is known what records become.
    async fn wait_for_schema(&mut self) -> Result<(), Ended> {
        let Some(schema) = self.pipeline.output.schema() else { return Ok(()) };
        tokio::select! {
            _ = schema.form(self.pipeline.context(), &self.status) => Ok(()),
            () = is_stopped(&mut self.stopped) => Err(Ended::Stopped),
        }
    }

    /// Delivers one window.
    async fn window(&mut self) -> Result<(), Ended> {
        let start = self.reader.next();
        let (intent, version) = (self.reader.intent(), self.reader.version());
        let mut until = Until { end: intent, intended: intent, version, deadline: None };
        let place = self.pipeline.place(version, self.shard.id, start);
        let mut window = Window::new(&self.pipeline, Arc::clone(&self.status), place);
        let ended = self.gather(&mut window, &mut until).await?;
        let end = self.reader.next();
        if until.intended.is_some_and(|intended| end < intended) {
            // Stopped before it came as far as the last time: cut here, what was delivered then would stay.
            return Err(ended.unwrap_or(Ended::Stopped));
        }
        if start < end || matches!(ended, Some(Ended::Finished)) {
            if until.intended != Some(end) {
                self.reader.intend(end, version).await?;
            }
            window.finish().await?;
            self.reader.done(end).await?;
        }
        self.is_behind(None);
        ended.map_or(Ok(()), Err)
    }

    /// Reads until the window ends; why the shard does, if it does.
    async fn gather(
        &mut self,
        window: &mut Window,
        until: &mut Until,
    ) -> Result<Option<Ended>, Ended> {
        loop {
            let Some(records_max) = self.records_left(until) else { return Ok(None) };
            let bytes_max = self.pipeline.context().memory.allowance().min(READ_BYTES_MAX);
            let now = Instant::now();
            let left = until.deadline.map(|deadline| deadline.saturating_duration_since(now));
            let wait = left.map_or(READ_WAIT, |left| left.min(READ_WAIT));
            let reply = tokio::select! {
                reply = self.reader.read(bytes_max, records_max, wait) => reply?,
                () = is_stopped(&mut self.stopped) => return Ok(Some(Ended::Stopped)),
            };
            let records: Vec<DeliveryRecord> =
                reply.owned_records().map(|record| self.delivery_record(record)).collect();
            drop(reply);
            let expired = self.reader.take_expired();
            if 0 < expired {
                self.pipeline.metrics.expired.inc_by(expired);
                let (stream, shard) = (self.pipeline.name(), self.shard.id);
                tracing::error!(delivery_stream = %stream, %shard, "{expired} records expired before they were delivered");
            }
            if records.is_empty() && self.reader.is_at_end() {
                return Ok(Some(Ended::Finished));
            }
            if !records.is_empty() {
                let interval = self.pipeline.interval();
                until.deadline.get_or_insert_with(|| Instant::now() + interval);
                let end = self.reader.next();
                if until.intended < Some(end) && window.may_deliver(&records) {
                    self.reader.intend(end, until.version).await?;
                    until.intended = Some(end);
                }
                window.take(records).await?;
                self.is_behind(window.oldest());
            }
            window.call_if_due().await?;
            let is_late = until.deadline.is_some_and(|deadline| deadline <= Instant::now());
            if until.end.is_none() && (is_late || window.is_over()) {
                return Ok(None);
            }
        }
    }

    fn is_behind(&self, oldest: Option<UnixMillis>) {
        self.status.is_behind(self.reader.behind(), oldest);
        self.pipeline.show_freshness();
    }

    /// How many records may be read; `None` when the window ends here.
    fn records_left(&self, until: &Until) -> Option<usize> {
        let Some(end) = until.end else { return Some(READ_RECORDS_MAX) };
        let left = end.0.saturating_sub(self.reader.next().0);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(READ_RECORDS_MAX);
        (0 < left).then_some(left)
    }

    fn delivery_record(&self, record: OwnedRecord) -> DeliveryRecord {
        let OwnedRecord { offset, partition_key, data, timestamp } = record;
        let (shard, created) = (self.shard.id, self.shard.created);
        let sequence_number = SequenceNumber::of_record(shard, created, offset, timestamp);
        let origin = Origin { shard, offset, sub: 0, sequence_number, arrival: timestamp };
        DeliveryRecord { data, partition_key, origin }
    }
}

async fn is_stopped(stopped: &mut watch::Receiver<Stop>) {
    // Whoever could tell it to stop is gone: it is dropped with it.
    if stopped.wait_for(|stop| *stop != Stop::No).await.is_err() {
        std::future::pending::<()>().await;
    }
}
