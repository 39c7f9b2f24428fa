//! The custom resources leat.dev/v1alpha1.
