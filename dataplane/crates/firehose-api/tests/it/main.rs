//! Requests and what they are answered, on a catalog in memory and an intake that is told what to say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod create;
mod describe;
mod fixture;
mod life;
mod put;
mod refusals;
mod update;
