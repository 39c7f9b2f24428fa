//! Namespaces as accounts: each has its streams and its users.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use auth::{Authenticator, CredentialStore, User};
use catalog_kube::{NamespaceCatalog, Streams};
use encryption::MasterKeys;
use model::Clock;
use streams_api::{Api, ApiOptions, Heat, Identity, Metrics, Shards};

use super::rights::AccessReviews;
use crate::server::Accounts;

/// What accounts are made of.
pub(super) struct AccountsOptions {
    pub(super) streams: Arc<Streams>,
    pub(super) shards: Shards,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) region: String,
    pub(super) keys: Arc<MasterKeys>,
    pub(super) metrics: Metrics,
    pub(super) event_bytes_max: usize,
    pub(super) client: kube::Client,
    /// Of the on-demand streams of all namespaces.
    pub(super) heat: Heat,
}

/// The namespaces that somebody has an access key of.
pub(super) struct Namespaces {
    options: AccountsOptions,
    users: RwLock<Users>,
    apis: RwLock<HashMap<String, Api>>,
}

struct Users {
    authenticator: Arc<Authenticator>,
    /// Namespaces by account.
    namespaces: HashMap<String, String>,
}

impl Namespaces {
    pub(super) fn new(options: AccountsOptions) -> Namespaces {
        let nobody = Arc::new(Authenticator::Store(CredentialStore::default()));
        let users = Users { authenticator: nobody, namespaces: HashMap::new() };
        Namespaces { options, users: RwLock::new(users), apis: RwLock::default() }
    }

    /// From now on these are let in, of these namespaces.
    pub(super) fn set(&self, store: CredentialStore, namespaces: impl Iterator<Item = String>) {
        let namespaces = namespaces.map(|namespace| (account_id(&namespace), namespace)).collect();
        let authenticator = Arc::new(Authenticator::Store(store));
        *self.users.write().unwrap_or_else(PoisonError::into_inner) =
            Users { authenticator, namespaces };
    }

    fn api(&self, account: &str, namespace: &str) -> Api {
        let apis = self.apis.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(api) = apis.get(namespace) {
            return api.clone();
        }
        drop(apis);
        let mut apis = self.apis.write().unwrap_or_else(PoisonError::into_inner);
        let make = || self.make(account, namespace);
        apis.entry(namespace.to_owned()).or_insert_with(make).clone()
    }

    fn make(&self, account: &str, namespace: &str) -> Api {
        let options = &self.options;
        let catalog = NamespaceCatalog::new(Arc::clone(&options.streams), namespace);
        Api::new(ApiOptions {
            catalog: Arc::new(catalog),
            shards: options.shards.clone(),
            clock: Arc::clone(&options.clock),
            identity: Identity { region: options.region.clone(), account: account.to_owned() },
            random: rand::random,
            keys: Arc::clone(&options.keys),
            metrics: options.metrics.clone(),
            event_bytes_max: options.event_bytes_max,
            heat: options.heat.clone(),
            rights: Some(Arc::new(AccessReviews::new(
                options.client.clone(),
                Arc::clone(&options.streams),
                namespace,
            ))),
        })
    }
}

impl Accounts for Namespaces {
    fn authenticator(&self) -> Arc<Authenticator> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&users.authenticator)
    }

    fn of(&self, user: &User) -> Option<(String, Api)> {
        let account = user.account.clone()?;
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let namespace = users.namespaces.get(&account)?.clone();
        drop(users);
        let api = self.api(&account, &namespace);
        Some((account, api))
    }

    fn stop(&self) {
        let apis = self.apis.read().unwrap_or_else(PoisonError::into_inner);
        apis.values().for_each(Api::stop);
    }
}

/// Twelve digits that stand for a namespace (FNV-1a): the same in every gateway and version.
pub(super) fn account_id(namespace: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = namespace.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{:012}", hash % 1_000_000_000_000)
}
