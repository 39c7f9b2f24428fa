//! The log of one shard: an append-only sequence of batches, kept in segments on a [`Storage`].
//!
//! ```text
//!   segment 7 (sealed)        segment 8 (sealed)        segment 9 (active)          segment 10
//!   [head|batch|batch|..]     [head|batch|..]           [head|batch|batch|....]     [prepared]
//!         ^ start                                              ^ durable  ^ written
//! ```
//!
//! - A *batch* is the unit of append, checksum and replication: an 80-byte header and a payload of
//!   records (or of a command of the shard's state machine), padded to a 4 KiB block. The bytes are
//!   specified in [`format`].
//! - Appending is *writing*; only a sync makes it *durable*; committing is somebody else's word,
//!   which this crate does not know.
//! - The log is opened by recovery and in no other way ([`open`]). What it may cut and what it must
//!   refuse is a table in `recover.rs`.
//! - One [`Writer`] and any number of [`Reader`]s share the log on one thread. A reader at the tip is
//!   served from memory, from the very bytes that were written.
//! - After a failed write or sync the writer is *fenced*: what the tail holds is unknown until the
//!   log has been dropped and opened again.
//!
//! It knows nothing of shards, streams, or the time of day: timestamps are handed in.
//!
//! [`Storage`]: storage::Storage

mod append;
mod batch;
mod cursor;
mod error;
pub mod format;
mod index;
mod prepare;
mod read;
mod recover;
mod segment;
mod state;
mod tail;
mod trim;

pub use append::{Appended, Entry, EntryKind, Writer};
pub use batch::{Batch, Record, RecordBuffer, Records};
pub use error::{AppendError, Corruption, OpenError, ReadError, TrimError};
pub use format::LogId;
pub use read::{ReadRequest, Reader};
pub use recover::{Command, Cut, OpenMode, Opened, Recovered, open};
pub use trim::TruncateError;

/// How a log is laid out and how much memory it may keep.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of a new log's first segment. A multiple of the block size.
    pub segment_bytes_min: u64,
    /// The size beyond which segments do not grow, unless a single batch is larger still.
    pub segment_bytes_max: u64,
    /// The most memory the in-memory tail may hold. A batch above it is not kept at all.
    pub tail_bytes_max: usize,
}

impl Options {
    /// Fits from one shard to thousands: a log starts at 256 KiB, and once it is larger than 32 MiB its
    /// segments stay under an eighth of what it holds, so that a start has to read no more than that.
    #[must_use]
    pub fn standard() -> Options {
        Options {
            segment_bytes_min: 256 << 10,
            segment_bytes_max: 64 << 20,
            tail_bytes_max: 4 << 20,
        }
    }
}
