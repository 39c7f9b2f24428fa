//! Secrets that resources refer to.

use operator_api::pods::SecretRef;

/// A secret that is referred to cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no entry {key} in Secret {name}: create it")]
pub struct MissingSecret {
    /// The Secret.
    pub name: String,
    /// The entry.
    pub key: String,
}

/// Where secrets are looked up.
pub trait Secrets: Send + Sync {
    /// The entry's bytes, as of now.
    ///
    /// # Errors
    /// When there is none.
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret>;
}
