//! The socket side: connections, TLS, bounded bodies, bounded memory. What a request means is decided
//! in `aws-protocol` and `streams-api`.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use auth::{Authenticator, Caller, RequestParts, SignedRequest, User, body_sha256};
use aws_protocol::dispatch::{
    CORS_HEADERS, Call, Dispatch, PREFLIGHT_MAX_AGE_SECONDS, Refusal, Service, dispatch,
};
use aws_protocol::{ApiError, Encoding, RequestId, event_stream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use model::Clock;
use prometheus_client::registry::Registry;
use shard::SystemClock;
use streams_api::{Answer, Api, Events};
use telemetry::Readiness;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};

use crate::tls::EndpointTls;
use body::{
    BODY_READ_MAX, UNSIZED_READ_MAX, UNSIZED_WAIT_MAX, decompress, is_compressed, read_body,
    too_large, too_many_unsized,
};

mod body;

/// The largest body: 10 MiB of records as base64, keys, and the JSON around them.
const BODY_BYTES_MAX: usize = 20 << 20;
/// A body is in memory as it came, decoded, and on its way to the log.
const COPIES_OF_A_BODY: usize = 3;
/// The largest reply to GetRecords: 10 MiB of records as base64, and what was read for it.
const GET_RECORDS_REPLY_BYTES_MAX: usize = 32 << 20;
/// The largest reply to ListStreams: ten thousand of them.
const LIST_STREAMS_REPLY_BYTES_MAX: usize = 6 << 20;
/// The largest other reply: a thousand shards.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a client may take for the headers of a request, and leave a connection idle before it:
/// longer than the SDKs do (Java 60 seconds, Go 90), so that it is the client who closes. A request
/// that crosses with our close would fail.
const HEADER_READ_MAX: Duration = Duration::from_secs(120);
/// After this without anything from it, a client of HTTP/2 is asked whether it is there, and has so
/// long to answer.
const PING_PAUSE: Duration = Duration::from_secs(60);
const PONG_MAX: Duration = Duration::from_secs(20);
/// How long a client may take nothing of a reply that waits for it: no longer than a subscription lasts.
const REPLY_STUCK_MILLIS_MAX: u32 = 300_000;
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Whom a server lets in, and what they find.
pub(crate) trait Accounts: Send + Sync {
    /// Who is let in, as of now.
    fn authenticator(&self) -> Arc<Authenticator>;

    /// The account of a user, and the services of the account that the call is about.
    fn of(&self, user: &User, call: Asked<'_>) -> Result<(String, Services), ApiError>;

    /// Ends what goes on by itself.
    fn stop(&self);
}

/// What was asked, before it is known what it is.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) encoding: Encoding,
    pub(crate) body: &'a [u8],
}

/// The services of an account.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) streams: Api,
    pub(crate) firehose: firehose_api::Api,
}

/// All streams are of one account; users may be of others.
pub(crate) struct OneAccount {
    pub(crate) services: Services,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) id: String,
}

impl Accounts for OneAccount {
    fn authenticator(&self) -> Arc<Authenticator> {
        Arc::clone(&self.authenticator)
    }

    fn of(&self, user: &User, _: Asked<'_>) -> Result<(String, Services), ApiError> {
        Ok((user.account.clone().unwrap_or_else(|| self.id.clone()), self.services.clone()))
    }

    fn stop(&self) {
        self.services.streams.stop();
    }
}

/// What a server serves.
pub(crate) struct ServerOptions {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) tls: Option<EndpointTls>,
    /// For bodies and replies under way.
    pub(crate) memory_bytes_max: usize,
    pub(crate) readiness: Readiness,
    pub(crate) registry: Arc<Registry>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
struct Peer {
    ip: IpAddr,
    is_secure: bool,
}

/// One connection: who is at its other end, and a way to end it.
#[derive(Clone)]
struct Connection {
    peer: Peer,
    hang_up: Arc<Notify>,
}

