//! The nouns and laws of Leat.
//!
//! Everything here is a value or a pure function: no clock, no socket, no file, no randomness, so
//! that the operator, the data plane and a simulator all reach the same conclusions from the same
//! inputs. A type's constructor refuses nonsense; nobody downstream checks again.

mod offset;
mod time;

pub use offset::Offset;
pub use time::{Clock, UnixMillis};
