//! Files on ordinary blocking calls, each on a thread of the runtime's pool: for kernels and seccomp
//! profiles that refuse io_uring.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::{AlignedBuffer, FileEntry, LogFile, Storage, check_bounds, direct};

/// Calls that may be under way at once on one log thread; more wait.
const THREADS_MAX: usize = 32;

/// Runs `program` on a runtime of this backend, on the calling thread, to completion.
///
/// # Panics
/// When the operating system refuses a runtime.
pub fn start<F: Future>(program: impl FnOnce(BlockingStorage) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS_MAX)
        .build()
        .expect("the system has resources for a runtime");
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(program(BlockingStorage)))
}

/// The real file system by blocking calls.
#[derive(Clone, Copy, Debug)]
pub struct BlockingStorage;

/// A file read and written by blocking calls.
#[derive(Debug)]
pub struct BlockingFile {
    file: Arc<File>,
    durable: Arc<File>,
    size_bytes: u64,
}

impl Storage for BlockingStorage {
    type File = BlockingFile;

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        unblock(move || crate::crashsafe::create_dir_all(&path)).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<FileEntry>> {
        let path = path.to_owned();
        unblock(move || list(&path)).await
    }

    async fn open(&self, path: &Path) -> io::Result<BlockingFile> {
        let path = path.to_owned();
        unblock(move || direct::open(&path).map(BlockingFile::new)).await
    }

    async fn create(&self, path: &Path, size_bytes: u64) -> io::Result<BlockingFile> {
        let path = path.to_owned();
        unblock(move || direct::create(&path, size_bytes).map(BlockingFile::new)).await
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        let (source, target) = (source.to_owned(), target.to_owned());
        unblock(move || std::fs::rename(source, target)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        unblock(move || std::fs::remove_file(path)).await
    }

    async fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        unblock(move || std::fs::remove_dir(path)).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        unblock(move || crate::crashsafe::sync_dir(&path)).await
    }
}

impl BlockingFile {
    fn new(opened: direct::Opened) -> BlockingFile {
        let direct::Opened { file, durable, size_bytes } = opened;
        BlockingFile { file: Arc::new(file), durable: Arc::new(durable), size_bytes }
    }

    async fn write_to(
        &self,
        file: &Arc<File>,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (io::Result<()>, AlignedBuffer) {
        if let Err(error) = check_bounds(self.size_bytes, position, buffer.len()) {
            return (Err(error), buffer);
        }
        write_all(file, buffer, position).await
    }
}

/// Writes all of `buffer` on a thread of the pool.
pub(crate) async fn write_all(
    file: &Arc<File>,
    buffer: AlignedBuffer,
    position: u64,
) -> (io::Result<()>, AlignedBuffer) {
    let file = Arc::clone(file);
    unblock(move || (file.write_all_at(&buffer, position), buffer)).await
}

impl LogFile for BlockingFile {
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
        let file = Arc::clone(&self.file);
        unblock(move || (read_full(&file, &mut buffer, position), buffer)).await
    }

    async fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        unblock(move || file.sync_data()).await
    }
}

fn read_full(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn list(path: &Path) -> io::Result<Vec<FileEntry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // A name that is no UTF-8 is none of ours.
        if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
            entries.push(FileEntry { name, size_bytes: metadata.len() });
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// Runs a blocking call on the runtime's pool.
pub(crate) async fn unblock<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being torn down: whoever waits here is about to be dropped.
            Err(_) => std::future::pending().await,
        },
    }
}