#[derive(Clone)]
pub(crate) struct Server {
    options: Arc<ServerOptions>,
    /// One permit for each KiB.
    request_memory: Arc<Semaphore>,
    /// Whose turn it is of the requests whose size nobody knows before, because they come in chunks or
    /// compressed: one is read at a time, so that they do not keep the others waiting.
    unsized_turn: Arc<Mutex<()>>,
    /// For replies of operations that read. What puts are answered takes of their own requests' memory,
    /// so that replies to clients that do not read never keep puts waiting.
    reply_memory: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(options: ServerOptions) -> Server {
        // Each half is at least one largest request or reply.
        let half = |least: usize| {
            Arc::new(Semaphore::new((options.memory_bytes_max / 2).max(least) / 1024))
        };
        Server {
            request_memory: half(BODY_BYTES_MAX * COPIES_OF_A_BODY),
            unsized_turn: Arc::default(),
            reply_memory: half(GET_RECORDS_REPLY_BYTES_MAX),
            options: Arc::new(options),
        }
    }

    /// Serves until `stop`, and `linger` longer while whoever sends clients here hears that it is not
    /// ready; then lets requests under way finish, for `drain_max` at most.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        linger: Duration,
        drain_max: Duration,
    ) {
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut stop = std::pin::pin!(async {
            stop.await;
            self.options.readiness.set(false);
            tokio::time::sleep(linger).await;
        });
        loop {
            let slot = Arc::clone(&connections).acquire_owned();
            let accepted = async { (slot.await, listener.accept().await) };
            tokio::select! {
                (slot, accepted) = accepted => match accepted {
                    Ok((socket, peer)) => {
                        let peer = Peer { ip: peer.ip(), is_secure: self.options.tls.is_some() };
                        let connection = self.clone().connection(socket, peer, graceful.watcher());
                        tokio::spawn(async move {
                            connection.await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        // Out of files, mostly: give connections time to end.
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        self.options.accounts.stop();
        if tokio::time::timeout(drain_max, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way after {drain_max:?}");
        }
    }

    async fn connection(self, socket: TcpStream, peer: Peer, watcher: Watcher) {
        // Replies are written whole; waiting to fill a packet only delays them.
        let _ = socket.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, REPLY_STUCK_MILLIS_MAX);
        match &self.options.tls {
            None => self.clone().http(socket, peer, watcher).await,
            Some(tls) => {
                let handshake = tls.acceptor().accept(socket);
                match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
                    Ok(Ok(socket)) => self.clone().http(socket, peer, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
        }
    }

    async fn http(
        self,
        socket: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        watcher: Watcher,
    ) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_MAX);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).max_concurrent_streams(256);
        http2.keep_alive_interval(PING_PAUSE).keep_alive_timeout(PONG_MAX);
        let hang_up = Arc::new(Notify::new());
        let connection = Connection { peer, hang_up: Arc::clone(&hang_up) };
        // The time for headers counts from when the version is known.
        let silent = Arc::new(AtomicBool::new(true));
        let heard = Arc::clone(&silent);
        let service = hyper::service::service_fn(move |request| {
            heard.store(false, Ordering::Relaxed);
            let (server, connection) = (self.clone(), connection.clone());
            async move { Ok::<_, std::convert::Infallible>(server.answer(request, &connection).await) }
        });
        let served = builder.serve_connection(TokioIo::new(socket), service).into_owned();
        tokio::select! {
            ended = watcher.watch(served) => if let Err(error) = ended {
                tracing::debug!(error = %error, "a connection ended early");
            },
            () = hang_up.notified() => {}
            () = still_silent(&silent) => tracing::debug!("a connection that said nothing"),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Response<ReplyBody> {
        let id = RequestId::from_random(rand::random());
        let from_browser = request.headers().contains_key(header::ORIGIN);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = match (&method, path.as_str()) {
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/livez") => plain(StatusCode::OK, "ok\n"),
            (&Method::GET, "/readyz") if self.options.readiness.is_ready() => {
                plain(StatusCode::OK, "ok\n")
            }
            (&Method::GET, "/readyz") => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => self.aws(request, connection).await,
        };
        let headers = response.headers_mut();
        let text = HeaderValue::try_from(id.to_string()).expect("hex digits and dashes");
        headers.insert("x-amzn-requestid", text.clone());
        headers.insert("x-amz-id-2", text);
        if from_browser {
            for (name, value) in CORS_HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        tracing::debug!(%id, %method, path, status = response.status().as_u16(), "answered");
        response
    }

    fn metrics(&self) -> Response<ReplyBody> {
        match telemetry::metrics_text(&self.options.registry) {
            Ok(text) => {
                let kib = u32::try_from(text.len().div_ceil(1024)).unwrap_or(u32::MAX);
                match Arc::clone(&self.reply_memory).try_acquire_many_owned(kib) {
                    Ok(memory) => {
                        let body = ReplyBody::whole(text.into(), Some(memory));
                        typed(telemetry::METRICS_CONTENT_TYPE, body)
                    }
                    Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "too much is being read\n"),
                }
            }
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written\n"),
        }
    }

    async fn aws(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Response<ReplyBody> {
        let (parts, body) = request.into_parts();
        let call = match dispatch(&parts.method, parts.uri.path(), &parts.headers) {
            Dispatch::Call(call) => call,
            Dispatch::Preflight => return preflight(&parts.headers),
            Dispatch::Refused(Refusal::Api(error, encoding)) => return refused(&error, encoding),
            Dispatch::Refused(Refusal::Xml { status, name, message }) => {
                return plain(status, Refusal::xml_body(name, message));
            }
        };
        match self.call(&parts, call, body, connection.peer).await {
            Ok(Reply::Whole(reply, memory)) => {
                typed(call.encoding.content_type(), ReplyBody::whole(reply, Some(memory)))
            }
            Ok(Reply::Events(Events { stream, hang_up })) => {
                let connection = connection.clone();
                tokio::spawn(async move {
                    if hang_up.await.is_ok() {
                        connection.hang_up.notify_one();
                    }
                });
                typed(event_stream::CONTENT_TYPE, ReplyBody::Events(stream))
            }
            Err(error) => refused(&error, call.encoding),
        }
    }

    async fn call(
        &self,
        parts: &http::request::Parts,
        call: Call<'_>,
        body: Incoming,
        peer: Peer,
    ) -> Result<Reply, ApiError> {
        let headers = text_headers(&parts.headers);
        // HTTP/2 has no Host header; its :authority is what was signed, by either name.
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = authority.filter(|_| !parts.headers.contains_key(header::HOST));
        let host = host.map(|host| ("host", host)).into_iter();
        let authority = authority.map(|authority| (":authority", authority));
        let headers: Vec<(&str, &str)> = headers.into_iter().chain(host).chain(authority).collect();
        let signed = SignedRequest::parse(RequestParts {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &headers,
        })?;
        signed.check_service(call.service.signing_name())?;
        let authenticator = self.options.accounts.authenticator();
        authenticator.recognize(&signed)?;

        let is_compressed = is_compressed(&parts.headers)?;
        let authenticate = |body: &Bytes| {
            authenticator.authenticate(&signed, || body_sha256(body), SystemClock.now())
        };
        let announced = body.size_hint().exact();
        if announced.is_some_and(|bytes| (BODY_BYTES_MAX as u64) < bytes) {
            return Err(too_large());
        }
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
        let (user, body, request_memory) = match announced.filter(|_| !is_compressed) {
            Some(bytes) => {
                let memory = reserve(&self.request_memory, bytes * COPIES_OF_A_BODY).await;
                let body = read_body(body, BODY_READ_MAX).await?;
                (authenticate(&body)?, body, memory)
            }
            None => {
                // A turn ends here, when the size is known: nobody who has memory waits for one.
                let turn = tokio::time::timeout(UNSIZED_WAIT_MAX, self.unsized_turn.lock());
                let _turn = turn.await.map_err(|_| too_many_unsized())?;
                let body = read_body(body, UNSIZED_READ_MAX).await?;
                let user = authenticate(&body)?;
                let body = if is_compressed { decompress(&body)? } else { body };
                let bytes = body.len() * COPIES_OF_A_BODY;
                (user, body, reserve(&self.request_memory, bytes).await)
            }
        };
        let asked = Asked { encoding: call.encoding, body: &body };
        let (account, services) = self.options.accounts.of(&user, asked)?;
        let caller =
            Caller { account, user: user.name, source_ip: peer.ip, is_secure: peer.is_secure };
        let reply_memory = match reply_bytes_max(call.operation) {
            Some(bytes) => Some(reserve(&self.reply_memory, bytes).await),
            None => None,
        };
        let reply = match call.service {
            Service::Streams => {
                services.streams.call(call.operation, call.encoding, caller, &body).await?
            }
            Service::Firehose => {
                let firehose = &services.firehose;
                let reply = firehose.call(call.operation, call.encoding, caller, &body);
                Answer::Whole(reply.await?)
            }
        };
        let mut memory = reply_memory.unwrap_or(request_memory);
        let reply = match reply {
            Answer::Whole(reply) => reply,
            // They have a budget of their own.
            Answer::Events(events) => return Ok(Reply::Events(events)),
        };
        // Keeps what the reply takes until it has been sent.
        let kept = reply.len().div_ceil(1024).min(memory.num_permits());
        let kept = memory.split(kept);
        Ok(Reply::Whole(reply, kept.unwrap_or(memory)))
    }
}

/// The largest reply of an operation that reads; `None` for others, whose requests are larger.
fn reply_bytes_max(operation: &str) -> Option<usize> {
    let is_read = ["Get", "List", "Describe"].iter().any(|prefix| operation.starts_with(prefix));
    match operation {
        "GetRecords" => Some(GET_RECORDS_REPLY_BYTES_MAX),
        "ListStreams" => Some(LIST_STREAMS_REPLY_BYTES_MAX),
        _ => is_read.then_some(REPLY_BYTES_MAX),
    }
}

/// Ends when no request has come for as long as one may take.
async fn still_silent(silent: &AtomicBool) {
    tokio::time::sleep(HEADER_READ_MAX).await;
    if !silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn reserve(memory: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let kib = u32::try_from(bytes.div_ceil(1024)).expect("bodies and replies are bounded");
    let reserved = Arc::clone(memory).acquire_many_owned(kib).await;
    reserved.expect("the budget is never closed")
}

/// Headers whose values are text; others take part in no signature.
fn text_headers(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let text = |(name, value)| -> Option<(&str, &str)> {
        let (name, value): (&http::HeaderName, &HeaderValue) = (name, value);
        Some((name.as_str(), value.to_str().ok()?))
    };
    headers.iter().filter_map(text).collect()
}

fn refused(error: &ApiError, encoding: Encoding) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(error.body(encoding)));
    *response.status_mut() = error.code.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(error.code.name()));
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(text.into()));
    *response.status_mut() = status;
    response
}

/// A browser may send what it asks to send.
fn preflight(headers: &HeaderMap) -> Response<ReplyBody> {
    let mut response = plain(StatusCode::OK, "");
    let allowed = [
        ("access-control-request-headers", "access-control-allow-headers"),
        ("access-control-request-method", "access-control-allow-methods"),
    ];
    for (asked, granted) in allowed {
        if let Some(value) = headers.get(asked) {
            response.headers_mut().insert(granted, value.clone());
        }
    }
    let max_age = HeaderValue::from_static(PREFLIGHT_MAX_AGE_SECONDS);
    response.headers_mut().insert("access-control-max-age", max_age);
    response
}

fn typed(content_type: &'static str, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// What a call is answered with.
enum Reply {
    /// A body, and the memory it is allowed.
    Whole(Bytes, OwnedSemaphorePermit),
    Events(Events),
}

/// A reply's body.
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// One piece for each event.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl ReplyBody {
    /// With the memory it is allowed until its bytes are sent, which is later than hyper drops the body.
    fn whole(bytes: Bytes, memory: Option<OwnedSemaphorePermit>) -> ReplyBody {
        let bytes = match memory {
            Some(memory) => Bytes::from_owner(Allowed { bytes, _memory: memory }),
            None => bytes,
        };
        ReplyBody::Whole(Full::new(bytes))
    }
}

struct Allowed {
    bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Allowed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Into<Bytes>> From<T> for ReplyBody {
    fn from(bytes: T) -> ReplyBody {
        ReplyBody::whole(bytes.into(), None)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            ReplyBody::Whole(bytes) => Pin::new(bytes).poll_frame(context),
            ReplyBody::Events(events) => {
                events.poll_next_unpin(context).map(|event| Some(Ok(Frame::data(event?))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Whole(bytes) => bytes.is_end_stream(),
            ReplyBody::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Whole(bytes) => bytes.size_hint(),
            ReplyBody::Events(_) => SizeHint::default(),
        }
    }
}
