//! A catalog in a local directory: a JSON file for each stream, all of them in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use model::StreamName;
use tokio::sync::watch;

use crate::stream::{Account, Stream};
use crate::{Catalog, Change, ChangeError, Entries};

pub use store::{Store, Stored};

mod file;
mod store;

/// Beside the streams' `NAME.json`, none of which has this name.
const ACCOUNT_FILE: &str = "account";

/// The catalog of a single process.
pub struct LocalCatalog {
    streams: Store<Stream>,
    account: RwLock<Account>,
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
        let mut account = Account::default();
        let streams = Store::open_with(directory, |file, bytes| {
            let is_account = file.file_name() == Some(ACCOUNT_FILE.as_ref());
            if is_account {
                account = file::decode_account(bytes)?;
            }
            Ok(is_account)
        })?;
        Ok(LocalCatalog { streams, account: RwLock::new(account) })
    }
}

impl Entries<Stream> for LocalCatalog {
    fn get(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.streams.get(name)
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Stream>> {
        self.streams.list(after, limit)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.streams.changes()
    }

    fn create(&self, stream: Stream) -> Change<'_, Arc<Stream>> {
        self.streams.create(stream)
    }

    fn replace(&self, stream: Stream) -> Change<'_, Arc<Stream>> {
        self.streams.replace(stream)
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        self.streams.remove(name, version)
    }
}

impl Catalog for LocalCatalog {
    fn account(&self) -> Account {
        self.account.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_account(&self, mut account: Account) -> Change<'_, Account> {
        Box::pin(async move {
            let _storing = self.streams.storing().await;
            if self.account().version != account.version {
                return Err(ChangeError::AccountConflict);
            }
            account.version += 1;
            self.streams.write(ACCOUNT_FILE, file::encode_account(&account)).await?;
            *self.account.write().unwrap_or_else(PoisonError::into_inner) = account.clone();
            self.streams.changed();
            Ok(account)
        })
    }
}

#[cfg(test)]
mod tests;
