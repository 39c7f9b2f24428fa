//! What happens to records on their way to a destination, as values and pure functions.
//!
//! ```text
//!  source records ─► processing   taken apart, unpacked, transformed, keyed, delimited
//!                 ─► objects      keys, compression, documents about what was refused
//! ```
//!
//! No socket, no clock, no randomness: the same records give the same objects under the same keys, each
//! time they are read, which is why a delivery that is repeated after a crash overwrites itself.

pub mod backoff;
pub mod guid;
pub mod objects;
pub mod processing;

use model::UnixMillis;

/// A time as RFC 3339 writes it, as in 2026-11-24T08:00:00Z; none before 1970.
#[must_use]
pub fn timestamp(text: &str) -> Option<UnixMillis> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(UnixMillis)
}
