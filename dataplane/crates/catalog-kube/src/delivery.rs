//! Delivery streams of one namespace, and the streams that hold what is put into them.
//!
//! What callers of the AWS API say that means nothing here is in an annotation; secrets that they hand over
//! are in a Secret beside the resource, which goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Account, Catalog, Change, ChangeError, Entries, Stream as KnownStream, StreamUid};
use delivery_catalog::{DeliveryPhase, DeliveryStream as Known};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use model::{StreamName, UnixMillis};
use operator_api::{DeliveryStream, Stream};
use operator_core::{destination_version, names};
use serde_json::json;
use tokio::sync::watch;

use crate::namespace::{Namespace, refused};
use crate::watched::{Edit, Kind, Watched};

/// What means nothing here, as JSON.
const AWS_ONLY: &str = "leat.dev/aws-only";
/// Who writes Secrets.
const FIELD_MANAGER: &str = "leat-gateway";

impl Kind for DeliveryStream {
    type Known = Known;

    fn known(&self) -> Result<Known, String> {
        let metadata = &self.metadata;
        let status = self.status.as_ref();
        let millis = |time: i64| UnixMillis(u64::try_from(time).unwrap_or_default());
        let created = metadata.creation_timestamp.as_ref();
        let changed = status.and_then(|status| status.destination_changed.as_ref());
        let phase = status.and_then(|status| status.phase.as_deref());
        let aws_only = self.annotations().get(AWS_ONLY).map(|text| serde_json::from_str(text));
        let version = self.resource_version().unwrap_or_default();
        Ok(Known {
            name: self.delivery_stream_name().parse().map_err(|error| format!("name: {error}"))?,
            uid: StreamUid(operator_core::uid(metadata).ok_or("metadata.uid is no UUID")?),
            version: version.parse().unwrap_or_default(),
            created: created.map_or(UnixMillis(0), |time| millis(time.0.as_millisecond())),
            updated: changed.map(|time| millis(time.0.as_millisecond())),
            phase: match phase {
                _ if metadata.deletion_timestamp.is_some() => DeliveryPhase::Deleting,
                Some("ACTIVE") => DeliveryPhase::Active,
                _ => DeliveryPhase::Creating,
            },
            spec: self.spec.clone(),
            destination_version: destination_version(self),
            secrets: BTreeMap::new(),
            aws_only: aws_only.and_then(Result::ok).unwrap_or_default(),
        })
    }

    fn uid(known: &Known) -> StreamUid {
        known.uid
    }

    fn new_in(namespace: &str, known: &Known) -> DeliveryStream {
        let name = names::resource_name(known.name.as_str());
        let mut resource = DeliveryStream::new(&name, known.spec.clone());
        if name != known.name.as_str() {
            resource.spec.delivery_stream_name = Some(known.name.to_string());
        }
        resource.metadata.namespace = Some(namespace.to_owned());
        annotate(&mut resource, known);
        resource
    }

    fn edit(&self, current: &Known, wanted: &Known) -> Edit<DeliveryStream> {
        let is_changed = (&current.spec, &current.aws_only) != (&wanted.spec, &wanted.aws_only);
        let rest = is_changed.then(|| {
            let mut changed = DeliveryStream { spec: wanted.spec.clone(), ..self.clone() };
            annotate(&mut changed, wanted);
            changed
        });
        Edit { status: None, rest }
    }

    fn is_going(known: &Known) -> bool {
        known.phase == DeliveryPhase::Deleting
    }

    fn going(known: Known) -> Known {
        Known { phase: DeliveryPhase::Deleting, ..known }
    }

    fn is_part(&self) -> bool {
        false
    }
}

impl Watched<DeliveryStream> {
    /// The delivery streams that this StatefulSet's pods carry out, by the names of their resources.
    #[must_use]
    pub fn of_set(&self, stateful_set: &str) -> Vec<(String, Arc<Known>)> {
        let read = self.read();
        let entries = read.values().flat_map(BTreeMap::values);
        let ours = entries.filter(|entry| names::delivery_set(&entry.resource) == stateful_set);
        ours.map(|entry| (entry.resource.name_any(), Arc::clone(&entry.known))).collect()
    }
}

fn annotate(resource: &mut DeliveryStream, known: &Known) {
    let annotations = resource.annotations_mut();
    match known.aws_only.is_empty() {
        true => annotations.remove(AWS_ONLY),
        false => annotations.insert(AWS_ONLY.to_owned(), json!(known.aws_only).to_string()),
    };
}

/// The delivery streams of one namespace.
pub struct DeliveryNamespace {
    entries: Namespace<DeliveryStream>,
}

impl DeliveryNamespace {
    /// A view of those of this namespace.
    #[must_use]
    pub fn new(watched: Arc<Watched<DeliveryStream>>, namespace: &str) -> DeliveryNamespace {
        DeliveryNamespace { entries: Namespace::new(watched, namespace) }
    }

