//! The roles a process can have.

pub(crate) mod standalone;
