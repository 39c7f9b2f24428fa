//! Delivery streams as a catalog knows them: a spec is that of the resource, so that `kubectl apply` and a
//! call of the AWS API make the same.

mod file;

use std::collections::BTreeMap;
use std::fmt;

use model::{StreamName, UnixMillis};
use operator_api::delivery_stream::DeliveryStreamSpec;

use catalog::{Entries, Store, StreamUid};

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
        format!("{}{SECRET_SUFFIX}", operator_core::names::resource_name(name.as_str()))
    }

    /// The name by which it is known to the shards that it reads.
    #[must_use]
    pub fn consumer_name(&self) -> String {
        operator_core::consumer_name(self.uid.0)
    }

    /// The name of the stream that it reads; `None` where producers put records into it.
    #[must_use]
    pub fn source(&self) -> Option<StreamName> {
        let source = self.spec.source.as_ref()?.stream.as_ref()?;
        source.name.parse().ok()
    }

    /// Whether producers put records into it, not a stream.
    #[must_use]
    pub fn is_direct_put(&self) -> bool {
        self.spec.source.as_ref().is_none_or(|source| source.stream.is_none())
    }
}

/// Delivery streams by name.
pub type DeliveryCatalog = dyn Entries<DeliveryStream>;

/// Delivery streams of a single process.
pub type LocalDeliveryCatalog = Store<DeliveryStream>;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use catalog::ChangeError;

    use super::*;

    #[tokio::test]
    async fn delivery_streams_survive_a_restart_with_their_secrets_and_nobody_else_reads_the_file()
    {
        let directory = tempfile::tempdir().unwrap();
        let catalog = LocalDeliveryCatalog::open(directory.path()).unwrap();
        let created = DeliveryStream {
            name: "to-lake".parse().unwrap(),
            uid: StreamUid(7),
            version: 0,
            created: UnixMillis(1_700_000_000_000),
            updated: None,
            phase: DeliveryPhase::Creating,
            spec: serde_json::from_str::<DeliveryStreamSpec>(
                r#"{"destination": {"s3": {"bucket": "lake"}}, "buffering": {"sizeMiB": 5}}"#,
            )
            .unwrap(),
            destination_version: 1,
            secrets: BTreeMap::from([("hecToken".to_owned(), "s3cret".to_owned())]),
            aws_only: BTreeMap::from([("RoleARN".to_owned(), "\"arn\"".to_owned())]),
        };
        let stored = catalog.create(created.clone()).await.unwrap();
        assert!(matches!(catalog.create(created.clone()).await, Err(ChangeError::Exists(_))));
        assert!(matches!(catalog.replace(created).await, Err(ChangeError::Conflict(_))));
        let active = DeliveryStream { phase: DeliveryPhase::Active, ..(*stored).clone() };
        let active = catalog.replace(active).await.unwrap();

        let again = LocalDeliveryCatalog::open(directory.path()).unwrap();
        assert_eq!(again.get(&active.name), Some(active.clone()));
        let file = std::fs::metadata(directory.path().join("to-lake.json")).unwrap();
        assert_eq!(file.permissions().mode() & 0o077, 0);
        again.remove(active.name.clone(), active.version).await.unwrap();
        assert!(LocalDeliveryCatalog::open(directory.path()).unwrap().list(None, 9).is_empty());
    }
}
