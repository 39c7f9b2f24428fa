//! One shard, read in order.

use std::time::Duration;

use model::{Offset, UnixMillis};
use shard::{AppendError, Claim, Lease, ReadError, ReadReply, ReadRequest, ShardHandle};
use tokio::sync::watch;

use crate::held::{Held, Hold};

/// Where a shard that was never read before is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Its oldest record.
    Oldest,
    /// The first record that arrived at this time or later.
    At(UnixMillis),
}

/// The names under which a shard remembers how far a consumer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    done: String,
    intent: String,
    version: String,
}

impl Names {
    /// Those of this consumer. Its name is unique among all that read the stream.
    #[must_use]
    pub fn of(consumer: &str) -> Names {
        let below = |what| format!("{consumer}/{what}");
        Names { done: consumer.to_owned(), intent: below("intent"), version: below("version") }
    }

    /// The consumer's.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.done
    }

    /// Whether this consumer has dealt with everything before `end`, where the shard was closed.
    ///
    /// # Errors
    /// The shard cannot be asked.
    pub async fn has_finished(
        &self,
        shard: &ShardHandle,
        end: Offset,
    ) -> Result<bool, AppendError> {
        Ok(shard.checkpoint(&self.done).await?.is_some_and(|done| end <= done))
    }

    /// Whether this consumer has dealt with what is at `offset`, so that it will not read it again.
    ///
    /// # Errors
    /// The shard cannot be asked.
    pub async fn has_done(&self, shard: &ShardHandle, offset: Offset) -> Result<bool, AppendError> {
        Ok(shard.checkpoint(&self.done).await?.is_some_and(|done| offset < done))
    }

    /// Makes the shard forget this consumer.
    ///
    /// # Errors
    /// See [`AppendError`]; forget again.
    pub async fn forget(&self, shard: &ShardHandle) -> Result<(), AppendError> {
        shard.forget_consumer(&self.done).await
    }

    async fn progress(&self, shard: &ShardHandle) -> Result<Progress, AppendError> {
        let version = shard.checkpoint(&self.version).await?;
        Ok(Progress {
            done: shard.checkpoint(&self.done).await?,
            intent: shard.checkpoint(&self.intent).await?,
            version: version.map(|version| version.0),
        })
    }
}

/// What a shard remembers of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    done: Option<Offset>,
    intent: Option<Offset>,
    version: Option<u64>,
}

/// Who reads, and how.
#[derive(Clone, Debug)]
pub struct Reading {
    /// For whom.
    pub names: Names,
    /// The process: a number that no other has.
    pub holder: u64,
    /// Where to start, the first time.
    pub start: Start,
    /// Counts the consumer's configurations. A piece that was begun under one is finished under its number.
    pub version: u64,
}

/// Why a shard is not read, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// Another process reads it for this consumer.
    #[error("another process reads the shard")]
    Held,
    /// Nothing was read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The shard did not say what it remembers, or did not remember.
    #[error(transparent)]
    Remember(#[from] AppendError),
}

/// Reads one shard, and remembers in it how far its records have been dealt with. No other process does so
/// for the same consumer meanwhile; dropped, it lets them at once.
#[derive(Debug)]
pub struct ShardReader {
    handle: ShardHandle,
    names: Names,
    version: u64,
    held: Held,
    next: Offset,
    remembered: Progress,
    expired: u64,
}

impl ShardReader {
    /// Starts where the consumer left off, if no other process reads the shard for it, and none has for
    /// `vacant_for`.
    ///
    /// # Errors
    /// See [`ReaderError`]; open again.
    pub async fn open(
        handle: ShardHandle,
        reading: Reading,
        vacant_for: Duration,
    ) -> Result<ShardReader, ReaderError> {
        let Reading { names, holder, start, version } = reading;
        let lease = Lease { consumer: names.done.clone(), holder };
        let held = Held::claim(handle.clone(), lease, vacant_for).await?;
        let held = held.ok_or(ReaderError::Held)?;
        let remembered = names.progress(&handle).await?;
        let next = match (remembered.done, start) {
            (Some(next), _) => next,
            (None, Start::Oldest) => handle.start_offset().await?,
            (None, Start::At(time)) => handle.offset_at(time).await?,
        };
        Ok(ShardReader { handle, names, version, held, next, remembered, expired: 0 })
    }

