//! The roles a process can have.

mod engine;
pub(crate) mod gateway;
mod groups;
mod keeper;
pub(crate) mod seccomp;
pub(crate) mod standalone;
pub(crate) mod stream;
