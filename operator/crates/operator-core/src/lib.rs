//! What custom resources mean, as pure functions: no client, no clock, no file.

mod manifest;
mod validate;

pub use manifest::{Manifest, ManifestError, parse_manifests};
pub use validate::{
    SpecError, ValidStream, validate, validate_analytics_app, validate_delivery_stream,
    validate_video_stream,
};
