//! Refusals, by AWS's names and in AWS's words.

/// Why a request is not let in. Each variant is one AWS error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not signed at all.
    #[error("Missing Authentication Token")]
    MissingAuthenticationToken,
    /// Signed, but parts of the signature are missing or not understood.
    #[error("{0}")]
    IncompleteSignature(String),
    /// The signature is not that of this request, or its time is not now.
    #[error("{0}")]
    InvalidSignature(String),
    /// No such access key.
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
    /// A presigned request past its time.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl AuthError {
    /// The AWS error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AuthError::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            AuthError::IncompleteSignature(_) => "IncompleteSignatureException",
            AuthError::InvalidSignature(_) => "InvalidSignatureException",
            AuthError::UnrecognizedClient => "UnrecognizedClientException",
            AuthError::ExpiredToken => "ExpiredTokenException",
        }
    }
}
