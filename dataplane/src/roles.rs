//! The roles a process can have.

mod engine;
mod keeper;
pub(crate) mod standalone;
