//! The files of a log, three ways: on io_uring ([`uring`]), on ordinary blocking calls in threads
//! ([`blocking`]), and simulated in memory with faults ([`sim`]). One conformance suite runs over
//! all three.
//!
//! The interface is shaped by completion: a buffer travels into an operation by value and comes back
//! with its result, because the kernel may hold it until the operation completes even if the caller
//! has stopped waiting. Files are of fixed size; positions, lengths and addresses are multiples of
//! [`BLOCK_BYTES`], so that they can be opened with O_DIRECT.
//!
//! All `unsafe` of the project is in this crate, and only here is tokio-uring named. Files that are
//! small and rarely written are another matter: [`crashsafe`].

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

pub mod blocking;
mod buffer;
pub mod crashsafe;
mod direct;
pub mod sim;
pub mod uring;

pub use buffer::AlignedBuffer;

/// Every position, length and address of a transfer is a multiple of this: right for disks with
/// 512-byte and with 4 KiB sectors.
pub const BLOCK_BYTES: usize = 4096;

/// Zeros are written in pieces of this size when a file is created.
const FILL_BYTES: usize = 1 << 20;

/// A real implementation, by the name it has in flags and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// [`uring`]
    Uring,
    /// [`blocking`]
    Blocking,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Uring => "uring",
            Backend::Blocking => "blocking",
        })
    }
}

/// A name that is not a backend's.
#[derive(Debug, thiserror::Error)]
#[error("backend {0:?}, want \"uring\" or \"blocking\"")]
pub struct UnknownBackend(String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Backend, UnknownBackend> {
        match name {
            "uring" => Ok(Backend::Uring),
            "blocking" => Ok(Backend::Blocking),
            other => Err(UnknownBackend(other.to_owned())),
        }
    }
}

/// A regular file in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileEntry {
    /// Its name without the directory.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// Directories and the files in them. A cheap handle; its futures are not `Send`.
#[expect(async_fn_in_trait, reason = "the futures stay on the log's thread")]
pub trait Storage: Clone + 'static {
    /// A file that is open.
    type File: LogFile;

    /// Creates the directory and its missing parents, durably. Succeeds when it is there.
    ///
    /// # Errors
    /// As the operating system's.
    async fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The regular files in `path`, by name.
    ///
    /// # Errors
    /// `NotFound` when there is no such directory.
    async fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// As the operating system's.
    async fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Creates a file of `size_bytes`, a multiple of [`BLOCK_BYTES`], whose blocks are allocated,
    /// written with zeros and synced, so that overwriting them changes no metadata. Its name is
    /// durable only after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`; `StorageFull`. Nothing is left behind.
    async fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Self::File>;

    /// Gives a file another name in the same directory, replacing the file that had it.
    ///
    /// # Errors
    /// As the operating system's.
    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()>;

    /// Removes a file's name. Open handles keep the file.
    ///
    /// # Errors
    /// As the operating system's.
    async fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the operating system's.
    async fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes every change of names in the directory durable.
    ///
    /// # Errors
    /// As the operating system's. It is unknown which changes are durable.
    async fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// One open file. Dropping it closes it.
#[expect(async_fn_in_trait, reason = "the futures stay on the log's thread")]
pub trait LogFile: 'static {
    /// The size it was created with.
    fn size_bytes(&self) -> u64;

    /// Writes all of `buffer` at `position`, or fails with an unknown part of it written.
    ///
    /// # Errors
    /// `InvalidInput` past the file's size: nothing was written. Else as the operating system's.
    async fn write_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer);

    /// Writes all of `buffer` at `position`, and returns when these bytes are on stable storage: a
    /// [`write_at`](Self::write_at) and a [`sync`](Self::sync) that covers at least this write, as
    /// POSIX has it for O_DSYNC, in one operation.
    ///
    /// # Errors
    /// As those of the two. Never retry: an unknown part is written, and may not be durable.
    async fn write_durable_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer);

    /// Fills `buffer` from `position`; returns how many bytes existed, fewer only at the end of the
    /// file.
    ///
    /// # Errors
    /// As the operating system's.
    async fn read_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<usize>, AlignedBuffer);

    /// On `Ok`, every write that completed before the call is on stable storage.
    ///
    /// # Errors
    /// As the operating system's. Never retry: what was not yet durable may be lost although a later
    /// sync succeeds.
    async fn sync(&self) -> io::Result<()>;
}

/// Refuses a write that would grow a file.
fn check_bounds(size_bytes: u64, position: u64, length: usize) -> io::Result<()> {
    let fits = position.checked_add(length as u64).is_some_and(|end| end <= size_bytes);
    if fits {
        return Ok(());
    }
    let message = format!("write of {length} bytes at {position} in a file of {size_bytes}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
