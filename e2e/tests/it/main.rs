//! The promises of the README, each against a real process.

mod bad_input;
mod clients;
mod crash;
mod process;
