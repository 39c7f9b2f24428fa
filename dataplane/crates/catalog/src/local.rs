//! A catalog in a local directory: a JSON file for each stream, all of them in memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use model::StreamName;
use storage::crashsafe;
use tokio::sync::{Mutex, watch};

use crate::stream::{Account, Stream};
use crate::{Catalog, Change, ChangeError};

mod file;

/// Beside the streams' `NAME.json`, none of which has this name.
const ACCOUNT_FILE: &str = "account";

/// The catalog of a single process.
pub struct LocalCatalog {
    directory: PathBuf,
    streams: RwLock<BTreeMap<StreamName, Arc<Stream>>>,
    account: RwLock<Account>,
    /// Held while a change is being stored, so that they are stored in order.
    storing: Mutex<()>,
    changes: watch::Sender<u64>,
}

/// Why a catalog did not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error("read the catalog in {}", directory.display())]
    Io {
        /// Where it is.
        directory: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A file that this program did not write, or that was damaged.
    #[error("{}: {what}; restore the file, or remove it to give up the stream", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl LocalCatalog {
    /// Opens the catalog in `directory`, which is created if need be. Reads all of it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path) -> Result<LocalCatalog, OpenError> {
        let io = |source| OpenError::Io { directory: directory.to_owned(), source };
        crashsafe::create_dir_all(directory).map_err(io)?;
        let mut streams = BTreeMap::new();
        let mut account = Account::default();
        for file in crashsafe::read_dir_clean(directory).map_err(io)? {
            let bytes = std::fs::read(&file).map_err(io)?;
            if file.file_name() == Some(ACCOUNT_FILE.as_ref()) {
                account = file::decode_account(&bytes)
                    .map_err(|what| OpenError::Damaged { file: file.clone(), what })?;
                continue;
            }
            let stream = file::decode(&bytes)
                .map_err(|what| OpenError::Damaged { file: file.clone(), what })?;
            streams.insert(stream.name.clone(), Arc::new(stream));
        }
        Ok(LocalCatalog {
            directory: directory.to_owned(),
            streams: RwLock::new(streams),
            account: RwLock::new(account),
            storing: Mutex::new(()),
            changes: watch::Sender::new(0),
        })
    }

    fn path(&self, name: &StreamName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    fn current(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Stores one stream's file and then shows it to readers.
    async fn store(&self, mut stream: Stream) -> Result<Arc<Stream>, ChangeError> {
        stream.version += 1;
        let path = self.path(&stream.name);
        let bytes = file::encode(&stream);
        unblock(move || crashsafe::write_file(&path, &bytes)).await?;
        let stream = Arc::new(stream);
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.insert(stream.name.clone(), Arc::clone(&stream));
        drop(streams);
        self.changes.send_modify(|number| *number += 1);
        Ok(stream)
    }

    fn check_version(&self, name: &StreamName, version: u64) -> Result<(), ChangeError> {
        match self.current(name) {
            None => Err(ChangeError::Missing(name.clone())),
            Some(current) if current.version == version => Ok(()),
            Some(_) => Err(ChangeError::Conflict(name.clone())),
        }
    }
}

impl Catalog for LocalCatalog {
    fn get(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.current(name)
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Stream>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        // A name to start after need not exist, nor even be a name.
        let start = match after.map(str::parse::<StreamName>) {
            None => Bound::Unbounded,
            Some(Ok(name)) => Bound::Excluded(name),
            Some(Err(_)) => {
                let behind = |stream: &&Arc<Stream>| after < Some(stream.name.as_str());
                return streams.values().filter(behind).take(limit).cloned().collect();
            }
        };
        streams.range((start, Bound::Unbounded)).take(limit).map(|(_, s)| Arc::clone(s)).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn create(&self, stream: Stream) -> Change<'_, Arc<Stream>> {
        Box::pin(async move {
            let _storing = self.storing.lock().await;
            if self.current(&stream.name).is_some() {
                return Err(ChangeError::Exists(stream.name));
            }
            self.store(stream).await
        })
    }

    fn replace(&self, stream: Stream) -> Change<'_, Arc<Stream>> {
        Box::pin(async move {
            let _storing = self.storing.lock().await;
            self.check_version(&stream.name, stream.version)?;
            self.store(stream).await
        })
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        Box::pin(async move {
            let _storing = self.storing.lock().await;
            self.check_version(&name, version)?;
            let path = self.path(&name);
            unblock(move || crashsafe::remove_file(&path)).await?;
            let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
            streams.remove(&name);
            drop(streams);
            self.changes.send_modify(|number| *number += 1);
            Ok(())
        })
    }

    fn account(&self) -> Account {
        self.account.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_account(&self, mut account: Account) -> Change<'_, Account> {
        Box::pin(async move {
            let _storing = self.storing.lock().await;
            if self.account().version != account.version {
                return Err(ChangeError::AccountConflict);
            }
            account.version += 1;
            let path = self.directory.join(ACCOUNT_FILE);
            let bytes = file::encode_account(&account);
            unblock(move || crashsafe::write_file(&path, &bytes)).await?;
            *self.account.write().unwrap_or_else(PoisonError::into_inner) = account.clone();
            self.changes.send_modify(|number| *number += 1);
            Ok(account)
        })
    }
}

async fn unblock(
    call: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), ChangeError> {
    let done = tokio::task::spawn_blocking(call).await;
    done.unwrap_or_else(|failure| Err(io::Error::other(failure))).map_err(ChangeError::Io)
}

#[cfg(test)]
mod tests;
