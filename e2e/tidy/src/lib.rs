//! The rules of house style that a machine can check, as tests: `cargo tidy`.
//!
//! Formatting is rustfmt's, style clippy's; here is what they cannot know: which crate may use which,
//! where `unsafe` and io_uring may be named, files that no module includes, files that grew too long.

#[cfg(test)]
mod tests;
