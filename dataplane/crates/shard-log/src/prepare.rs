//! Making the next segment before it is needed, so that rolling over neither allocates nor touches
//! the directory.
//!
//! A prepared segment is a file of its final name and size whose blocks are written (zeros, or an
//! expired segment's old content) and whose directory entry is durable. It becomes part of the log
//! when its head is written; until then recovery throws it away.

use std::io;
use std::path::PathBuf;

use storage::Storage;
use tokio::task::JoinHandle;

use crate::segment;

pub(crate) struct Prepared<F> {
    pub(crate) file: F,
    pub(crate) number: u64,
    pub(crate) size_bytes: u64,
}

pub(crate) struct Preparer<S: Storage> {
    storage: S,
    directory: PathBuf,
    /// The size of the spare file, if there is one that no job has taken yet.
    spare_bytes: Option<u64>,
    job: Option<JoinHandle<io::Result<Prepared<S::File>>>>,
}

impl<S: Storage> Preparer<S> {
    pub(crate) fn new(storage: S, directory: PathBuf) -> Preparer<S> {
        Preparer { storage, directory, spare_bytes: None, job: None }
    }

    /// Whether an expired segment is wanted as the spare.
    pub(crate) fn wants_spare(&self) -> bool {
        self.spare_bytes.is_none() && self.job.is_none()
    }

    /// Takes note of a spare file of this size.
    pub(crate) fn set_spare(&mut self, size_bytes: u64) {
        self.spare_bytes = Some(size_bytes);
    }

    /// Starts to prepare in the background, unless that is under way or done.
    pub(crate) fn start(&mut self, number: u64, size_bytes: u64) {
        if self.job.is_none() {
            let work = self.work(number, size_bytes);
            self.job = Some(tokio::task::spawn_local(work));
        }
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
        if let Some(Ok(prepared)) = self.finish().await {
            if prepared.number == number && bytes_min <= prepared.size_bytes {
                return Ok(prepared);
            }
            drop(prepared.file);
            self.storage.remove(&segment::path(&self.directory, prepared.number)).await?;
        }
        self.work(number, size_bytes.max(bytes_min)).await
    }

    /// Waits for a preparation under way, so that nothing touches the directory any more.
    pub(crate) async fn finish(&mut self) -> Option<io::Result<Prepared<S::File>>> {
        let result = self.job.as_mut()?.await;
        self.job = None;
        Some(result.unwrap_or_else(|failure| Err(io::Error::other(failure))))
    }

    /// The job as a future that borrows nothing.
    fn work(
        &mut self,
        number: u64,
        size_bytes: u64,
    ) -> impl Future<Output = io::Result<Prepared<S::File>>> + use<S> {
        let storage = self.storage.clone();
        let directory = self.directory.clone();
        let spare_bytes = self.spare_bytes.take();
        async move {
            let path = segment::path(&directory, number);
            if let Some(spare_bytes) = spare_bytes {
                let spare = directory.join(segment::SPARE_FILE_NAME);
                if size_bytes <= spare_bytes {
                    storage.rename(&spare, &path).await?;
                    storage.sync_dir(&directory).await?;
                    let file = storage.open(&path).await?;
                    return Ok(Prepared { file, number, size_bytes: spare_bytes });
                }
                storage.remove(&spare).await?;
            }
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
    }
}
