//! The log against a model, on the simulated disk: whatever is appended, synced, trimmed, truncated
//! and crashed, what is read is what the model says.

mod damage;
mod model_test;
mod run;
