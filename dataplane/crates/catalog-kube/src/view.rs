//! The catalog of one namespace, which is an account of AWS.

use std::ops::Bound;
use std::sync::Arc;

use catalog::{Account, Catalog, Change, ChangeError, Entries, Phase, Stream as Known};
use either::Either;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Error};
use model::StreamName;
use operator_api::Stream;
use tokio::sync::watch;

use crate::convert;
use crate::streams::{Entry, Streams};

/// Streams of one namespace.
#[derive(Clone)]
pub struct NamespaceCatalog {
    streams: Arc<Streams>,
    namespace: Arc<str>,
}

impl NamespaceCatalog {
    /// A view of the streams of this namespace.
    #[must_use]
    pub fn new(streams: Arc<Streams>, namespace: &str) -> NamespaceCatalog {
        NamespaceCatalog { streams, namespace: namespace.into() }
    }

    fn api(&self) -> Api<Stream> {
        Api::namespaced(self.streams.client.clone(), &self.namespace)
    }

    fn entry(&self, name: &StreamName) -> Option<Entry> {
        self.streams.read().get(&*self.namespace)?.get(name).cloned()
    }

    async fn store(&self, wanted: Known) -> Result<Arc<Known>, ChangeError> {
        let name = wanted.name.clone();
        let entry = self.entry(&name).ok_or_else(|| ChangeError::Missing(name.clone()))?;
        if entry.known.version != wanted.version {
            return Err(ChangeError::Conflict(name));
        }
        if wanted.phase == Phase::Deleting && entry.known.phase != Phase::Deleting {
            return self.delete(&entry).await;
        }
        let edit = convert::edit(&entry.resource, &entry.known, &wanted);
        let mut resource = (*entry.resource).clone();
        let (api, params) = (self.api(), PostParams::default());
        let object = resource.metadata.name.clone().unwrap_or_default();
        // What the spec may refer to comes first.
        if let Some(status) = edit.status {
            resource.status = Some(status);
            let stored = api.replace_status(&object, &params, &resource).await;
            resource = stored.map_err(|error| refused(&name, error))?;
        }
        if let Some(spec) = edit.spec {
            resource.spec = spec;
            let stored = api.replace(&object, &params, &resource).await;
            resource = stored.map_err(|error| refused(&name, error))?;
        }
        self.streams.learn(resource).ok_or(ChangeError::Missing(name))
    }

    async fn delete(&self, entry: &Entry) -> Result<Arc<Known>, ChangeError> {
        let name = &entry.known.name;
        let metadata = &entry.resource.metadata;
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: metadata.uid.clone(),
                resource_version: metadata.resource_version.clone(),
            }),
            ..DeleteParams::default()
        };
        let object = metadata.name.as_deref().unwrap_or_default();
        match self.api().delete(object, &params).await.map_err(|error| refused(name, error))? {
            // It goes when the operator has done with it.
            Either::Left(resource) => {
                self.streams.learn(resource).ok_or_else(|| ChangeError::Missing(name.clone()))
            }
            Either::Right(_) => {
                self.streams.forget(&entry.resource);
                Ok(Arc::new(Known { phase: Phase::Deleting, ..(*entry.known).clone() }))
            }
        }
    }
}

impl Entries<Known> for NamespaceCatalog {
    fn get(&self, name: &StreamName) -> Option<Arc<Known>> {
        self.entry(name).map(|entry| entry.known)
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Known>> {
        let streams = self.streams.read();
        let Some(by_name) = streams.get(&*self.namespace) else {
            return Vec::new();
        };
        let known = |(_, entry): (&StreamName, &Entry)| Arc::clone(&entry.known);
        match after.map(str::parse::<StreamName>) {
            None => by_name.iter().take(limit).map(known).collect(),
            Some(Ok(name)) => {
                let start = Bound::Excluded(name);
                by_name.range((start, Bound::Unbounded)).take(limit).map(known).collect()
            }
            Some(Err(_)) => {
                let behind = by_name.iter().filter(|(name, _)| after < Some(name.as_str()));
                behind.take(limit).map(known).collect()
            }
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.streams.changes()
    }

    fn create(&self, stream: Known) -> Change<'_, Arc<Known>> {
        Box::pin(async move {
            let name = stream.name.clone();
            let resource = convert::new_resource(&self.namespace, &stream);
            match self.api().create(&PostParams::default(), &resource).await {
                Ok(stored) => self.streams.learn(stored).ok_or(ChangeError::Missing(name)),
                Err(Error::Api(status)) if status.code == 409 => Err(ChangeError::Exists(name)),
                Err(error) => Err(refused(&name, error)),
            }
        })
    }

    fn replace(&self, stream: Known) -> Change<'_, Arc<Known>> {
        Box::pin(self.store(stream))
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        Box::pin(async move {
            let entry = self.entry(&name).ok_or_else(|| ChangeError::Missing(name.clone()))?;
            match entry.known.version == version {
                true => self.delete(&entry).await.map(drop),
                false => Err(ChangeError::Conflict(name)),
            }
        })
    }
}

impl Catalog for NamespaceCatalog {
    fn account(&self) -> Account {
        Account::default()
    }

    fn replace_account(&self, _: Account) -> Change<'_, Account> {
        let what = "an account on Kubernetes is a namespace, which has no such settings";
        Box::pin(async move { Err(ChangeError::Refused(what.to_owned())) })
    }
}

fn refused(name: &StreamName, error: Error) -> ChangeError {
    match error {
        Error::Api(status) if status.code == 409 => ChangeError::Conflict(name.clone()),
        Error::Api(status) if status.code == 404 => ChangeError::Missing(name.clone()),
        // A rule of the definition, an admission webhook or a quota: its words are for people.
        Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
            ChangeError::Refused(status.message.clone())
        }
        other => ChangeError::Io(std::io::Error::other(other)),
    }
}
