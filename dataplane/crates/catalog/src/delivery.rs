//! Delivery streams as the catalog knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::{StreamName, UnixMillis};
use operator_api::delivery_stream::DeliveryStreamSpec;
use tokio::sync::watch;

use crate::{Change, StreamUid};

/// The longest name of a delivery stream: half of a stream's.
pub const NAME_CHARS_MAX: usize = 64;

const SECRET_SUFFIX: &str = "-delivery";

/// A delivery stream: what it should be, and where it is in its life.
#[derive(Clone, PartialEq)]
pub struct DeliveryStream {
    /// Its name, unique among delivery streams.
    pub name: StreamName,
    /// Its identity; that of the stream which holds what producers put, too.
    pub uid: StreamUid,
    /// Grows with every stored change.
    pub version: u64,
    /// When it was created.
    pub created: UnixMillis,
    /// When it was last changed, if it was.
    pub updated: Option<UnixMillis>,
    /// Where it is in its life.
    pub phase: DeliveryPhase,
    /// What its owner wants: valid, as `operator-core` says.
    pub spec: DeliveryStreamSpec,
    /// AWS's VersionId: 1, and one more with each change of the destination.
    pub destination_version: u64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Secrets that were handed over in a call, by their key in [`secret_name`](Self::secret_name).
    pub secrets: BTreeMap<String, String>,
    /// What callers of the AWS API said that means nothing here (roles, CloudWatch log groups), by its
    /// path in the call, as JSON: they are told it again.
    pub aws_only: BTreeMap<String, String>,
}

/// A delivery stream's life, as AWS's DeliveryStreamStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryPhase {
    /// What holds the records of its producers is being made.
    Creating,
    /// Delivering.
    Active,
    /// On its way out.
    Deleting,
}

impl fmt::Debug for DeliveryStream {
    /// Without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryStream")
            .field("name", &self.name)
            .field("uid", &self.uid)
            .field("version", &self.version)
            .field("phase", &self.phase)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl DeliveryStream {
    /// The Secret that holds what was handed over in calls.
    #[must_use]
    pub fn secret_name(name: &StreamName) -> String {
        format!("{name}{SECRET_SUFFIX}")
    }

    /// The delivery stream whose Secret has this name.
    #[must_use]
    pub fn name_of_secret(secret: &str) -> Option<StreamName> {
        secret.strip_suffix(SECRET_SUFFIX)?.parse().ok()
    }

    /// Whether producers put records into it, not a stream.
    #[must_use]
    pub fn is_direct_put(&self) -> bool {
        self.spec.source.as_ref().is_none_or(|source| source.stream.is_none())
    }
}

/// Delivery streams by name. As [`Catalog`](crate::Catalog): read from memory, changed by
/// compare-and-swap.
pub trait DeliveryCatalog: Send + Sync {
    /// The delivery stream of this name, as of the last change seen. Never waits.
    fn get(&self, name: &StreamName) -> Option<Arc<DeliveryStream>>;

    /// Up to `limit` delivery streams by name, after `after`. Never waits.
    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<DeliveryStream>>;

    /// A number that grows with every change, to wait on.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Stores a new one. `Exists` when there is one of the name.
    fn create(&self, stream: DeliveryStream) -> Change<'_, Arc<DeliveryStream>>;

    /// Stores a change of the version it was made from; `Conflict` when there is a newer one.
    fn replace(&self, stream: DeliveryStream) -> Change<'_, Arc<DeliveryStream>>;

    /// Forgets one, of this version.
    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()>;
}
