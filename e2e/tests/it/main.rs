//! The promises of the README, each against a real process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod clients;
mod crash;
mod process;
mod whole;
