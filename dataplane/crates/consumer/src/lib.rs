//! Reads a stream as one consumer among others: parents before children, from where it left off.
//!
//! How far it has come is kept by the shards themselves, with the durability of their records
//! ([`ShardHandle::set_checkpoint`](shard::ShardHandle::set_checkpoint)), so it needs no database.
//!
//! A consumer that starts at the latest record starts at a time: that of its own creation. So it starts
//! at the same record however often it is stopped before it first remembers a place, and shards that were
//! made of others meanwhile are read from their beginning.
//!
//! Several processes share a stream: each shard has a lease, and its holder alone sets checkpoints.
//!
//! It does not know who calls it, nor what becomes of the records.

mod held;
mod lineage;
mod reader;
mod share;

pub use held::{Held, Hold};
pub use lineage::readable;
pub use reader::{Names, ReaderError, Reading, ShardReader, Start};
pub use share::Share;
