//! Secrets of a namespace: those that its delivery streams name, looked at now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
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
    /// What is in each, or why nobody could tell.
    known: RwLock<HashMap<String, Result<Entries, String>>>,
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
                    self.not_looked_at(name, &error.to_string());
                    continue;
                }
                Err(_) => {
                    self.not_looked_at(name, "the API server takes too long");
                    continue;
                }
            };
            looked.insert(name.clone(), Instant::now());
            self.write().insert(name, Ok(entries));
        }
    }

    /// What was known of it stays.
    fn not_looked_at(&self, name: String, why: &str) {
        tracing::warn!(secret = name, "not looked at; will try again: {why}");
        let mut known = self.write();
        if !matches!(known.get(&name), Some(Ok(_))) {
            known.insert(name, Err(why.to_owned()));
        }
    }

    /// Why it is not known of all Secrets that a spec names what is in them, or that they are not there.
    pub(super) fn unknown(&self, spec: &DeliveryStreamSpec) -> Option<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        secret_names(spec).iter().find_map(|name| {
            let why = match known.get(name) {
                Some(Ok(_)) => return None,
                Some(Err(why)) => why,
                None => "not yet",
            };
            Some(format!("it is not known what is in Secret {name}: {why}"))
        })
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Result<Entries, String>>> {
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
        let entries = known.get(&of.name).and_then(|entries| entries.as_ref().ok());
        let entry = entries.and_then(|entries| entries.get(&of.key));
        let missing = || MissingSecret { name: of.name.clone(), key: of.key.clone() };
        entry.map(|bytes| bytes.0.clone()).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// An API server that has a Secret `there`, must not tell what is in `shut`, and has no other.
    fn api_server() -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut request = [0; 4096];
                let length = socket.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..length]);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let refusal = |code, reason| {
                    let text = format!(
                        r#"{{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": {code},
                            "reason": "{reason}", "message": "{reason}, it says"}}"#
                    );
                    (code, text)
                };
                let (code, body) = match path.rsplit('/').next().unwrap_or_default() {
                    "there" => (
                        200,
                        r#"{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "there"},
                            "data": {"key": "b3Blbg=="}}"#
                            .to_owned(),
                    ),
                    "shut" => refusal(403, "Forbidden"),
                    _ => refusal(404, "NotFound"),
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {code} Any\r\ncontent-length: {length}");
                let answer = format!("{head}\r\nconnection: close\r\n\r\n{body}");
                socket.write_all(answer.as_bytes()).unwrap();
            }
        });
        Client::try_from(kube::Config::new(uri)).unwrap()
    }

    /// Whether it is known what is in a Secret, and what it is.
    async fn check(name: &str, unknown: Option<&str>, key: Result<&[u8], &str>) {
        let secrets = NamespaceSecrets::new(api_server(), "web");
        let spec: DeliveryStreamSpec = serde_json::from_value(serde_json::json!({"destination":
            {"splunk": {"hecEndpoint": "http://127.0.0.1:1", "hecTokenRef": {"name": name, "key": "key"}}}}))
        .unwrap();
        secrets.keep(std::iter::once(&spec)).await;
        let why = secrets.unknown(&spec);
        assert_eq!(why.is_some(), unknown.is_some(), "{why:?}");
        assert!(why.unwrap_or_default().contains(unknown.unwrap_or_default()));
        let got = secrets.get(&SecretRef { name: name.to_owned(), key: "key".to_owned() });
        let got = got.map_err(|missing| missing.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), key);
    }

    #[tokio::test]
    async fn a_secret_that_nobody_could_look_at_is_not_one_that_is_missing() {
        check("there", None, Ok(b"open")).await;
        check("gone", None, Err("there is no entry key in Secret gone: create it")).await;
        let forbidden = "it is not known what is in Secret shut: ApiError: Forbidden";
        let missing = Err("there is no entry key in Secret shut: create it");
        check("shut", Some(forbidden), missing).await;
    }
}
