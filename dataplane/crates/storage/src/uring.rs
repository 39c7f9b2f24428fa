//! Files on io_uring: reads, writes and syncs are submitted to the ring of the log's thread.
//!
//! The only file that names tokio-uring. What has to do with names (opening, creating, listing,
//! renaming) is rare and goes to the runtime's thread pool, as in [`blocking`](crate::blocking).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

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
    let mut ring = tokio_uring::uring_builder();
    if interrupts_can_be_spared() {
        ring.setup_coop_taskrun();
    }
    let mut builder = tokio_uring::builder();
    builder.entries(entries).uring_builder(&ring);
    builder.start(program(UringStorage::default()))
}

/// Whether the kernel lets a thread that is running collect completions when it next enters the
/// kernel, instead of interrupting it for each (Linux 5.19).
fn interrupts_can_be_spared() -> bool {
    tokio_uring::uring_builder().setup_coop_taskrun().build(1).is_ok()
}

/// The real file system by io_uring.
#[derive(Clone, Debug, Default)]
pub struct UringStorage {
    /// Durable writes under way on this ring.
    under_way: Rc<Cell<usize>>,
}

/// A file read and written by io_uring.
pub struct UringFile {
    file: tokio_uring::fs::File,
    durable: tokio_uring::fs::File,
    /// `durable` again, for calls.
    lone: Arc<File>,
    size_bytes: u64,
    under_way: Rc<Cell<usize>>,
}

/// Counts a durable write while it is under way.
struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    fn start(count: &Rc<Cell<usize>>) -> UnderWay {
        count.set(count.get() + 1);
        UnderWay(Rc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
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
        unblock(move || direct::open(&path)).await.and_then(|opened| self.file(opened))
    }

    async fn create(&self, path: &Path, size_bytes: u64) -> io::Result<UringFile> {
        let path = path.to_owned();
        unblock(move || direct::create(&path, size_bytes))
            .await
            .and_then(|opened| self.file(opened))
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

impl UringStorage {
    fn file(&self, opened: direct::Opened) -> io::Result<UringFile> {
        let lone = opened.durable.try_clone()?;
        Ok(UringFile {
            file: tokio_uring::fs::File::from_std(opened.file),
            durable: tokio_uring::fs::File::from_std(opened.durable),
            lone: Arc::new(lone),
            size_bytes: opened.size_bytes,
            under_way: Rc::clone(&self.under_way),
        })
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
        if let Err(error) = check_bounds(self.size_bytes, position, buffer.len()) {
            return (Err(error), buffer);
        }
        // Continues short writes and interrupted ones.
        self.file.write_all_at(buffer, position).await
    }

    async fn write_durable_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        if let Err(error) = check_bounds(self.size_bytes, position, buffer.len()) {
            return (Err(error), buffer);
        }
        let is_alone = self.under_way.get() == 0;
        let _under_way = UnderWay::start(&self.under_way);
        if is_alone {
            // A kernel work queue completes an O_DSYNC write of the ring, and on an idle machine is
            // late now and then; the thread that waits in the call itself is not.
            return blocking::write_all(&self.lone, buffer, position).await;
        }
        self.durable.write_all_at(buffer, position).await
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
