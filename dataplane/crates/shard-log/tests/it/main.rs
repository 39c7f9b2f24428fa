//! The log against a model, on the simulated disk: whatever is appended, synced, trimmed, truncated
//! and crashed, what is read is what the model says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod damage;
mod model_test;
mod run;
