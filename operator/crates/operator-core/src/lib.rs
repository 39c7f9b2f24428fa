//! Validation and rendering of the custom resources, as pure functions.
