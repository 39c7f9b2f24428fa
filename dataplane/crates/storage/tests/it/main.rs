//! What every storage promises, over all of them; and what only the simulation can show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod conformance;
mod faults;
