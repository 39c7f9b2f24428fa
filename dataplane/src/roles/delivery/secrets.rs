//! Secrets of a namespace: those that its delivery streams name, looked at now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use delivery::{MissingSecret, Secrets};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use operator_api::DeliveryStreamSpec;
use operator_api::pods::SecretRef;
use operator_core::names::FIELD_MANAGER;
use operator_core::secret_names;
use tokio::sync::Mutex;

/// How soon a Secret that was changed is known.
const FRESH: Duration = Duration::from_secs(10);
/// How long the API server may take.
const LOOK_MAX: Duration = Duration::from_secs(5);

type Entries = BTreeMap<String, ByteString>;

/// Those that somebody named. While the API server is away they are as they were.
pub(super) struct NamespaceSecrets {
    api: Api<Secret>,
    known: RwLock<HashMap<String, Entries>>,
    /// When each was last looked at.
    looked: Mutex<HashMap<String, Instant>>,
}

impl NamespaceSecrets {
    pub(super) fn new(client: Client, namespace: &str) -> NamespaceSecrets {
        let api = Api::namespaced(client, namespace);
        NamespaceSecrets { api, known: RwLock::default(), looked: Mutex::default() }
    }

    /// Looks at all that these specs name, if it is time to, and forgets the others.
    pub(super) async fn keep<'a>(&self, specs: impl Iterator<Item = &'a DeliveryStreamSpec>) {
        let names: Vec<String> = specs.flat_map(secret_names).collect();
        let mut looked = self.looked.lock().await;
        looked.retain(|name, _| names.contains(name));
        self.write().retain(|name, _| names.contains(name));
        for name in names {
            if looked.get(&name).is_some_and(|at| at.elapsed() < FRESH) {
                continue;
            }
            let entries = match tokio::time::timeout(LOOK_MAX, self.api.get_opt(&name)).await {
                Ok(Ok(Some(secret))) if is_ours(&secret) => {
                    tracing::warn!(
                        secret = name,
                        "a Secret of Leat's own is given to no destination"
                    );
                    Entries::new()
                }
                Ok(Ok(secret)) => secret.and_then(|secret| secret.data).unwrap_or_default(),
                Ok(Err(error)) => {
                    tracing::warn!(secret = name, %error, "not looked at; will try again");
                    continue;
                }
                Err(_) => {
                    tracing::warn!(secret = name, "not looked at: the API server takes too long");
                    continue;
                }
            };
            looked.insert(name.clone(), Instant::now());
            self.write().insert(name, entries);
        }
    }

    /// Whether it is known of all Secrets that a spec names what is in them, or that they are not there.
    pub(super) fn knows(&self, spec: &DeliveryStreamSpec) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        secret_names(spec).iter().all(|name| known.contains_key(name))
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Entries>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of the cluster, and access keys of others, are nobody's to send elsewhere.
fn is_ours(secret: &Secret) -> bool {
    let labels = secret.labels();
    labels.contains_key("leat.dev/access-key")
        || labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == FIELD_MANAGER)
}

impl Secrets for NamespaceSecrets {
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(&of.name).and_then(|entries| entries.get(&of.key));
        let missing = || MissingSecret { name: of.name.clone(), key: of.key.clone() };
        entry.map(|bytes| bytes.0.clone()).ok_or_else(missing)
    }
}
