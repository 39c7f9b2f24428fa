//! Making the next segment before it is needed, so that rolling over neither allocates nor touches
//! the directory.
//!
//! A prepared segment is a file of its final name and size whose blocks are written (zeros, or an
//! expired segment's old content) and whose directory entry is durable. It becomes part of the log
//! when its head is written; until then recovery throws it away.

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use storage::{LogFile, Storage};
use tokio::task::JoinHandle;

use crate::segment;

/// The oldest segment, when it has left the log and that may not be durable yet.
pub(crate) type Leaving = Rc<Cell<Option<u64>>>;

pub(crate) struct Prepared<F> {
    pub(crate) file: F,
    pub(crate) number: u64,
    pub(crate) size_bytes: u64,
}

pub(crate) struct Preparer<S: Storage> {
    storage: S,
    directory: PathBuf,
    job: Option<Job<S>>,
}

enum Job<S: Storage> {
    Running(JoinHandle<io::Result<Prepared<S::File>>>),
    Done(io::Result<Prepared<S::File>>),
}

impl<S: Storage> Preparer<S> {
    pub(crate) fn new(storage: S, directory: PathBuf) -> Preparer<S> {
        Preparer { storage, directory, job: None }
    }

    /// Whether nothing is prepared or being prepared.
    pub(crate) fn is_idle(&self) -> bool {
        self.job.is_none()
    }

    /// Starts to make a new file in the background, unless that is under way or done.
    pub(crate) fn start(&mut self, number: u64, size_bytes: u64) {
        if self.is_idle() {
            let work = create(self.storage.clone(), self.directory.clone(), number, size_bytes);
            self.job = Some(Job::Running(tokio::task::spawn_local(work)));
        }
    }

    /// Starts to make segment `number` of the file of segment `expired`, which has left the log, and
    /// clears `leaving` when that is durable.
    pub(crate) fn recycle(&mut self, expired: u64, number: u64, leaving: &Leaving) {
        let (storage, directory) = (self.storage.clone(), self.directory.clone());
        let leaving = Rc::clone(leaving);
        let work = async move {
            let path = segment::path(&directory, number);
            storage.rename(&segment::path(&directory, expired), &path).await?;
            storage.sync_dir(&directory).await?;
            leaving.set(None);
            let file = storage.open(&path).await?;
            let size_bytes = file.size_bytes();
            Ok(Prepared { file, number, size_bytes })
        };
        self.job = Some(Job::Running(tokio::task::spawn_local(work)));
    }

    /// The segment `number` with room for at least `bytes_min`, prepared in advance if all went
    /// well, else now at `size_bytes`.
    ///
    /// After an error nothing is left behind, and the call can be repeated.
    pub(crate) async fn take(
        &mut self,
        number: u64,
        bytes_min: u64,
        size_bytes: u64,
    ) -> io::Result<Prepared<S::File>> {
        self.settle().await;
        if let Some(Job::Done(Ok(prepared))) = self.job.take() {
            if prepared.number == number && bytes_min <= prepared.size_bytes {
                return Ok(prepared);
            }
            drop(prepared.file);
            self.storage.remove(&segment::path(&self.directory, prepared.number)).await?;
        }
        let (storage, directory) = (self.storage.clone(), self.directory.clone());
        create(storage, directory, number, size_bytes.max(bytes_min)).await
    }

    /// Waits until nothing is going on in the directory any more.
    pub(crate) async fn settle(&mut self) {
        if let Some(Job::Running(running)) = &mut self.job {
            let result = running.await.unwrap_or_else(|failure| Err(io::Error::other(failure)));
            self.job = Some(Job::Done(result));
        }
    }
}

async fn create<S: Storage>(
    storage: S,
    directory: PathBuf,
    number: u64,
    size_bytes: u64,
) -> io::Result<Prepared<S::File>> {
    let path = segment::path(&directory, number);
    let file = match storage.create(&path, size_bytes).await {
        // What an earlier attempt left when it was interrupted. Never part of the log.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.remove(&path).await?;
            storage.create(&path, size_bytes).await?
        }
        created => created?,
    };
    storage.sync_dir(&directory).await?;
    Ok(Prepared { file, number, size_bytes })
}
