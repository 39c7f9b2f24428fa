//! What there is of a kind in one namespace, which is an account of AWS.

use std::ops::Bound;
use std::sync::Arc;

use catalog::{Account, Catalog, Change, ChangeError, Entries, Stored};
use either::Either;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Error, ResourceExt};
use model::StreamName;
use operator_api::Stream;
use tokio::sync::watch;

use crate::watched::{Edit, Entry, Kind, Watched};

/// Those of one namespace. Parts of something else are not to be seen, but can be changed.
pub struct Namespace<K: Kind> {
    watched: Arc<Watched<K>>,
    namespace: Arc<str>,
}

impl<K: Kind> Namespace<K> {
    /// A view of the resources of this namespace.
    #[must_use]
    pub fn new(watched: Arc<Watched<K>>, namespace: &str) -> Namespace<K> {
        Namespace { watched, namespace: namespace.into() }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.watched.client.clone()
    }

    fn api(&self) -> Api<K> {
        Api::namespaced(self.watched.client.clone(), &self.namespace)
    }

    pub(crate) fn entry(&self, name: &StreamName) -> Option<Entry<K>> {
        self.watched.read().get(&*self.namespace)?.get(name).cloned()
    }

    async fn store(&self, wanted: K::Known) -> Result<Arc<K::Known>, ChangeError> {
        let name = wanted.name().clone();
        let entry = self.entry(&name).ok_or_else(|| ChangeError::Missing(name.clone()))?;
        if entry.known.version() != wanted.version() {
            return Err(ChangeError::Conflict(name));
        }
        if K::is_going(&wanted) && !K::is_going(&entry.known) {
            return self.delete(&entry).await;
        }
        let Edit { status, rest } = entry.resource.edit(&entry.known, &wanted);
        let (api, params) = (self.api(), PostParams::default());
        let mut stored = (*entry.resource).clone();
        if let Some(status) = status {
            let replaced = api.replace_status(&status.name_any(), &params, &status).await;
            stored = replaced.map_err(|error| refused(&name, error))?;
        }
        if let Some(mut rest) = rest {
            rest.meta_mut().resource_version = stored.resource_version();
            let replaced = api.replace(&rest.name_any(), &params, &rest).await;
            stored = replaced.map_err(|error| refused(&name, error))?;
        }
        self.watched.learn(stored).ok_or(ChangeError::Missing(name))
    }

    async fn delete(&self, entry: &Entry<K>) -> Result<Arc<K::Known>, ChangeError> {
        let (name, resource) = (entry.known.name(), &entry.resource);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: resource.uid(),
                resource_version: resource.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let deleted = self.api().delete(&resource.name_any(), &params).await;
        match deleted.map_err(|error| refused(name, error))? {
            // It goes when the operator has done with it.
            Either::Left(resource) => {
                self.watched.learn(resource).ok_or_else(|| ChangeError::Missing(name.clone()))
            }
            Either::Right(_) => {
                self.watched.forget(resource);
                Ok(Arc::new(K::going((*entry.known).clone())))
            }
        }
    }
}

impl<K: Kind> Entries<K::Known> for Namespace<K> {
    fn get(&self, name: &StreamName) -> Option<Arc<K::Known>> {
        self.entry(name).filter(|entry| !entry.resource.is_part()).map(|entry| entry.known)
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<K::Known>> {
        let entries = self.watched.read();
        let Some(by_name) = entries.get(&*self.namespace) else {
            return Vec::new();
        };
        let known = |(_, entry): (&StreamName, &Entry<K>)| {
            (!entry.resource.is_part()).then(|| Arc::clone(&entry.known))
        };
        match after.map(str::parse::<StreamName>) {
            None => by_name.iter().filter_map(known).take(limit).collect(),
            Some(Ok(name)) => {
                let start = Bound::Excluded(name);
                by_name.range((start, Bound::Unbounded)).filter_map(known).take(limit).collect()
            }
            Some(Err(_)) => {
                let behind = by_name.iter().filter(|(name, _)| after < Some(name.as_str()));
                behind.filter_map(known).take(limit).collect()
            }
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.watched.changes()
    }

    fn create(&self, new: K::Known) -> Change<'_, Arc<K::Known>> {
        Box::pin(async move {
            let name = new.name().clone();
            let resource = K::new_in(&self.namespace, &new);
            match self.api().create(&PostParams::default(), &resource).await {
                Ok(stored) => self.watched.learn(stored).ok_or(ChangeError::Missing(name)),
                Err(Error::Api(status)) if status.code == 409 => Err(ChangeError::Exists(name)),
                Err(error) => Err(refused(&name, error)),
            }
        })
    }

    fn replace(&self, changed: K::Known) -> Change<'_, Arc<K::Known>> {
        Box::pin(self.store(changed))
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        Box::pin(async move {
            let entry = self.entry(&name).ok_or_else(|| ChangeError::Missing(name.clone()))?;
            match entry.known.version() == version {
                true => self.delete(&entry).await.map(drop),
                false => Err(ChangeError::Conflict(name)),
            }
        })
    }
}

impl Catalog for Namespace<Stream> {
    fn account(&self) -> Account {
        Account::default()
    }

    fn replace_account(&self, _: Account) -> Change<'_, Account> {
        let what = "an account on Kubernetes is a namespace, which has no such settings";
        Box::pin(async move { Err(ChangeError::Refused(what.to_owned())) })
    }
}

pub(crate) fn refused(name: &StreamName, error: Error) -> ChangeError {
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
