//! What custom resources mean, as pure functions: no client, no clock, no file.

mod manifest;
mod validate;

pub use manifest::{ManifestError, parse_manifests};
pub use validate::{SpecError, ValidStream, validate};
