//! Values in a local directory: a file for each, for nobody else to read, all of them in memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use model::StreamName;
use storage::crashsafe;
use tokio::sync::{Mutex, MutexGuard, watch};

use super::OpenError;
use crate::{Change, ChangeError, Entries};

/// What can be stored.
pub trait Stored: Sized + Send + Sync + 'static {
    /// Its name, and that of its file.
    fn name(&self) -> &StreamName;
    /// Grows with every stored change.
    fn version(&self) -> u64;

    /// Gives it another.
    fn set_version(&mut self, version: u64);

    /// What is in its file.
    fn encode(&self) -> Vec<u8>;

    /// The value of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode(bytes: &[u8]) -> Result<Self, String>;
}

/// Values by their names.
pub struct Store<T> {
    directory: PathBuf,
    values: RwLock<BTreeMap<StreamName, Arc<T>>>,
    /// Held while a change is being stored, so that they are stored in order.
    storing: Mutex<()>,
    changes: watch::Sender<u64>,
}

impl<T: Stored> Store<T> {
    /// Opens those in `directory`, which is created if need be. Reads all of it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path) -> Result<Store<T>, OpenError> {
        Store::open_with(directory, |_, _| Ok(false))
    }

    /// The same. `take` is shown each file, and says whether it was something else than a value.
    pub(super) fn open_with(
        directory: &Path,
        mut take: impl FnMut(&Path, &[u8]) -> Result<bool, String>,
    ) -> Result<Store<T>, OpenError> {
        let io = |source| OpenError::Io { directory: directory.to_owned(), source };
        crashsafe::create_dir_all(directory).map_err(io)?;
        let mut values = BTreeMap::new();
        for file in crashsafe::read_dir_clean(directory).map_err(io)? {
            let bytes = std::fs::read(&file).map_err(io)?;
            let damaged = |what| OpenError::Damaged { file: file.clone(), what };
            if take(&file, &bytes).map_err(damaged)? {
                continue;
            }
            let value = T::decode(&bytes).map_err(damaged)?;
            values.insert(value.name().clone(), Arc::new(value));
        }
        Ok(Store {
            directory: directory.to_owned(),
            values: RwLock::new(values),
            storing: Mutex::new(()),
            changes: watch::Sender::new(0),
        })
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|number| *number += 1);
    }

    /// Until the guard is dropped nothing else is stored.
    pub(super) async fn storing(&self) -> MutexGuard<'_, ()> {
        self.storing.lock().await
    }

    /// Writes a file that is no value's.
    pub(super) async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), ChangeError> {
        let path = self.directory.join(name);
        unblock(move || crashsafe::write_file(&path, &bytes)).await
    }

    /// Stores a value's file and then shows it to readers.
    async fn store(&self, mut value: T) -> Result<Arc<T>, ChangeError> {
        value.set_version(value.version() + 1);
        let path = self.path(value.name());
        let bytes = value.encode();
        unblock(move || crashsafe::write_secret_file(&path, &bytes)).await?;
        let value = Arc::new(value);
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        values.insert(value.name().clone(), Arc::clone(&value));
        drop(values);
        self.changed();
        Ok(value)
    }

    fn path(&self, name: &StreamName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    fn check_version(&self, name: &StreamName, version: u64) -> Result<(), ChangeError> {
        match self.get(name) {
            None => Err(ChangeError::Missing(name.clone())),
            Some(current) if current.version() == version => Ok(()),
            Some(_) => Err(ChangeError::Conflict(name.clone())),
        }
    }
}

impl<T: Stored> Entries<T> for Store<T> {
    fn get(&self, name: &StreamName) -> Option<Arc<T>> {
        self.values.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<T>> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        // A name to start after need not exist, nor even be a name.
        let start = match after.map(str::parse::<StreamName>) {
            None => Bound::Unbounded,
            Some(Ok(name)) => Bound::Excluded(name),
            Some(Err(_)) => {
                let behind = |value: &&Arc<T>| after < Some(value.name().as_str());
                return values.values().filter(behind).take(limit).cloned().collect();
            }
        };
        values.range((start, Bound::Unbounded)).take(limit).map(|(_, v)| Arc::clone(v)).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn create(&self, value: T) -> Change<'_, Arc<T>> {
        Box::pin(async move {
            let _storing = self.storing().await;
            if self.get(value.name()).is_some() {
                return Err(ChangeError::Exists(value.name().clone()));
            }
            self.store(value).await
        })
    }

    fn replace(&self, value: T) -> Change<'_, Arc<T>> {
        Box::pin(async move {
            let _storing = self.storing().await;
            self.check_version(value.name(), value.version())?;
            self.store(value).await
        })
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        Box::pin(async move {
            let _storing = self.storing().await;
            self.check_version(&name, version)?;
            let path = self.path(&name);
            unblock(move || crashsafe::remove_file(&path)).await?;
            let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
            values.remove(&name);
            drop(values);
            self.changed();
            Ok(())
        })
    }
}

async fn unblock(
    call: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), ChangeError> {
    let done = tokio::task::spawn_blocking(call).await;
    done.unwrap_or_else(|failure| Err(io::Error::other(failure))).map_err(ChangeError::Io)
}
