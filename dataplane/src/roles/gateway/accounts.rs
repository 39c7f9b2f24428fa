//! Namespaces as accounts: each has its streams and its users.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use auth::{Authenticator, CredentialStore, User};
use aws_protocol::{ApiError, ErrorCode};
use catalog::Catalog;
use catalog_kube::{DeliveryNamespace, DeliveryStreams, NamespaceCatalog, SourceStreams, Streams};
use delivery::{
    Context, MissingSecret, ObjectStores, Secrets, StreamError, StreamPuts, StreamRecord,
};
use encryption::MasterKeys;
use model::Clock;
use operator_api::pods::SecretRef;
use operator_core::names::account_id;
use prometheus_client::registry::Registry;
use shard::SystemClock;
use streams_api::{Api, ApiOptions, Heat, Identity, Metrics, Rights, Shards};

use super::rights::AccessReviews;
use crate::roles::intake::{Refused, Sources, checked};
use crate::server::{Accounts, Asked, Services};

/// What accounts are made of.
pub(super) struct AccountsOptions {
    pub(super) streams: Arc<Streams>,
    pub(super) deliveries: Arc<DeliveryStreams>,
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
    apis: RwLock<HashMap<String, Services>>,
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

    fn services(&self, account: &str, namespace: &str) -> Services {
        let apis = self.apis.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(services) = apis.get(namespace) {
            return services.clone();
        }
        drop(apis);
        let mut apis = self.apis.write().unwrap_or_else(PoisonError::into_inner);
        let make = || self.make(account, namespace);
        apis.entry(namespace.to_owned()).or_insert_with(make).clone()
    }

    fn make(&self, account: &str, namespace: &str) -> Services {
        let options = &self.options;
        let streams = || Arc::clone(&options.streams);
        let deliveries = || Arc::clone(&options.deliveries);
        let client = options.client.clone();
        let rights = Arc::new(AccessReviews::new(client, streams(), deliveries(), namespace));
        let catalog = NamespaceCatalog::new(streams(), namespace);
        let api = self.streams(account, Arc::new(catalog), Some(Arc::clone(&rights) as _));
        let sources = SourceStreams::new(streams(), deliveries(), namespace);
        let intake = Sources {
            api: self.streams(account, Arc::new(sources), None),
            refused: Refused::default(),
        };
        let keys = Arc::clone(&options.keys);
        let firehose = firehose_api::Api::new(firehose_api::ApiOptions {
            catalog: Arc::new(DeliveryNamespace::new(deliveries(), namespace)),
            intake: Arc::new(intake),
            clock: Arc::clone(&options.clock),
            identity: firehose_api::Identity {
                region: options.region.clone(),
                account: account.to_owned(),
            },
            random: rand::random,
            check: check(),
            has_key: Arc::new(move |id: &str| keys.contains(id)),
            rights: Some(rights),
        });
        Services { streams: api, firehose }
    }

    fn streams(
        &self,
        account: &str,
        catalog: Arc<dyn Catalog>,
        rights: Option<Arc<dyn Rights>>,
    ) -> Api {
        let options = &self.options;
        Api::new(ApiOptions {
            catalog,
            shards: options.shards.clone(),
            clock: Arc::clone(&options.clock),
            identity: Identity { region: options.region.clone(), account: account.to_owned() },
            random: rand::random,
            keys: Arc::clone(&options.keys),
            metrics: options.metrics.clone(),
            event_bytes_max: options.event_bytes_max,
            heat: options.heat.clone(),
            rights,
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
        let services = self.services(&meant, &namespace);
        Ok((account, services))
    }

    fn stop(&self) {
        let apis = self.apis.read().unwrap_or_else(PoisonError::into_inner);
        apis.values().for_each(|services| services.streams.stop());
    }
}

/// Checks delivery streams as their pods do when they set them to work. What is made for that is of no use
/// to anybody else.
fn check() -> firehose_api::Check {
    Arc::new(|stream| {
        let secrets: Arc<dyn Secrets> = Arc::new(NoSecrets);
        checked(
            &Arc::new(Context {
                clock: Arc::new(SystemClock),
                stores: Arc::new(ObjectStores::new(Arc::clone(&secrets))),
                secrets,
                streams: Arc::new(NoStreams),
                random: rand::random,
                memory: delivery::Memory::new(0),
                metrics: delivery::Metrics::register(&mut Registry::default()),
                statuses: delivery::Statuses::default(),
                region: String::new(),
                account: String::new(),
            }),
            stream,
        )
    })
}

/// The gateway looks at no Secret of a destination.
struct NoSecrets;

impl Secrets for NoSecrets {
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret> {
        Err(MissingSecret { name: of.name.clone(), key: of.key.clone() })
    }
}

/// Nor does it deliver.
struct NoStreams;

impl delivery::Streams for NoStreams {
    fn put<'a>(&'a self, _: &'a str, records: &'a [StreamRecord]) -> StreamPuts<'a> {
        let why = || StreamError::Unavailable("nothing is delivered here".to_owned());
        Box::pin(async move { records.iter().map(|_| Err(why())).collect() })
    }
}

/// As AWS answers about a stream of others that does not let the caller in, which may not be there.
fn nobody(account: &str) -> ApiError {
    let message = format!(
        "Account {account} lets nobody else in, or is not here. The account in an ARN is the one that its stream's namespace stands for, as DescribeStreamSummary shows it there."
    );
    ApiError::new(ErrorCode::AccessDeniedException, message)
}
