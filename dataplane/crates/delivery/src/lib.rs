//! Brings records from streams to destinations, and loses none.
//!
//! ```text
//!  Group          a delivery stream at work: a worker for each shard that can be read
//!   └ worker      one shard, window by window: a piece that is delivered whole, and again if need be
//!      └ window   processes records, fills objects and batches, delivers them
//!         ├ store     objects into buckets
//!         ├ sinks     batches to services, attempt by attempt
//!         └ load      objects from their bucket into tables
//! ```
//!
//! A place in a shard is remembered when everything before it is delivered, or in the backup. While a
//! destination and the backup take nothing, nothing more is read.
//!
//! It opens connections to destinations, to who transforms records and to who describes their columns, and
//! to nobody else. What happens to records is decided in `delivery-core`. Once objects are delivered, `compaction` makes larger ones of them.

mod aws;
mod compaction;
mod group;
mod memory;
mod metrics;
mod object;
mod pipeline;
mod retry;
mod schema;
pub mod secrets;
pub mod sinks;
pub mod status;
mod store;
#[cfg(test)]
mod testing;
mod transform;
mod window;
mod worker;

pub use consumer::Share;
pub use group::{FindShard, Group, Sharing, Source, consumer_names};
pub use memory::Memory;
pub use metrics::Metrics;
pub use pipeline::{Context, SetupError, check, delivery_stream_arn};
pub use secrets::{MissingSecret, Secrets};
pub use sinks::stream::{StreamError, StreamPuts, StreamRecord, Streams};
pub use status::{Failing, Status, Statuses};
pub use store::{Bucket, ObjectStores, Putting, Store, StoreError, Stores};

/// An error and its sources in one line, for those who keep only the text.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
