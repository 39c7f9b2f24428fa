//! The controllers: one for each kind.

pub(crate) mod delivery_stream;
pub(crate) mod others;
pub(crate) mod stream;