    /// The offset of the next record to be read.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Where the records end that this consumer had set out to deal with as one piece when it was
    /// stopped, if it had. They are to be dealt with as that piece again.
    #[must_use]
    pub fn intent(&self) -> Option<Offset> {
        self.remembered.intent.filter(|end| self.next < *end)
    }

    /// The version by which what comes next is to be dealt with.
    #[must_use]
    pub fn version(&self) -> u64 {
        let begun = self.remembered.version.filter(|_| self.intent().is_some());
        begun.unwrap_or(self.version)
    }

    /// Whether to go on, as it changes.
    #[must_use]
    pub fn hold(&self) -> watch::Receiver<Hold> {
        self.held.hold()
    }

    /// Reads on, after waiting for records as long as asked if there are none. What was read is skipped
    /// by the next call.
    ///
    /// # Errors
    /// See [`ReadError`]; nothing was skipped.
    ///
    /// # Cancel safety
    /// Dropping the future skips nothing.
    pub async fn read(
        &mut self,
        bytes_max: usize,
        records_max: usize,
        wait: Duration,
    ) -> Result<ReadReply, ReadError> {
        let request = ReadRequest { from: self.next, bytes_max, records_max, wait, charged: false };
        let reply = self.handle.read(request).await?;
        // Expired records are not waited for.
        self.expired += reply.from().0.saturating_sub(self.next.0);
        self.next = self.next.max(reply.from());
        if let Some((last, _)) = reply.records().last() {
            self.next = Offset(last.offset.0 + 1);
        }
        Ok(reply)
    }

    /// How many records had expired before they were read, since this was last asked.
    pub fn take_expired(&mut self) -> u64 {
        std::mem::take(&mut self.expired)
    }

    /// Whether the shard is closed and all of it was read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        let progress = self.handle.progress();
        progress.machine.closed_at().is_some() && progress.commit_end <= self.next
    }

    /// How many records have come that were not read.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.handle.progress().commit_end.0.saturating_sub(self.next.0)
    }

    /// Remembers that records before `end` will be dealt with as one piece, which this version has begun;
    /// durable when it returns.
    ///
    /// # Errors
    /// See [`ReaderError`]; unknown whether it is remembered.
    pub async fn intend(&mut self, end: Offset, version: u64) -> Result<(), ReaderError> {
        if self.remembered.version != Some(version) {
            // To the shard it is a number like any other.
            self.remember(&self.names.version, Offset(version)).await?;
            self.remembered.version = Some(version);
        }
        self.remember(&self.names.intent, end).await?;
        self.remembered.intent = Some(end);
        Ok(())
    }

    /// Remembers that everything before `next` has been dealt with; durable when it returns.
    ///
    /// # Errors
    /// See [`ReaderError`]; unknown whether it is remembered.
    pub async fn done(&mut self, next: Offset) -> Result<(), ReaderError> {
        self.remember(&self.names.done, next).await?;
        self.remembered.done = Some(next);
        Ok(())
    }

    async fn remember(&self, name: &str, offset: Offset) -> Result<(), ReaderError> {
        match self.handle.set_checkpoint(self.held.lease(), name, offset).await {
            Err(AppendError::NotHeld) => {}
            remembered => return Ok(remembered?),
        }
        // The shard's process was restarted and does not know who had the lease, or somebody else has it.
        if self.handle.claim(self.held.lease(), Duration::ZERO).await? == Claim::Held {
            return Err(ReaderError::Held);
        }
        if self.names.progress(&self.handle).await? != self.remembered {
            // Somebody else had it meanwhile, and went on from there.
            return Err(ReaderError::Held);
        }
        Ok(self.handle.set_checkpoint(self.held.lease(), name, offset).await?)
    }
}
