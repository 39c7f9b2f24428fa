//! One shard, read in order.

use std::time::Duration;

use model::{Offset, UnixMillis};
use shard::{AppendError, ReadError, ReadReply, ReadRequest, ShardHandle};

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
}

impl Names {
    /// Those of this consumer. Its name is unique among all that read the stream.
    #[must_use]
    pub fn of(consumer: &str) -> Names {
        Names { done: consumer.to_owned(), intent: format!("{consumer}/intent") }
    }

    /// Whether a shard is closed, and this consumer has dealt with all of it.
    #[must_use]
    pub fn has_finished(&self, shard: &ShardHandle) -> bool {
        let progress = shard.progress();
        let done = progress.machine.checkpoint(&self.done);
        progress.machine.closed_at().is_some() && done == Some(progress.commit_end)
    }

    /// Whether this consumer has dealt with what is at `offset`, so that it will not read it again.
    #[must_use]
    pub fn has_done(&self, shard: &ShardHandle, offset: Offset) -> bool {
        let done = shard.progress().machine.checkpoint(&self.done);
        done.is_some_and(|done| offset < done)
    }

    /// Makes the shard forget this consumer.
    ///
    /// # Errors
    /// See [`AppendError`]; forget again.
    pub async fn forget(&self, shard: &ShardHandle) -> Result<(), AppendError> {
        shard.forget_consumer(&self.intent).await?;
        shard.forget_consumer(&self.done).await
    }
}

/// Reads one shard, and remembers in it how far its records have been dealt with.
#[derive(Debug)]
pub struct ShardReader {
    handle: ShardHandle,
    names: Names,
    next: Offset,
    expired: u64,
}

impl ShardReader {
    /// Starts where the consumer left off; `start` is for its first time.
    ///
    /// # Errors
    /// See [`ReadError`]; open again.
    pub async fn open(
        handle: ShardHandle,
        names: Names,
        start: Start,
    ) -> Result<ShardReader, ReadError> {
        let next = match (handle.progress().machine.checkpoint(&names.done), start) {
            (Some(next), _) => next,
            (None, Start::Oldest) => handle.start_offset().await?,
            (None, Start::At(time)) => handle.offset_at(time).await?,
        };
        Ok(ShardReader { handle, names, next, expired: 0 })
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
        let intent = self.handle.progress().machine.checkpoint(&self.names.intent);
        intent.filter(|end| self.next < *end)
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

    /// Remembers that records before `end` will be dealt with as one piece; durable when it returns.
    ///
    /// # Errors
    /// See [`AppendError`]; unknown whether it is remembered.
    pub async fn intend(&self, end: Offset) -> Result<(), AppendError> {
        self.handle.set_checkpoint(&self.names.intent, end).await
    }

    /// Remembers that everything before `next` has been dealt with; durable when it returns.
    ///
    /// # Errors
    /// See [`AppendError`]; unknown whether it is remembered.
    pub async fn done(&self, next: Offset) -> Result<(), AppendError> {
        self.handle.set_checkpoint(&self.names.done, next).await
    }
}
