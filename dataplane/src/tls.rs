//! Certificates: of the AWS endpoint, and of the node-to-node protocol, which are renewed while the
//! process runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What is made of files, and made again when the first of them has changed.
struct Renewed<T> {
    watched: PathBuf,
    load: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    loaded: Mutex<Loaded<T>>,
}

struct Loaded<T> {
    modified: SystemTime,
    made: T,
    /// What was wrong at the last look: it is told once, and not to each who comes.
    wrong: Option<String>,
}

impl<T: Clone> Renewed<T> {
    fn new(
        watched: PathBuf,
        load: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Renewed<T>> {
        let loaded = Loaded { modified: modified(&watched)?, made: load()?, wrong: None };
        Ok(Renewed { watched, load: Box::new(load), loaded: Mutex::new(loaded) })
    }

    /// As the files are now; as they were, while they cannot be used: they may be in the middle of being
    /// replaced.
    fn current(&self) -> T {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = modified(&self.watched).and_then(|modified| {
            let is_new = modified != loaded.modified;
            is_new.then(|| Ok((modified, (self.load)()?))).transpose()
        });
        match fresh {
            Ok(None) => {}
            Ok(Some((modified, made))) => *loaded = Loaded { modified, made, wrong: None },
            Err(error) => {
                let wrong = Some(format!("{error:#}"));
                if loaded.wrong != wrong {
                    tracing::warn!(error = wrong, "a certificate is used on");
                    loaded.wrong = wrong;
                }
            }
        }
        loaded.made.clone()
    }
}

fn modified(file: &Path) -> anyhow::Result<SystemTime> {
    let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    modified.with_context(|| format!("look at {}", file.display()))
}

/// Certificate and key of the AWS endpoint.
pub(crate) struct EndpointTls(Renewed<TlsAcceptor>);

impl EndpointTls {
    /// Those in these files, if TLS is wanted.
    ///
    /// # Errors
    /// They are not there, or do not belong together.
    pub(crate) fn open(
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> anyhow::Result<Option<EndpointTls>> {
        let (Some(cert), Some(key)) = (cert, key) else {
            return Ok(None);
        };
        let renewed = Renewed::new(cert.clone(), move || endpoint(&cert, &key))?;
        Ok(Some(EndpointTls(renewed)))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.current()
    }
}

fn endpoint(cert: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(read_chain(cert)?, read_key(key)?)
        .with_context(|| format!("use the certificate {}", cert.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_chain(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("read the certificate {}", file.display()))
}

fn read_key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file)
        .with_context(|| format!("read the private key {}", file.display()))
}

/// Whether a certificate has this name.
pub(crate) fn is_named(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let name = ServerName::try_from(name);
    let parsed = ParsedCertificate::try_from(certificate);
    parsed.is_ok_and(|parsed| name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok()))
}

/// `tls.crt`, `tls.key` and `ca.crt` of a node, in a directory that the operator renews: the kubelet
/// replaces all of them at once.
pub(crate) struct NodeTls(Renewed<(TlsAcceptor, TlsConnector)>);

impl NodeTls {
    /// Those in this directory.
    ///
    /// # Errors
    /// They are not there, or are no certificates.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<NodeTls> {
        let directory = directory.to_owned();
        Ok(NodeTls(Renewed::new(directory.join("tls.crt"), move || node(&directory))?))
    }

    /// For those who come: they show a certificate of the same authority.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.current().0
    }

    /// For going to others.
    pub(crate) fn connector(&self) -> TlsConnector {
        self.0.current().1
    }
}

fn node(directory: &Path) -> anyhow::Result<(TlsAcceptor, TlsConnector)> {
    let mut roots = RootCertStore::empty();
    for authority in read_chain(&directory.join("ca.crt"))? {
        roots.add(authority).context("use the authority in ca.crt")?;
    }
    let roots = Arc::new(roots);
    let chain = read_chain(&directory.join("tls.crt"))?;
    let key = read_key(&directory.join("tls.key"))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(chain.clone(), key.clone_key())
        .context("use the certificate of this node")?;
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .context("use the certificate of this node")?;
    Ok((TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client))))
}
