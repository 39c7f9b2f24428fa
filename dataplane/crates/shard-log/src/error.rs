//! What can go wrong with a log. Each variant says what state it leaves behind.

use std::io;
use std::path::PathBuf;

use model::Offset;

/// Acknowledged bytes that are not what was written. Nothing was cut or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: corrupt at byte {position}: {what}; restore this file from a copy of the disk or a replica, \
         or delete the shard's directory to give up its records", path.display())]
pub struct Corruption {
    /// The segment's file.
    pub path: PathBuf,
    /// Where in the file the damage was met.
    pub position: u64,
    /// What was found.
    pub what: String,
}

/// Why a log did not open. Nothing was changed on disk unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log must exist and its directory holds none.
    #[error("{}: no log here, and the catalog says that there must be one; restore the directory", directory.display())]
    Missing {
        /// Where it should be.
        directory: PathBuf,
    },
    /// Damage to what was acknowledged. Opening again will not help.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The disk refused. A part of the recovery may have been carried out; opening again continues.
    #[error("{action} in {}", directory.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The log's directory.
        directory: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// Why something was not appended, or did not become durable.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The next segment could not be made, most likely because the disk is full. Nothing was
    /// written; the writer is as it was, and the same call succeeds once there is space.
    #[error("create the next segment")]
    NextSegment(#[source] io::Error),
    /// A write, a sync or the start of a segment went wrong, now or earlier. The tail is unknown and
    /// the writer is fenced: drop the log and open it again.
    #[error("the log is fenced: {action}")]
    Fenced {
        /// What went wrong first.
        action: &'static str,
        /// What the disk said, the first time it was reported.
        source: Option<io::Error>,
    },
}

/// Why a read gave nothing. The log is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The records asked for are gone.
    #[error("trimmed up to offset {start}")]
    Trimmed {
        /// The oldest record there is.
        start: Offset,
    },
    /// The disk refused.
    #[error("read the log")]
    Io(#[source] io::Error),
    /// The bytes are not what was written.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
}

/// Why trimming stopped. What was removed so far stays removed; trimming again continues.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct TrimError {
    /// What was tried.
    pub action: &'static str,
    /// What the disk said.
    pub source: io::Error,
}
