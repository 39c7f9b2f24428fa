//! Shards in other processes: the node-to-node protocol, spoken over any connection.
//!
//! ```text
//!  remote(..) ─► ShardHandle ─► proxy ─┐
//!  remote(..) ─► ShardHandle ─► proxy ─┼─► Peer ══ connection ══► serve ─► Host ─► ShardHandle
//!  operator ───────────────────────────┘     connects again when it is lost
//! ```
//!
//! Connections are made elsewhere: this knows frames, not addresses or certificates. It knows only what
//! must be set on their sockets.

mod client;
mod convert;
mod proxy;
mod server;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use wire::Frame;

pub use client::{Peer, PeerError};
pub use proxy::remote;
pub use server::{Host, ServeOptions, serve};

/// How long the other end of a connection may be silent, to data as to a probe.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Between probes of a connection on which nothing moves.
const PROBE_PAUSE: Duration = Duration::from_secs(3);

/// What is read from a socket at once: rustls by itself asks the kernel for 4 KiB at a time.
const READ_BYTES: usize = 1 << 16;

/// Sets up a socket between nodes: what is written goes at once, and a node that vanished with its power
/// or its cable is given up after seconds, where TCP by itself would try for a quarter of an hour. It is
/// read through a buffer.
///
/// # Errors
/// The kernel refuses.
pub fn set_up_socket(socket: TcpStream) -> io::Result<BufReader<TcpStream>> {
    socket.set_nodelay(true)?;
    let millis = u32::try_from(SILENCE_MAX.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(&socket, millis)?;
    sockopt::set_tcp_keepidle(&socket, PROBE_PAUSE)?;
    sockopt::set_tcp_keepintvl(&socket, PROBE_PAUSE)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    Ok(BufReader::with_capacity(READ_BYTES, socket))
}

/// A connection, as this sees it.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A future that is sent between threads.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes connections to one node.
pub trait Connect: fmt::Display + Send + Sync + 'static {
    /// A new connection.
    fn connect(&self) -> Pending<'_, io::Result<Box<dyn Connection>>>;
}

/// The next frame; `None` when the other end has ended the connection between two.
async fn next_frame(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Option<Frame>> {
    loop {
        if let Some(frame) = Frame::take(buffer).map_err(invalid)? {
            return Ok(Some(frame));
        }
        // For a frame that has begun there is room for the rest of it already.
        if buffer.len() == buffer.capacity() {
            buffer.reserve(READ_BYTES);
        }
        if input.read_buf(buffer).await? == 0 {
            return match buffer.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
