//! The controllers: one for each kind.

pub(crate) mod others;
pub(crate) mod stream;
