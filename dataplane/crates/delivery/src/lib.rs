//! Brings records from streams to destinations, and loses none.
//!
//! It opens connections to destinations, and to nobody else.

pub mod secrets;
pub mod sinks;
