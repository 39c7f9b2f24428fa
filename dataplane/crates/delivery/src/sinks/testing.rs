//! What tests of sinks share: records, a clock that stands still, Secrets, and a server that does
//! what its test tells it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::{Clock, DeliveryRecord, Offset, Origin, SequenceNumber, ShardId, UnixMillis};
use operator_api::pods::SecretRef;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Attempt, Batch, BatchId};
use crate::secrets::{MissingSecret, Secrets};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

pub(crate) fn record(offset: u64, data: impl AsRef<[u8]>) -> DeliveryRecord {
    let (shard, offset) = (ShardId(0), Offset(offset));
    DeliveryRecord {
        data: data.as_ref().to_vec().into(),
        partition_key: "key".into(),
        origin: Origin {
            shard,
            offset,
            sub: 0,
            sequence_number: SequenceNumber::of_record(shard, NOW, offset, NOW),
            arrival: NOW,
        },
    }
}

pub(crate) fn batch(data: &[&str]) -> Batch {
    let records = data.iter().zip(0..).map(|(data, offset)| record(offset, data)).collect();
    Batch { id: BatchId(7), since: None, records, tables: BTreeMap::new() }
}

/// As in `refused 1 X; again 0 2 Y; pause 3s`.
pub(crate) fn outline(attempt: &Attempt) -> String {
    let mut parts = Vec::new();
    for (what, records) in [("refused", &attempt.refused), ("again", &attempt.again)] {
        let mut by_code: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (at, failure) in records {
            by_code.entry(&failure.code).or_default().push(at.to_string());
        }
        let text = |(code, at): (&str, Vec<String>)| format!("{what} {} {code}", at.join(" "));
        parts.extend(by_code.into_iter().map(text));
    }
    parts.extend(attempt.pause.map(|pause| format!("pause {}s", pause.as_secs())));
    if parts.is_empty() { "delivered".into() } else { parts.join("; ") }
}

pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> UnixMillis {
        NOW
    }
}

#[derive(Default)]
pub(crate) struct TestSecrets(Mutex<BTreeMap<(String, String), Vec<u8>>>);

impl TestSecrets {
    /// Sets the entry `name` of the Secret `s`.
    pub(crate) fn set(&self, name: &str, value: impl AsRef<[u8]>) -> SecretRef {
        let of = SecretRef { name: "s".into(), key: name.into() };
        let entry = (of.name.clone(), of.key.clone());
        self.0.lock().unwrap().insert(entry, value.as_ref().to_vec());
        of
    }
}

impl Secrets for TestSecrets {
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret> {
        let entry = (of.name.clone(), of.key.clone());
        let found = self.0.lock().unwrap().get(&entry).cloned();
        found.ok_or(MissingSecret { name: entry.0, key: entry.1 })
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    /// Says this, and closes the connection.
    Say(Vec<u8>),
    /// Keeps the connection, and says nothing.
    Silence,
}

/// A whole reply; `headers` are lines.
pub(crate) fn reply(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Act {
    let length = format!("Content-Length: {}", body.as_ref().len());
    let lines = [headers, &[&length]].concat();
    raw_reply(status, &lines, body)
}

/// A reply as it is given, whatever its length.
pub(crate) fn raw_reply(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Act {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let mut say = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}\r\n").into_bytes();
    say.extend_from_slice(body.as_ref());
    Act::Say(say)
}

pub(crate) fn json_reply(status: u16, body: &serde_json::Value) -> Act {
    reply(status, &["Content-Type: application/json"], body.to_string())
}

/// An authority, as PEM, and what servers with a certificate of it accept connections with.
pub(crate) fn tls_acceptor(name: &str) -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca_params = CertificateParams::new(Vec::new()).unwrap();
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = ca_params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&ca_params, &ca_key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// A server on the loopback interface, until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Does with each request what `act` says.
    pub(crate) async fn start(act: impl FnMut(&Received) -> Act + Send + 'static) -> Server {
        Server::start_with(None, act).await
    }

    /// Does with the requests what is listed. One more is a 599.
    pub(crate) async fn scripted(acts: Vec<Act>) -> Server {
        let mut acts = acts.into_iter();
        Server::start(move |_| acts.next().unwrap_or_else(|| reply(599, &[], ""))).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        mut act: impl FnMut(&Received) -> Act + Send + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let seen = Arc::clone(&received);
        let task = tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let mut socket: Box<dyn Socket> = match &tls {
                    None => Box::new(socket),
                    Some(tls) => match tls.accept(socket).await {
                        Ok(socket) => Box::new(socket),
                        Err(_) => continue,
                    },
                };
                let Some(request) = read(&mut socket).await else { continue };
                seen.lock().unwrap().push(request.clone());
                match act(&request) {
                    Act::Say(bytes) => {
                        // The client may close first.
                        let _ = socket.write_all(&bytes).await;
                        let _ = socket.shutdown().await;
                    }
                    Act::Silence => silent.push(socket),
                }
            }
        });
        Server { url: format!("{scheme}://127.0.0.1:{port}"), received, task }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// `None` when the client closes before it has said all.
async fn read(socket: &mut Box<dyn Socket>) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let mut body = bytes.split_off(head_end + 4);
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received { target, headers, body })
}
