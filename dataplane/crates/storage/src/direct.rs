//! Opening files so that they bypass the page cache, where the file system allows it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};

use crate::FILL_BYTES;

/// A file opened twice.
pub(crate) struct Opened {
    pub(crate) file: File,
    /// With O_DSYNC: a write to it returns when it is durable, in one operation where a write and an
    /// fdatasync would be two.
    pub(crate) durable: File,
    pub(crate) size_bytes: u64,
}

/// Opens an existing file with O_DIRECT, or through the page cache on a file system that has no such
/// thing (tmpfs), and says so once.
pub(crate) fn open(path: &Path) -> io::Result<Opened> {
    let file = open_with(path, OFlags::empty())?;
    let durable = open_with(path, OFlags::DSYNC)?;
    let size_bytes = file.metadata()?.len();
    Ok(Opened { file, durable, size_bytes })
}

/// Creates a file of `size_bytes` of written, synced zeros; leaves nothing behind when it fails.
pub(crate) fn create(path: &Path, size_bytes: u64) -> io::Result<Opened> {
    let file = open_with(path, OFlags::CREATE | OFlags::EXCL)?;
    match fill(&file, size_bytes).and_then(|()| open(path)) {
        Ok(opened) => Ok(opened),
        Err(error) => {
            // The first error tells more than that of the clean-up.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

fn open_with(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let direct = rustix::fs::open(path, flags | OFlags::DIRECT, mode);
    let opened = match direct {
        Err(rustix::io::Errno::INVAL) => {
            warn_once(path);
            // A refused creation may have left the name behind.
            let flags = flags.difference(OFlags::EXCL);
            rustix::fs::open(path, flags, mode)
        }
        opened => opened,
    };
    Ok(File::from(opened?))
}

fn warn_once(path: &Path) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            path = %path.display(),
            "the file system has no O_DIRECT: logs go through the page cache, durable but slower"
        );
    }
}

/// Allocates, then really writes: the first write to a merely allocated block would have to journal
/// the change of its extent, on every sync.
fn fill(file: &File, size_bytes: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;

    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size_bytes) {
        // Without fallocate, a full disk is met by the writes below.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    let zeros = crate::AlignedBuffer::zeroed(FILL_BYTES);
    let mut position = 0;
    while position < size_bytes {
        let length = (size_bytes - position).min(FILL_BYTES as u64);
        let length = usize::try_from(length).expect("at most one fill");
        file.write_all_at(&zeros[..length], position)?;
        position += length as u64;
    }
    file.sync_all()
}
