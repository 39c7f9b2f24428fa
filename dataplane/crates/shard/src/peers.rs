//! Shards in other processes: the node-to-node protocol, spoken over any connection.
//!
//! ```text
//!  remote(..) ─► ShardHandle ─► proxy ─┐
//!  remote(..) ─► ShardHandle ─► proxy ─┼─► Peer ══ connection ══► serve ─► Host ─► ShardHandle
//!  operator ───────────────────────────┘     connects again when it is lost
//! ```
//!
//! Connections are made elsewhere: this knows frames, not addresses or certificates.

mod client;
mod convert;
mod proxy;
mod server;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

pub use client::{Peer, PeerError};
pub use proxy::remote;
pub use server::{Host, ServeOptions, serve};

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
