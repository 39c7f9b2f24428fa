//! Files on io_uring: reads, writes and syncs are submitted to the ring of the log's thread.
//!
//! The only file that names tokio-uring. What has to do with names (opening, creating, listing,
//! renaming) is rare and goes to the runtime's thread pool, as in [`blocking`](crate::blocking).

use std::io;
use std::path::Path;

use tokio_uring::buf::BoundedBuf;

use crate::blocking::{self, unblock};
use crate::{AlignedBuffer, FileEntry, LogFile, Storage, check_bounds, direct};

/// Why io_uring cannot be used here.
#[derive(Debug, thiserror::Error)]
#[error(
    "io_uring is refused ({0}): a seccomp profile may deny it (the default of Docker and of containerd \
     since 1.7 does; use a profile that allows io_uring_setup, io_uring_enter and io_uring_register), \
     or the sysctl kernel.io_uring_disabled is not 0"
)]
pub struct Refused(#[from] io::Error);

/// Whether this process may use io_uring: sets up a ring and passes an operation through it.
///
/// # Errors
/// [`Refused`], with what to do about it.
pub fn probe() -> Result<(), Refused> {
    let mut ring = io_uring::IoUring::new(1)?;
    let operation = io_uring::opcode::Nop::new().build();
    push(&mut ring, &operation)?;
    ring.submit_and_wait(1)?;
    Ok(())
}

#[expect(unsafe_code, reason = "the ring's own interface")]
fn push(
    ring: &mut io_uring::IoUring,
    operation: &io_uring::squeue::Entry,
) -> Result<(), io::Error> {
    // SAFETY: the operation refers to no memory.
    unsafe { ring.submission().push(operation) }.map_err(io::Error::other)
}

/// Runs `program` on a runtime of this backend with a ring of `entries`, on the calling thread, to
/// completion.
///
/// # Panics
/// When the kernel refuses the ring; [`probe`] tells in advance.
pub fn start<F: Future>(entries: u32, program: impl FnOnce(UringStorage) -> F) -> F::Output {
    tokio_uring::builder().entries(entries).start(program(UringStorage))
}

/// The real file system by io_uring.
#[derive(Clone, Copy, Debug)]
pub struct UringStorage;

/// A file read and written by io_uring.
pub struct UringFile {
    file: tokio_uring::fs::File,
    durable: tokio_uring::fs::File,
    size_bytes: u64,
}

impl Storage for UringStorage {
    type File = UringFile;

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        blocking::BlockingStorage.create_dir_all(path).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        blocking::BlockingStorage.list(path).await
    }

    async fn open(&self, path: &Path) -> io::Result<UringFile> {
        let path = path.to_owned();
        unblock(move || direct::open(&path)).await.map(UringFile::new)
    }

    async fn create(&self, path: &Path, size_bytes: u64) -> io::Result<UringFile> {
        let path = path.to_owned();
        unblock(move || direct::create(&path, size_bytes)).await.map(UringFile::new)
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        blocking::BlockingStorage.rename(source, target).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        blocking::BlockingStorage.remove(path).await
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        blocking::BlockingStorage.remove_dir(path).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        blocking::BlockingStorage.sync_dir(path).await
    }
}

impl UringFile {
    fn new(opened: direct::Opened) -> UringFile {
        UringFile {
            file: tokio_uring::fs::File::from_std(opened.file),
            durable: tokio_uring::fs::File::from_std(opened.durable),
            size_bytes: opened.size_bytes,
        }
    }

    async fn write_to(
        &self,
        file: &tokio_uring::fs::File,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        if let Err(error) = check_bounds(self.size_bytes, position, buffer.len()) {
            return (Err(error), buffer);
        }
        // Continues short writes and interrupted ones.
        file.write_all_at(buffer, position).await
    }
}

impl LogFile for UringFile {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    async fn write_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        self.write_to(&self.file, buffer, position).await
    }

    async fn write_durable_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        self.write_to(&self.durable, buffer, position).await
    }

    async fn read_at(
        &self,
        mut buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<usize>, AlignedBuffer) {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = buffer.slice(filled..);
            let (result, rest) = self.file.read_at(rest, position + filled as u64).await;
            buffer = rest.into_inner();
            match result {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(filled), buffer)
    }

    async fn sync(&self) -> io::Result<()> {
        self.file.sync_data().await
    }
}
