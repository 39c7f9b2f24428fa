//! What a shard answers when it cannot do as asked.

use std::sync::Arc;
use std::time::Duration;

pub use shard_log::OpenError;

/// The shard refuses writes for now, and why. It comes back by itself when the cause is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No space for the next segment.
    #[error("the disk is full")]
    DiskFull,
    /// The log failed and is being reopened.
    #[error("the shard's log failed: {0}")]
    Failed(Arc<str>),
    /// The shard was closed down with its process, or deleted.
    #[error("the shard is stopped")]
    Stopped,
}

/// Why records were not appended. Unless the variant says otherwise none of them was, ever.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The shard was closed by a reshard: its children take the records.
    #[error("the shard is closed")]
    Closed,
    /// Over the shard's write throughput; room again in this time.
    #[error("write throughput exceeded")]
    Throttled(Duration),
    /// Writes are refused for now. With `Failed`, the records may or may not have been written:
    /// they were not acknowledged.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Records are to be encrypted with this data key, which could not be unwrapped.
    #[error("data key {0} of the stream is not available")]
    NoKey(u32),
    /// The shard keeps at most [`CONSUMERS_MAX`](crate::CONSUMERS_MAX) checkpoints.
    #[error("the shard keeps at most {} checkpoints of consumers", crate::CONSUMERS_MAX)]
    TooManyConsumers,
    /// The lease under which a checkpoint was to be set is not the caller's: claim it, and look what is
    /// remembered, before going on. Or somebody has it of a consumer that was to be forgotten.
    #[error("somebody else may read the shard for this consumer")]
    NotHeld,
}

/// Why a shard was not closed.
pub type CloseError = Unavailable;

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Over the shard's read throughput; room again in this time.
    #[error("read throughput exceeded")]
    Throttled(Duration),
    /// Records there are encrypted with this data key, which could not be unwrapped.
    #[error("data key {0} of the stream is not available")]
    NoKey(u32),
    /// The log could not be read there.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// An error and its sources in one line, for those who keep only the text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
