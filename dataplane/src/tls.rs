//! Certificates: of the AWS endpoint, and of the node-to-node protocol, which are renewed while the
//! process runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads certificate and key of the AWS endpoint, if TLS is wanted.
pub(crate) fn endpoint(
    cert: Option<&Path>,
    key: Option<&Path>,
) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(cert), Some(key)) = (cert, key) else {
        return Ok(None);
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(read_chain(cert)?, read_key(key)?)
        .with_context(|| format!("use the certificate {}", cert.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
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

/// `tls.crt`, `tls.key` and `ca.crt` of a node, in a directory that the operator renews.
pub(crate) struct NodeTls {
    directory: PathBuf,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone)]
struct Loaded {
    modified: SystemTime,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl NodeTls {
    /// Those in this directory.
    ///
    /// # Errors
    /// They are not there, or are no certificates.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<NodeTls> {
        let tls = NodeTls { directory: directory.to_owned(), loaded: Mutex::new(None) };
        tls.current()?;
        Ok(tls)
    }

    /// For those who come: they show a certificate of the same authority.
    pub(crate) fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        Ok(self.current()?.acceptor)
    }

    /// For going to others.
    pub(crate) fn connector(&self) -> anyhow::Result<TlsConnector> {
        Ok(self.current()?.connector)
    }

    /// As the files are now: the kubelet replaces all of them at once.
    fn current(&self) -> anyhow::Result<Loaded> {
        let file = self.directory.join("tls.crt");
        let modified = std::fs::metadata(&file).and_then(|metadata| metadata.modified());
        let modified = modified.with_context(|| format!("look at {}", file.display()))?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = loaded.as_ref().filter(|loaded| loaded.modified == modified) {
            return Ok(loaded.clone());
        }
        let fresh = self.load(modified)?;
        *loaded = Some(fresh.clone());
        Ok(fresh)
    }

    fn load(&self, modified: SystemTime) -> anyhow::Result<Loaded> {
        let mut roots = RootCertStore::empty();
        for authority in read_chain(&self.directory.join("ca.crt"))? {
            roots.add(authority).context("use the authority in ca.crt")?;
        }
        let roots = Arc::new(roots);
        let chain = read_chain(&self.directory.join("tls.crt"))?;
        let key = read_key(&self.directory.join("tls.key"))?;
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
        Ok(Loaded {
            modified,
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }
}
