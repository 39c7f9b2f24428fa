//! Deliveries of real shards, stopped anywhere and set to work again, to stores and services that fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod anew;
mod home;
mod once;
