//! Secrets: the certificate authority, the master keys, and what pods and gateway get of both.
//!
//! ```text
//!  leat-ca ──────────────┬─► leat-gateway-tls          (namespace of the operator)
//!  leat-encryption-keys ─┴─► SET-node, one for each StatefulSet, in its namespace
//! ```
//!
//! The two on the left are made when they are missing and never written again: they may be a user's.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use encryption::{KeyFileError, MasterKeys};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use model::{Clock, UnixMillis};
use operator_core::{
    Step, first_difference,
    manifests::secret_name,
    names::{self, PodRole},
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use shard::SystemClock;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto::ring};

use crate::observe::MANAGED;
use crate::pki::{Authority, PkiError, Subject, is_current, new_authority};

const AUTHORITY: &str = "leat-ca";
const KEYS: &str = "leat-encryption-keys";
const GATEWAY: &str = "leat-gateway-tls";

const CERTIFICATE_ENTRY: &str = "tls.crt";
const KEY_ENTRY: &str = "tls.key";
const AUTHORITY_ENTRY: &str = "ca.crt";
const KEYS_ENTRY: &str = "encryption.keys";

/// How often the Secrets are looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(60);
/// How old the operator's own certificate gets.
const OWN_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is nothing to give out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The API server failed.
    #[error("read or write Secret {0}")]
    Api(&'static str, #[source] kube::Error),
    /// A Secret is not what it should be.
    #[error("Secret {secret} has no entry {entry}, or it is not text")]
    NoEntry { secret: &'static str, entry: &'static str },
    /// See [`PkiError`].
    #[error("certificates")]
    Pki(#[from] PkiError),
    /// The file of master keys is wrong.
    #[error("Secret {KEYS}, entry {KEYS_ENTRY}")]
    Keys(#[from] KeyFileError),
    /// The authority's certificate, or the operator's own, is none that TLS takes.
    #[error("set up TLS")]
    Tls(#[source] rustls::Error),
    /// They do not parse.
    #[error("set up TLS")]
    Pem(#[source] rustls_pki_types::pem::Error),
}

/// What certificates and keys are made from.
pub(crate) struct Material {
    authority: Authority,
    encryption_keys: String,
    /// With the operator's own certificate.
    tls: Arc<ClientConfig>,
    issued: UnixMillis,
}

/// The newest [`Material`].
pub(crate) struct Trust {
    client: Client,
    namespace: String,
    material: RwLock<Arc<Material>>,
}

impl Trust {
    /// Makes what is missing.
    pub(crate) async fn start(client: Client, namespace: &str) -> Result<Trust, TrustError> {
        let material = refresh(&client, namespace, None).await?;
        let material = RwLock::new(Arc::new(material));
        Ok(Trust { client, namespace: namespace.to_owned(), material })
    }

    /// Follows changes, and renews. What was good stays in use while the new is wrong.
    pub(crate) async fn keep(&self) {
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            let before = self.material();
            match refresh(&self.client, &self.namespace, Some(&before)).await {
                Ok(material) => {
                    let mut newest = self.material.write().unwrap_or_else(PoisonError::into_inner);
                    *newest = Arc::new(material);
                }
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!("certificates and keys stay as they are: {error:#}");
                }
            }
        }
    }

    pub(crate) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.material.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Material {
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// The Secret of a StatefulSet's pods, if it is not as it should be. Pods that hold shards have a
    /// certificate to serve with, and the master keys; those that deliver have one to call them with.
    pub(crate) fn node_secret(
        &self,
        role: PodRole,
        stateful_set: &str,
        namespace: &str,
        owners: Vec<OwnerReference>,
        live: Option<&Value>,
        now: UnixMillis,
    ) -> Result<Option<Step>, PkiError> {
        let subject = match role {
            PodRole::Stream => Subject::Pods { stateful_set, namespace },
            PodRole::Delivery => Subject::Delivery { stateful_set, namespace },
        };
        let mut data = self.certificate(subject, live, now)?;
        if role == PodRole::Stream {
            let keys = ByteString(self.encryption_keys.clone().into_bytes());
            data.insert(KEYS_ENTRY.to_owned(), keys);
        }
        let name = secret_name(stateful_set);
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.to_owned()),
                labels: Some(names::labels(role, stateful_set)),
                owner_references: Some(owners),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        };
        let object = serde_json::to_value(secret).unwrap_or_default();
        let reason = match live {
            None => format!("Secret {name} is made"),
            Some(live) => match first_difference(&object, live) {
                None => return Ok(None),
                Some(path) => format!("Secret {name} differs at {path}"),
            },
        };
        Ok(Some(Step { kind: "Secret", object, reason }))
    }

    /// The certificate that is there, or a new one when that is due.
    fn certificate(
        &self,
        subject: Subject<'_>,
        live: Option<&Value>,
        now: UnixMillis,
    ) -> Result<BTreeMap<String, ByteString>, PkiError> {
        let live = live.and_then(|live| serde_json::from_value::<Secret>(live.clone()).ok());
        let live = live.unwrap_or_default();
        let there = text(&live, CERTIFICATE_ENTRY).zip(text(&live, KEY_ENTRY));
        let is_ours = text(&live, AUTHORITY_ENTRY) == Some(&self.authority.certificate);
        let (certificate, key) = match there {
            Some((certificate, key)) if is_ours && is_current(certificate, key, subject, now) => {
                (certificate.to_owned(), key.to_owned())
            }
            _ => {
                let issued = self.authority.issue(subject, now)?;
                (issued.certificate, issued.key)
            }
        };
        Ok(entries(&[
            (CERTIFICATE_ENTRY, &certificate),
            (KEY_ENTRY, &key),
            (AUTHORITY_ENTRY, &self.authority.certificate),
        ]))
    }
}

async fn refresh(
    client: &Client,
    namespace: &str,
    before: Option<&Material>,
) -> Result<Material, TrustError> {
    let now = SystemClock.now();
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let authority = authority(&api, now).await?;
    let encryption_keys = encryption_keys(client, &api, before).await?;
    let own = before.filter(|before| {
        before.authority.certificate == authority.certificate
            && now.since(before.issued) < OWN_LASTS
    });
    let (tls, issued) = match own {
        Some(before) => (before.tls(), before.issued),
        None => (Arc::new(client_tls(&authority, now)?), now),
    };
    let material = Material { authority, encryption_keys, tls, issued };
    keep_gateway(&api, &material, now).await?;
    Ok(material)
}

async fn authority(api: &Api<Secret>, now: UnixMillis) -> Result<Authority, TrustError> {
    let failed = |error| TrustError::Api(AUTHORITY, error);
    let secret = match api.get_opt(AUTHORITY).await.map_err(failed)? {
        Some(secret) => secret,
        None => {
            let issued = new_authority(now)?;
            let data = [(CERTIFICATE_ENTRY, &*issued.certificate), (KEY_ENTRY, &*issued.key)];
            let mut secret = own_secret(AUTHORITY, entries(&data));
            secret.type_ = Some("kubernetes.io/tls".to_owned());
            tracing::info!(secret = AUTHORITY, "makes a certificate authority");
            api.create(&PostParams::default(), &secret).await.map_err(failed)?
        }
    };
    let entry = |entry| {
        let missing = TrustError::NoEntry { secret: AUTHORITY, entry };
        text(&secret, entry).map(str::to_owned).ok_or(missing)
    };
    Ok(Authority::load(entry(CERTIFICATE_ENTRY)?, &entry(KEY_ENTRY)?)?)
}

/// The master keys. When their Secret is gone they come back from what was given out: records that
/// are encrypted under keys that nobody has are lost.
async fn encryption_keys(
    client: &Client,
    api: &Api<Secret>,
    before: Option<&Material>,
) -> Result<String, TrustError> {
    let failed = |error| TrustError::Api(KEYS, error);
    let secret = match api.get_opt(KEYS).await.map_err(failed)? {
        Some(secret) => secret,
        None => {
            let keys = match before {
                Some(before) => before.encryption_keys.clone(),
                None => given_out(client).await.map_err(failed)?.unwrap_or_else(|| {
                    tracing::info!(secret = KEYS, "makes a master key");
                    MasterKeys::new_file()
                }),
            };
            let secret = own_secret(KEYS, entries(&[(KEYS_ENTRY, &keys)]));
            api.create(&PostParams::default(), &secret).await.map_err(failed)?
        }
    };
    let missing = TrustError::NoEntry { secret: KEYS, entry: KEYS_ENTRY };
    let keys = text(&secret, KEYS_ENTRY).ok_or(missing)?;
    MasterKeys::parse(keys)?;
    Ok(keys.to_owned())
}

/// The longest file of master keys that some pods have.
async fn given_out(client: &Client) -> kube::Result<Option<String>> {
    let secrets: Api<Secret> = Api::all(client.clone());
    let secrets = secrets.list(&ListParams::default().labels(MANAGED)).await?;
    let keys = secrets.iter().filter_map(|secret| text(secret, KEYS_ENTRY));
    let keys = keys.filter(|keys| MasterKeys::parse(keys).is_ok()).max_by_key(|keys| keys.len());
    if keys.is_some() {
        tracing::warn!(secret = KEYS, "it was gone; its keys are those that pods have");
    }
    Ok(keys.map(str::to_owned))
}

async fn keep_gateway(
    api: &Api<Secret>,
    material: &Material,
    now: UnixMillis,
) -> Result<(), TrustError> {
    let failed = |error| TrustError::Api(GATEWAY, error);
    let live = api.get_opt(GATEWAY).await.map_err(failed)?;
    let live = live.and_then(|live| serde_json::to_value(live).ok());
    let data = material.certificate(Subject::Control("leat-gateway"), live.as_ref(), now)?;
    let wanted = own_secret(GATEWAY, data);
    let value = serde_json::to_value(&wanted).unwrap_or_default();
    if live.is_some_and(|live| first_difference(&value, &live).is_none()) {
        return Ok(());
    }
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    api.patch(GATEWAY, &params, &Patch::Apply(&wanted)).await.map_err(failed)?;
    Ok(())
}

fn client_tls(authority: &Authority, now: UnixMillis) -> Result<ClientConfig, TrustError> {
    let issued = authority.issue(Subject::Control("leat-operator"), now)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.certificate.as_bytes()) {
        roots.add(certificate.map_err(TrustError::Pem)?).map_err(TrustError::Tls)?;
    }
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).map_err(TrustError::Pem)?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate.map_err(TrustError::Pem)?], key)
        .map_err(TrustError::Tls)
}

