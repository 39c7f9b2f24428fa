//! The catalog: which streams exist, what they should be, and what they are.
//!
//! Every process that serves streams reads it from memory; changes go to where it is kept, by
//! compare-and-swap on a version, and come back to all readers. It does not know how shards store
//! anything, nor who carries a change out.

mod local;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use model::StreamName;
use tokio::sync::watch;

pub use local::{LocalCatalog, OpenError, Store, Stored};
pub use stream::{
    Account, Commitment, Consumer, DataKey, Distribution, Mode, Phase, RecordLimits, Settings,
    ShardMetric, Stream, StreamUid,
};

/// A change under way.
pub type Change<'a, T> = Pin<Box<dyn Future<Output = Result<T, ChangeError>> + Send + 'a>>;

/// What there is of a kind, by name.
pub trait Entries<T>: Send + Sync {
    /// The one of this name, as of the last change seen. Never waits.
    fn get(&self, name: &StreamName) -> Option<Arc<T>>;

    /// Up to `limit` of them by name, after `after`. Never waits.
    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<T>>;

    /// A number that grows with every change, to wait on.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Adds one. Its version is given to it.
    fn create(&self, entry: T) -> Change<'_, Arc<T>>;

    /// Replaces one, if the stored one still has the version of this one.
    fn replace(&self, entry: T) -> Change<'_, Arc<T>>;

    /// Removes one, if the stored one still has this version.
    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()>;
}

/// Streams by name, and what holds for all of them together.
pub trait Catalog: Entries<Stream> {
    /// What holds for all streams together. Never waits.
    fn account(&self) -> Account;

    /// Replaces it, if the stored one still has the version of this one.
    fn replace_account(&self, account: Account) -> Change<'_, Account>;
}

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A stream of this name exists.
    #[error("stream {0} exists")]
    Exists(StreamName),
    /// No stream of this name exists.
    #[error("stream {0} does not exist")]
    Missing(StreamName),
    /// Somebody else changed it since it was read: read again and decide again.
    #[error("stream {0} was changed meanwhile")]
    Conflict(StreamName),
    /// Somebody else changed the account since it was read.
    #[error("the account was changed meanwhile")]
    AccountConflict,
    /// Whoever keeps the catalog does not accept it; the text is for people.
    #[error("{0}")]
    Refused(String),
    /// The disk refused. It is unknown whether the change will be there after a restart.
    #[error("store the catalog")]
    Io(#[source] std::io::Error),
}
