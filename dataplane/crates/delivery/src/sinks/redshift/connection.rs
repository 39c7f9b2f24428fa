//! One connection to a database, over TCP or TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Join, ReadHalf, Take, WriteHalf,
};
use tokio::net::TcpStream;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, Error, NoTls};
use tokio_rustls::TlsConnector;

use super::LoadError;
use super::url::JdbcUrl;

/// The message that asks a server for TLS: its length, and a number that is no version.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// What a server may say over a connection. It is asked for no rows.
const REPLIES_BYTES_MAX: u64 = 1 << 20;
/// While it loads, a server says nothing: others on the way must not forget the connection.
const KEEPALIVE: Duration = Duration::from_secs(60);
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// What is said to a database, and what it says.
pub(super) type Stream = Join<Take<ReadHalf<Box<dyn Socket>>>, WriteHalf<Box<dyn Socket>>>;

pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// Connects, and agrees on TLS if there is to be any.
pub(super) async fn open(
    url: &JdbcUrl,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Stream, LoadError> {
    let connected = TcpStream::connect((url.host.as_str(), url.port)).await;
    let socket = connected.map_err(LoadError::Connect)?;
    socket.set_nodelay(true).map_err(LoadError::Connect)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive).map_err(LoadError::Connect)?;
    let socket: Box<dyn Socket> = match tls {
        Some(tls) => Box::new(secure(socket, &url.host, tls).await?),
        None => Box::new(socket),
    };
    let (reader, writer) = tokio::io::split(socket);
    Ok(tokio::io::join(reader.take(REPLIES_BYTES_MAX), writer))
}

async fn secure(
    mut socket: TcpStream,
    host: &str,
    tls: Arc<ClientConfig>,
) -> Result<impl Socket + use<>, LoadError> {
    socket.write_all(&TLS_REQUEST).await.map_err(LoadError::Connect)?;
    // No more than this byte: what follows it unencrypted is part of the handshake, or spoils it.
    match socket.read_u8().await.map_err(LoadError::Connect)? {
        b'S' => {}
        _ => return Err(LoadError::NoTls),
    }
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| LoadError::Tls(io::Error::other(error)))?;
    TlsConnector::from(tls).connect(name, socket).await.map_err(LoadError::Tls)
}

/// Runs one statement after the other, and closes the connection.
///
/// # Cancel safety
/// Dropping the future drops the connection; the server ends what is not committed.
pub(super) async fn run(
    client: Client,
    mut connection: Connection<Stream, NoTlsStream>,
    statements: &[&str],
) -> Result<(), Error> {
    let result = {
        let mut work = std::pin::pin!(async {
            for statement in statements {
                client.batch_execute(statement).await?;
            }
            Ok::<(), Error>(())
        });
        tokio::select! {
            biased;
            result = &mut work => result,
            ended = &mut connection => {
                drop(connection);
                // The last answer may have come before the end.
                return match work.await {
                    Err(error) if error.is_closed() => Err(ended.err().unwrap_or(error)),
                    result => result,
                };
            }
        }
    };
    drop(client);
    // It is told that there is no more; that it hears it does not matter.
    let _ = tokio::time::timeout(GOODBYE_MAX, connection).await;
    result
}

/// Has the server end what a connection waits for.
pub(super) async fn cancel(
    url: &JdbcUrl,
    tls: Option<Arc<ClientConfig>>,
    token: &tokio_postgres::CancelToken,
) -> Result<(), LoadError> {
    let stream = open(url, tls).await?;
    let cancelled = token.cancel_query_raw(stream, NoTls).await;
    cancelled.map_err(|error| LoadError::Load(error.to_string()))
}