fn own_secret(name: &str, data: BTreeMap<String, ByteString>) -> Secret {
    let label = |name: &str, value: &str| (format!("app.kubernetes.io/{name}"), value.to_owned());
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([label("name", "leat"), label("component", "operator")].into()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..Secret::default()
    }
}

fn entries(texts: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
    let entry =
        |(name, text): &(&str, &str)| ((*name).to_owned(), ByteString((*text).as_bytes().to_vec()));
    texts.iter().map(entry).collect()
}

fn text<'a>(secret: &'a Secret, entry: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(entry)?.0).ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn material(now: UnixMillis) -> Material {
        let issued = new_authority(now).unwrap();
        let authority = Authority::load(issued.certificate, &issued.key).unwrap();
        let tls = Arc::new(client_tls(&authority, now).unwrap());
        Material { authority, encryption_keys: MasterKeys::new_file(), tls, issued: now }
    }

    #[test]
    fn a_pods_secret_stays_until_it_is_due() {
        let now = UnixMillis(1_700_000_000_000);
        let material = material(now);
        let step = |material: &Material, live: Option<&Value>, now| {
            material
                .node_secret(PodRole::Stream, "clicks-stream", "shop", Vec::new(), live, now)
                .unwrap()
        };
        let made = step(&material, None, now).unwrap();
        assert_eq!(made.reason, "Secret clicks-stream-node is made");
        let live = made.object;
        assert_eq!(step(&material, Some(&live), now), None);

        let later = now.saturating_add(Duration::from_secs(61 * 24 * 60 * 60));
        let renewed = step(&material, Some(&live), later).unwrap();
        assert_eq!(renewed.reason, "Secret clicks-stream-node differs at .data.tls.crt");
        assert_eq!(renewed.object["data"]["encryption.keys"], live["data"]["encryption.keys"]);

        let other = Material { encryption_keys: MasterKeys::new_file(), ..material };
        let changed = step(&other, Some(&live), now).unwrap();
        assert_eq!(changed.reason, "Secret clicks-stream-node differs at .data.encryption.keys");
        assert_eq!(changed.object["data"]["tls.key"], live["data"]["tls.key"]);
    }

    /// What a pod of `stateful_set` serves with, and what it asks of those who call.
    fn server_tls(material: &Material, stateful_set: &str) -> rustls::ServerConfig {
        let now = SystemClock.now();
        let step =
            material.node_secret(PodRole::Stream, stateful_set, "shop", Vec::new(), None, now);
        let secret: Secret = serde_json::from_value(step.unwrap().unwrap().object).unwrap();
        let certificate = text(&secret, CERTIFICATE_ENTRY).unwrap();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = text(&secret, KEY_ENTRY).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let authority = text(&secret, AUTHORITY_ENTRY).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        );
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap()
    }

    /// Whether the operator and a pod take each other for what they are.
    async fn check_handshake(client: &Material, server: &Material, host: &'static str) -> bool {
        let (near, far) = tokio::io::duplex(1 << 16);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server_tls(server, "a-stream")));
        let connector = tokio_rustls::TlsConnector::from(client.tls());
        let name = rustls_pki_types::ServerName::try_from(host).unwrap();
        let accept = async {
            let mut socket = acceptor.accept(far).await?;
            socket.write_all(b"!").await?;
            socket.shutdown().await
        };
        let connect = async {
            let mut socket = connector.connect(name, near).await?;
            // The server's word on the client's certificate comes behind the handshake.
            socket.read_u8().await
        };
        let (accepted, connected) = tokio::join!(accept, connect);
        accepted.is_ok() && connected.is_ok()
    }

    #[tokio::test]
    async fn operator_and_pods_take_each_other_for_what_they_are() {
        let (one, other) = (material(SystemClock.now()), material(SystemClock.now()));
        assert!(check_handshake(&one, &one, "a-stream-0.a-stream.shop.svc").await);
        assert!(check_handshake(&one, &one, "a-stream-7.a-stream.shop.svc.cluster.local").await);
        assert!(!check_handshake(&one, &one, "b-stream-0.b-stream.shop.svc").await);
        assert!(!check_handshake(&one, &one, "a-stream-0.a-stream.other.svc").await);
        assert!(!check_handshake(&one, &other, "a-stream-0.a-stream.shop.svc").await);
    }

    #[test]
    fn certificates_of_another_authority_are_replaced() {
        let now = UnixMillis(1_700_000_000_000);
        let (one, other) = (material(now), material(now));
        let made =
            one.node_secret(PodRole::Stream, "a", "b", Vec::new(), None, now).unwrap().unwrap();
        let replaced =
            other.node_secret(PodRole::Stream, "a", "b", Vec::new(), Some(&made.object), now);
        let replaced = replaced.unwrap().unwrap().object;
        assert_ne!(replaced["data"]["tls.crt"], made.object["data"]["tls.crt"]);
    }
}
