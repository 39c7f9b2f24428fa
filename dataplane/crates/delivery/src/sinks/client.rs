//! The HTTP client of sinks: TLS as the resource says, redirects not followed, replies bounded.

mod reply;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use operator_api::pods::{ClientTls, SecretRef};
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Client, RequestBuilder, redirect};

pub(crate) use reply::{Reply, shorten};

use crate::secrets::{MissingSecret, Secrets};

const USER_AGENT: &str = concat!("leat/", env!("CARGO_PKG_VERSION"));
/// Long enough for a handshake across the world on a bad day.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Shorter than what servers and balancers usually allow, so that they are rarely the first to close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A request that got no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransferError {
    /// Nothing was sent.
    #[error(transparent)]
    Secret(#[from] MissingSecret),
    /// Nothing was sent.
    #[error("read the authorities to trust: {0}")]
    Authorities(String),
    /// Nothing was sent.
    #[error("find credentials: {0}")]
    Credentials(String),
    /// Nothing was sent: the address, or a secret that is to be a header, cannot be sent.
    #[error("make the request: {0}")]
    Request(String),
    /// Nothing was sent.
    #[error("connect: {0}")]
    Connect(String),
    /// Nothing was sent.
    #[error("connect: nobody answered in {} seconds", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    /// Nothing was sent.
    #[error("agree on TLS: {reason}")]
    Tls {
        /// What is wrong with the certificate, or with the handshake.
        reason: String,
        /// The certificate is good, but somebody else's.
        is_wrong_name: bool,
    },
    /// What was sent may have been taken.
    #[error("no answer in time")]
    Timeout,
    /// What was sent may have been taken.
    #[error("keep the connection: {0}")]
    Lost(String),
}

/// Makes the client of a destination, and makes it anew when the authorities it trusts change.
pub(crate) struct Connector {
    tls: Option<ClientTls>,
    secrets: Arc<dyn Secrets>,
    timeout: Duration,
    built: Mutex<Option<Built>>,
}

struct Built {
    authorities: Option<Vec<u8>>,
    client: Client,
}

impl Connector {
    /// For requests that take `timeout` at most, from connecting to the end of the reply.
    pub(crate) fn new(
        tls: Option<ClientTls>,
        secrets: Arc<dyn Secrets>,
        timeout: Duration,
    ) -> Connector {
        Connector { tls, secrets, timeout, built: Mutex::new(None) }
    }

    /// The client, which is the same until the authorities change.
    pub(crate) fn client(&self) -> Result<Client, TransferError> {
        let tls = self.tls.as_ref();
        let authorities = tls.and_then(|tls| tls.ca_ref.as_ref());
        let authorities = authorities.map(|of| self.secrets.get(of)).transpose()?;
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref().filter(|built| built.authorities == authorities) {
            return Ok(built.client.clone());
        }
        let trusts_any = tls.and_then(|tls| tls.insecure_skip_verify).unwrap_or(false);
        let client = build(authorities.as_deref(), trusts_any, self.timeout)?;
        *built = Some(Built { authorities, client: client.clone() });
        Ok(client)
    }

    /// A secret as text for a header. A line end, which many a Secret has by mistake, is taken off.
    pub(crate) fn secret(&self, of: &SecretRef) -> Result<Vec<u8>, TransferError> {
        let mut secret = self.secrets.get(of)?;
        let end = secret.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        secret.truncate(end.map_or(0, |end| end + 1));
        Ok(secret)
    }
}

fn build(
    authorities: Option<&[u8]>,
    trusts_any: bool,
    timeout: Duration,
) -> Result<Client, TransferError> {
    let invalid = |error: reqwest::Error| TransferError::Authorities(innermost(&error));
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        // As AWS; over HTTP/2, replies need not say how long they are.
        .http1_only()
        // A proxy would be one more place where records go, that no resource names.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .timeout(timeout)
        .danger_accept_invalid_certs(trusts_any);
    if let Some(authorities) = authorities {
        let certificates = Certificate::from_pem_bundle(authorities).map_err(invalid)?;
        if certificates.is_empty() {
            return Err(TransferError::Authorities("the Secret holds no PEM certificate".into()));
        }
        builder = builder.tls_built_in_root_certs(false);
        builder = certificates
            .into_iter()
            .fold(builder, |builder, authority| builder.add_root_certificate(authority));
    }
    builder.build().map_err(invalid)
}

/// A header that holds a secret.
pub(crate) fn secret_header(value: &[u8]) -> Result<HeaderValue, TransferError> {
    let mut header = HeaderValue::from_bytes(value).map_err(|_| {
        TransferError::Request("a secret holds characters that no header can hold".into())
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Sends a request and reads the reply, of its body no more than `body_bytes_max`.
///
/// # Cancel safety
/// Dropping the future leaves open whether the server took the request.
pub(crate) async fn send(
    request: RequestBuilder,
    body_bytes_max: usize,
) -> Result<Reply, TransferError> {
    let mut response = request.send().await.map_err(judge)?;
    let mut reply = Reply {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body: Vec::new(),
        is_cut: false,
    };
    while let Some(chunk) = response.chunk().await.map_err(judge)? {
        let room = body_bytes_max - reply.body.len();
        reply.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room < chunk.len() {
            reply.is_cut = true;
            break;
        }
    }
    Ok(reply)
}

fn judge(error: reqwest::Error) -> TransferError {
    // The address may hold a password.
    let error = error.without_url();
    if error.is_builder() {
        return TransferError::Request(innermost(&error));
    }
    if !error.is_connect() {
        return match error.is_timeout() {
            true => TransferError::Timeout,
            false => TransferError::Lost(innermost(&error)),
        };
    }
    match causes(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(tls) => TransferError::Tls { reason: tls.to_string(), is_wrong_name: is_name(tls) },
        None if error.is_timeout() => TransferError::ConnectTimeout,
        None => TransferError::Connect(innermost(&error)),
    }
}

fn is_name(error: &rustls::Error) -> bool {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
    use rustls::Error::InvalidCertificate;
    matches!(error, InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

fn innermost(error: &reqwest::Error) -> String {
    let innermost = causes(error).last().map(ToString::to_string);
    shorten(&innermost.unwrap_or_else(|| error.to_string()))
}

/// The error and what caused it. `source` of an I/O error passes over the error it wraps.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
