//! Kinesis Data Streams, as AWS's service model 2013-12-02 has it: one file for each operation.
//!
//! An operation decodes its raw shape, checks every constraint of the model at once, then the rules
//! of the service one by one, and acts: on the catalog, or on a shard through its handle. What
//! happens to a record on its way is in [`routing`]; positions handed to clients are in [`token`];
//! records that are sent without being asked for go through [`feed`] and [`subscription`].
//!
//! It does not know sockets, signatures or where shards keep their records.

mod account;
mod api;
mod attached;
mod consumers;
mod encryption_ops;
mod errors;
mod event_memory;
mod feed;
mod heat;
mod metrics;
mod mode;
mod monitoring;
mod ops;
mod position;
mod resource;
mod rights;
mod routing;
mod shapes;
mod shards;
mod stream_ref;
mod subscription;
mod subscriptions;
mod token;

pub use api::{Answer, Api, ApiOptions, Identity, OPERATIONS, UNSUPPORTED};
pub use heat::Heat;
pub use metrics::Metrics;
pub use resource::account_meant;
pub use rights::{Right, Rights};
pub use routing::{Outgoing, Put};
pub use shards::{ByShard, ShardKey, Shards};
pub use subscription::Events;
pub use token::{Iterator as ShardIterator, TokenError};

/// For the fuzz targets: whatever `text` is, decoding it answers.
#[must_use]
pub fn decode_shard_iterator(text: &str) -> bool {
    token::Iterator::decode(text).is_ok()
}
