//! The roles a process can have.

pub(crate) mod delivery;
mod engine;
pub(crate) mod gateway;
mod groups;
mod intake;
mod keeper;
mod own_streams;
mod route;
pub(crate) mod seccomp;
pub(crate) mod standalone;
pub(crate) mod stream;
