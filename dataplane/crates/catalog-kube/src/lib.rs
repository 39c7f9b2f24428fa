//! The catalog on Kubernetes: streams are custom resources, watched by every gateway and every pod.
//!
//! ```text
//!  API server ──watch──► Streams: all of a namespace, or of all ──► view of a namespace: Catalog
//!                            │                                        │ create, replace, remove
//!                            ▼                                        ▼
//!                        copy on disk                            API server
//! ```
//!
//! Reads come from memory, so a lost API server stops nothing but changes; the copy on disk is for a
//! process that starts while it is lost. What is written here is seen here at once.
//!
//! This is the only library of the data plane with a client of Kubernetes; the gateway has another, for
//! access keys and rights.

mod convert;
mod copy;
mod pause;
mod streams;
mod view;

pub use pause::WatchPause;
pub use streams::{Placed, Streams, StreamsError};
pub use view::NamespaceCatalog;
