//! Namespaces as accounts: each has its streams and its users.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use auth::{Authenticator, CredentialStore, User};
use aws_protocol::{ApiError, ErrorCode};
use catalog_kube::{NamespaceCatalog, Streams};
use encryption::MasterKeys;
use model::Clock;
use streams_api::{Api, ApiOptions, Heat, Identity, Metrics, Shards};

use super::rights::AccessReviews;
use crate::server::{Accounts, Asked, Services};

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

    /// The namespace that an account stands for: somebody has an access key of it, or it has streams.
    fn namespace(&self, account: &str) -> Option<String> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(namespace) = users.namespaces.get(account) {
            return Some(namespace.clone());
        }
        drop(users);
        let namespaces = self.options.streams.namespaces().into_iter();
        // Two namespaces may have one account: always the same of them is meant.
        namespaces.filter(|namespace| account_id(namespace) == account).min()
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

    fn of(&self, user: &User, asked: Asked<'_>) -> Result<(String, Services), ApiError> {
        let no_account = "The access key has no account.";
        let account = user
            .account
            .clone()
            .ok_or_else(|| ApiError::new(ErrorCode::UnrecognizedClientException, no_account))?;
        let meant = streams_api::account_meant(asked.encoding, asked.body);
        let meant = meant.unwrap_or_else(|| account.clone());
        let namespace = self.namespace(&meant).ok_or_else(|| nobody(&meant))?;
        Ok((account, Services { streams: self.api(&meant, &namespace), firehose: None }))
    }

    fn stop(&self) {
        let apis = self.apis.read().unwrap_or_else(PoisonError::into_inner);
        apis.values().for_each(Api::stop);
    }
}

/// As AWS answers about a stream of others that does not let the caller in, which may not be there.
fn nobody(account: &str) -> ApiError {
    let message = format!(
        "Account {account} lets nobody else in, or is not here. The account in an ARN is the one that its stream's namespace stands for, as DescribeStreamSummary shows it there."
    );
    ApiError::new(ErrorCode::AccessDeniedException, message)
}

/// Twelve digits that stand for a namespace (FNV-1a): the same in every gateway and version.
pub(super) fn account_id(namespace: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = namespace.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{:012}", hash % 1_000_000_000_000)
}
