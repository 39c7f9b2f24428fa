//! Where records go that producers put.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use delivery_catalog::DeliveryStream;

/// What a record that was put is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordId(pub String);

/// Why a record is not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Not at the moment: putting it again helps.
    #[error("{0}")]
    Unavailable(String),
    /// The key to encrypt it with cannot be used.
    #[error("{0}")]
    Key(String),
    /// A defect; the text stays inside.
    #[error("{0}")]
    Failed(String),
}

/// What became of each record, in the order they were given.
pub type Puts<'a> = Pin<Box<dyn Future<Output = Vec<Result<RecordId, PutError>>> + Send + 'a>>;

/// Takes records of producers.
pub trait Intake: Send + Sync {
    /// Answers when all records are durable, or will not be.
    fn put<'a>(&'a self, stream: &'a DeliveryStream, records: Vec<Bytes>) -> Puts<'a>;
}
