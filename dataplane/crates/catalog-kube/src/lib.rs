//! The catalog on Kubernetes: streams and delivery streams are custom resources, watched by every gateway
//! and every pod.
//!
//! ```text
//!  API server ──watch──► Watched: all of a namespace, or of all ──► view of a namespace: Entries
//!                            │                                        │ create, replace, remove
//!                            ▼                                        ▼
//!                        copy on disk                            API server
//! ```
//!
//! Reads come from memory, so a lost API server stops nothing but changes; the copy on disk is for a
//! process that starts while it is lost. What is written here is seen here at once.
//!
//! This is the only library of the data plane with a client of Kubernetes; roles have others, for access keys,
//! rights, secrets and what they tell.

mod convert;
mod copy;
mod delivery;
mod namespace;
mod pause;
mod watched;

use operator_api::{DeliveryStream, Stream};

pub use delivery::{DeliveryNamespace, SourceStreams};
pub use namespace::Namespace;
pub use pause::WatchPause;
pub use watched::{Edit, Kind, Placed, WatchError, Watched};

/// Streams, watched.
pub type Streams = Watched<Stream>;
/// Delivery streams, watched.
pub type DeliveryStreams = Watched<DeliveryStream>;
/// The catalog of one namespace.
pub type NamespaceCatalog = Namespace<Stream>;
