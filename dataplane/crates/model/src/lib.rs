//! The nouns and laws of Leat.
//!
//! Everything here is a value or a pure function: no clock, no socket, no file, no randomness, so
//! that the operator, the data plane and a simulator all reach the same conclusions from the same
//! inputs. A type's constructor refuses nonsense; nobody downstream checks again.

mod delivery;
mod hash_key;
pub mod limits;
mod names;
mod offset;
mod plan;
pub mod quota;
mod scale;
mod sequence_number;
mod shard_map;
mod time;

pub use delivery::{DeliveryRecord, Origin};
pub use hash_key::{HashKey, HashKeyRange, ParseHashKeyError};
pub use names::{ConsumerName, NameError, ParseShardIdError, ShardId, StreamName};
pub use offset::Offset;
pub use plan::{Boundaries, BoundariesError, Reshard, plan};
pub use scale::{Passed, ScaleLimits, ShardLoad, scale};
pub use sequence_number::{Place, SequenceNumber, SequenceNumberError};
pub use shard_map::{Shard, ShardMap, ShardMapError, ShardState};
pub use time::{Clock, UnixMillis};