    /// Puts secrets that were handed over beside their delivery stream.
    async fn keep(
        &self,
        name: &StreamName,
        secrets: BTreeMap<String, String>,
    ) -> Result<(), ChangeError> {
        if secrets.is_empty() {
            return Ok(());
        }
        let missing = || ChangeError::Missing(name.clone());
        let owner = self.entries.entry(name).ok_or_else(missing)?.resource;
        let mut secret = Secret { string_data: Some(secrets), ..Secret::default() };
        let secret_name = Known::secret_name(name);
        secret.metadata.name = Some(secret_name.clone());
        secret.metadata.owner_references = Some(vec![OwnerReference {
            api_version: operator_api::API_VERSION.to_owned(),
            kind: "DeliveryStream".to_owned(),
            name: owner.name_any(),
            uid: owner.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }]);
        let api: Api<Secret> = Api::namespaced(self.entries.client(), self.entries.namespace());
        let there = api.get_opt(&secret_name).await.map_err(|error| refused(name, error))?;
        let is_foreign = there.is_some_and(|there| {
            !there.owner_references().iter().any(|of| Some(&of.uid) == owner.uid().as_ref())
        });
        if is_foreign {
            return Err(ChangeError::Refused(format!(
                "Secret {secret_name}, where what was handed over would lie, belongs to somebody else: give the secret by SecretsManagerConfiguration"
            )));
        }
        // Entries that were handed over earlier stay.
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = api.patch(&secret_name, &params, &Patch::Merge(&secret)).await;
        match patched {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let params = kube::api::PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..kube::api::PostParams::default()
                };
                api.create(&params, &secret).await.map(drop)
            }
            patched => patched.map(drop),
        }
        .map_err(|error| refused(name, error))
    }
}

impl Entries<Known> for DeliveryNamespace {
    fn get(&self, name: &StreamName) -> Option<Arc<Known>> {
        self.entries.get(name)
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Known>> {
        self.entries.list(after, limit)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.entries.changes()
    }

    fn create(&self, mut new: Known) -> Change<'_, Arc<Known>> {
        Box::pin(async move {
            let secrets = std::mem::take(&mut new.secrets);
            let created = self.entries.create(new).await?;
            if let Err(error) = self.keep(&created.name, secrets).await {
                // Without them it could not deliver, and could not be created again.
                let removed = self.entries.remove(created.name.clone(), created.version).await;
                if let Err(error) = removed {
                    tracing::warn!(delivery_stream = %created.name, %error, "left without its secrets");
                }
                return Err(error);
            }
            Ok(created)
        })
    }

    fn replace(&self, mut changed: Known) -> Change<'_, Arc<Known>> {
        Box::pin(async move {
            // What the spec refers to comes first.
            let secrets = std::mem::take(&mut changed.secrets);
            self.keep(&changed.name, secrets).await?;
            self.entries.replace(changed).await
        })
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        self.entries.remove(name, version)
    }
}

/// The streams of one namespace that hold what producers put, by the names of their delivery streams.
pub struct SourceStreams {
    streams: Namespace<Stream>,
    deliveries: Arc<Watched<DeliveryStream>>,
}

impl SourceStreams {
    /// A view of those of this namespace. The operator alone changes them.
    #[must_use]
    pub fn new(
        streams: Arc<Watched<Stream>>,
        deliveries: Arc<Watched<DeliveryStream>>,
        namespace: &str,
    ) -> SourceStreams {
        SourceStreams { streams: Namespace::new(streams, namespace), deliveries }
    }
}

fn not_here<T>() -> Result<T, ChangeError> {
    let why = "what holds records of producers is changed by changing its delivery stream";
    Err(ChangeError::Refused(why.to_owned()))
}

impl Entries<KnownStream> for SourceStreams {
    fn get(&self, name: &StreamName) -> Option<Arc<KnownStream>> {
        let resource = self.deliveries.resource_name(self.streams.namespace(), name)?;
        let source = names::source_stream(&resource).parse().ok()?;
        let entry = self.streams.entry(&source).filter(|entry| entry.resource.is_part())?;
        Some(entry.known)
    }

    fn list(&self, _: Option<&str>, _: usize) -> Vec<Arc<KnownStream>> {
        // Nobody asks: each is known by its delivery stream.
        Vec::new()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.streams.changes()
    }

    fn create(&self, _: KnownStream) -> Change<'_, Arc<KnownStream>> {
        Box::pin(async { not_here() })
    }

    fn replace(&self, _: KnownStream) -> Change<'_, Arc<KnownStream>> {
        Box::pin(async { not_here() })
    }

    fn remove(&self, _: StreamName, _: u64) -> Change<'_, ()> {
        Box::pin(async { not_here() })
    }
}

impl Catalog for SourceStreams {
    fn account(&self) -> Account {
        Account::default()
    }

    fn replace_account(&self, _: Account) -> Change<'_, Account> {
        Box::pin(async { not_here() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_stream_becomes_a_resource_and_comes_back() {
        let spec = json!({"destination": {"s3": {"bucket": "lake"}}, "tags": {"team": "data"}});
        let known = Known {
            name: "To_Lake".parse().unwrap(),
            uid: StreamUid(0x6f96_19ff_8b86_d011),
            version: 7,
            created: UnixMillis(0),
            updated: None,
            phase: DeliveryPhase::Creating,
            spec: serde_json::from_value(spec).unwrap(),
            destination_version: 1,
            secrets: BTreeMap::new(),
            aws_only: BTreeMap::from([("RoleARN".to_owned(), "\"arn\"".to_owned())]),
        };
        let mut resource = DeliveryStream::new_in("shop", &known);
        assert_eq!(resource.metadata.name, Some(names::resource_name("To_Lake")));
        resource.metadata.uid = Some("6f9619ff-8b86-d011-b42d-00cf4fc964ff".to_owned());
        resource.metadata.resource_version = Some("7".to_owned());
        let read = resource.known().unwrap();
        assert_eq!((&read.name, &read.aws_only), (&known.name, &known.aws_only));
        assert!(resource.edit(&read, &read).rest.is_none());
        let changed = Known { aws_only: BTreeMap::new(), ..read.clone() };
        let edited = resource.edit(&read, &changed).rest.unwrap();
        assert_eq!(edited.known().unwrap(), changed);
        assert_eq!(edited.spec.tags["team"], "data");
    }
}
