//! `leat-operator check`: asks an AWS endpoint of Leat as anybody could who has no access key. The test of
//! the chart: the image has no shell, and no other client.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::args::CheckArgs;

/// Whoever answers with more is somebody else.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const ANSWER_MAX: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Asks until all is as it should be, and writes what was answered.
///
/// # Errors
/// It is not within the time there is; with what was wrong the last time.
pub(crate) async fn check(args: CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let endpoint = Endpoint::new(&args)?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    loop {
        match endpoint.look(out).await {
            Ok(()) => return Ok(()),
            Err(error) if tokio::time::Instant::now() < deadline => {
                writeln!(out, "not yet: {error:#}")?;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

struct Endpoint {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Endpoint {
    fn new(args: &CheckArgs) -> anyhow::Result<Endpoint> {
        let url = &args.endpoint;
        let parsed: Uri = url.parse().with_context(|| format!("--endpoint {url}"))?;
        let host = parsed.host().with_context(|| format!("--endpoint {url}: has no host"))?;
        let (tls, port) = match (parsed.scheme_str(), &args.ca_file) {
            (Some("http"), _) => (None, 80),
            (Some("https"), Some(file)) => {
                let roots = CertificateDer::pem_file_iter(file).context("read --ca-file")?;
                let mut store = RootCertStore::empty();
                for root in roots {
                    store.add(root.context("read --ca-file")?).context("read --ca-file")?;
                }
                let provider = Arc::new(ring::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(store)
                    .with_no_client_auth();
                (Some(TlsConnector::from(Arc::new(config))), 443)
            }
            (Some("https"), None) => bail!("--endpoint {url}: --ca-file says whom to trust"),
            _ => bail!("--endpoint {url}: want http://HOST:PORT or https://HOST:PORT"),
        };
        let (host, port) = (host.to_owned(), parsed.port_u16().unwrap_or(port));
        Ok(Endpoint { url: parsed, host, port, tls })
    }

    async fn look(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (method, path, operation, want, says) in [
            (Method::GET, "/readyz", None, StatusCode::OK, "ok"),
            // Nobody without a key is let in, and is told so as AWS does.
            (
                Method::POST,
                "/",
                Some("Kinesis_20131202.ListStreams"),
                StatusCode::BAD_REQUEST,
                "MissingAuthenticationTokenException",
            ),
        ] {
            let what = format!("{method} {}{path}", self.url.to_string().trim_end_matches('/'));
            let (status, body) =
                tokio::time::timeout(ANSWER_MAX, self.ask(method, path, operation))
                    .await
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
                    .context("no answer")
                    .flatten()
                    .with_context(|| what.clone())?;
            let body = body.trim();
            writeln!(out, "{what} {}: {status}: {body}", operation.unwrap_or_default())?;
            let is_right = status == want && body.contains(says);
            ensure!(is_right, "{what}: {status}: {body}; want {want} and {says}");
        }
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        operation: Option<&str>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = Request::builder().method(method).uri(path);
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        request = request.header(header::HOST, authority);
        if let Some(operation) = operation {
            let json = "application/x-amz-json-1.1";
            request = request.header("x-amz-target", operation).header(header::CONTENT_TYPE, json);
        }
        let request = request.body(Empty::new())?;
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => send(socket, request).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                send(tls.connect(name, socket).await?, request).await
            }
        }
    }
}

async fn send(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<(StatusCode, String)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(answered);
    tokio::select! {
        answered = &mut answered => answered,
        // Its end may be known before what came last is read.
        ended = connection => {
            ended?;
            answered.await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What the check says of an endpoint that answers so, one request after the other.
    async fn check_of(answers: &[(&str, &str)]) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serve = async {
            for (status, body) in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                assert!(0 < socket.read(&mut request).await.unwrap());
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let mut out = Vec::new();
        let args = CheckArgs { endpoint: endpoint.clone(), ca_file: None, timeout: 0 };
        let (checked, ()) = tokio::join!(check(args, &mut out), serve);
        let plain = |text: String| text.replace(&endpoint, "URL");
        let checked = checked.map_err(|error| plain(format!("{error:#}")));
        (checked, plain(String::from_utf8(out).unwrap()))
    }

    const MISSING: &str = r#"{"__type":"MissingAuthenticationTokenException"}"#;

    #[tokio::test]
    async fn an_endpoint_that_serves_and_lets_nobody_in_is_right() {
        let (checked, said) = check_of(&[("200", "ok\n"), ("400", MISSING)]).await;
        assert_eq!(checked, Ok(()));
        let wanted = format!(
            "GET URL/readyz : 200 OK: ok\n\
             POST URL/ Kinesis_20131202.ListStreams: 400 Bad Request: {MISSING}\n"
        );
        assert_eq!(said, wanted);
    }

    #[tokio::test]
    async fn an_endpoint_that_is_not_ready_or_lets_anybody_in_is_not() {
        let (checked, _) = check_of(&[("503", "not ready\n")]).await;
        let why = "GET URL/readyz: 503 Service Unavailable: not ready; want 200 OK and ok";
        assert_eq!(checked, Err(why.to_owned()));
        let (checked, _) = check_of(&[("200", "ok\n"), ("200", "{}")]).await;
        let why =
            "POST URL/: 200 OK: {}; want 400 Bad Request and MissingAuthenticationTokenException";
        assert_eq!(checked, Err(why.to_owned()));
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused_with_what_is_wrong() {
        for (endpoint, why) in [
            ("ftp://leat", "want http://HOST:PORT or https://HOST:PORT"),
            ("https://leat:4567", "--ca-file says whom to trust"),
        ] {
            let args = CheckArgs { endpoint: endpoint.into(), ca_file: None, timeout: 0 };
            let error = check(args, &mut Vec::new()).await.unwrap_err();
            assert_eq!(error.to_string(), format!("--endpoint {endpoint}: {why}"));
        }
    }
}
