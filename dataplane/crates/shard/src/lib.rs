//! The shard engine.
//!
//! ```text
//!  any thread                 |  one pinned thread per log runtime, many shards on each
//!                             |
//!  ShardHandle::append  ──────┼─► writes ─► actor: everything that waits becomes one commit
//!                             |              └─► ReplicaGroup: propose ... commit ─► shard_log::Writer
//!  ShardHandle::progress ◄────┼── commit_end, closed
//!  ShardHandle::read    ──────┼─► reads ──► reader: committed records only, waits at the tip
//! ```
//!
//! - A shard is an *actor*: its own task, a bounded mailbox, no locks. Its tasks share nothing with
//!   other shards but the thread.
//! - What it replicates is a tiny state machine ([`Machine`]): the log's end, whether it is closed,
//!   and the consumers' checkpoints.
//! - It writes through a seam, `group::ReplicaGroup`: propose entries, learn what is committed. The
//!   single-member group commits by `fdatasync`; consensus goes under the same seam.
//! - Whatever fails on disk fails one shard: it refuses writes with the reason, goes on reading what
//!   it can, and reopens its log with back-off. A failed sync is never retried.
//!
//! A handle may also stand for a shard in another process ([`peers`]): whoever holds it cannot tell.
//!
//! It does not know what JSON, HTTP or AWS are, nor which shards make up a stream.

mod actor;
mod clock;
mod engine;
mod error;
mod group;
mod handle;
mod leases;
mod machine;
mod metrics;
pub mod peers;
mod reads;
mod throttle;

pub use clock::SystemClock;
pub use engine::{Engine, EngineOptions, StartError};
pub use error::{AppendError, CloseError, OpenError, ReadError, Unavailable};
pub use handle::{
    Appended, OwnedRecord, Progress, ReadReply, ReadRequest, Retention, ShardHandle, ShardOptions,
    Throughput,
};
pub use leases::{Claim, LEASE, Lease};
pub use machine::{CONSUMERS_MAX, Machine};
pub use metrics::Metrics;
