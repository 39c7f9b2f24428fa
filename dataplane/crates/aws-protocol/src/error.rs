//! Errors as AWS sends them.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use crate::codec::{Encoding, encode};

/// An error by its AWS name. What a client does about it follows from the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are AWS's and documented there")]
pub enum ErrorCode {
    AccessDeniedException,
    ConcurrentModificationException,
    DryRunOperationException,
    ExpiredIteratorException,
    ExpiredNextTokenException,
    ExpiredTokenException,
    IncompleteSignatureException,
    InternalFailure,
    InternalFailureException,
    InvalidArgumentException,
    InvalidKmsResourceException,
    InvalidSignatureException,
    InvalidSourceException,
    KmsNotFoundException,
    LimitExceededException,
    MissingAuthenticationTokenException,
    ProvisionedThroughputExceededException,
    RequestEntityTooLarge,
    ResourceInUseException,
    ResourceNotFoundException,
    SerializationException,
    ServiceUnavailable,
    ServiceUnavailableException,
    UnknownOperationException,
    UnrecognizedClientException,
    ValidationException,
}

impl ErrorCode {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status it is sent with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    fn row(self) -> (&'static str, StatusCode) {
        use ErrorCode as E;
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            E::AccessDeniedException => ("AccessDeniedException", BAD),
            E::ConcurrentModificationException => ("ConcurrentModificationException", BAD),
            E::DryRunOperationException => ("DryRunOperationException", BAD),
            E::ExpiredIteratorException => ("ExpiredIteratorException", BAD),
            E::ExpiredNextTokenException => ("ExpiredNextTokenException", BAD),
            E::ExpiredTokenException => ("ExpiredTokenException", BAD),
            E::IncompleteSignatureException => ("IncompleteSignatureException", BAD),
            E::InternalFailure => ("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR),
            // The same within an event stream, where the service model has a name for it.
            E::InternalFailureException => {
                ("InternalFailureException", StatusCode::INTERNAL_SERVER_ERROR)
            }
            E::InvalidArgumentException => ("InvalidArgumentException", BAD),
            E::InvalidKmsResourceException => ("InvalidKMSResourceException", BAD),
            E::InvalidSignatureException => ("InvalidSignatureException", BAD),
            E::InvalidSourceException => ("InvalidSourceException", BAD),
            E::KmsNotFoundException => ("KMSNotFoundException", BAD),
            E::LimitExceededException => ("LimitExceededException", BAD),
            E::MissingAuthenticationTokenException => ("MissingAuthenticationTokenException", BAD),
            E::ProvisionedThroughputExceededException => {
                ("ProvisionedThroughputExceededException", BAD)
            }
            E::RequestEntityTooLarge => ("RequestEntityTooLarge", StatusCode::PAYLOAD_TOO_LARGE),
            E::ResourceInUseException => ("ResourceInUseException", BAD),
            E::ResourceNotFoundException => ("ResourceNotFoundException", BAD),
            E::SerializationException => ("SerializationException", BAD),
            E::ServiceUnavailable => ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
            // The same where the service model has a name for it.
            E::ServiceUnavailableException => {
                ("ServiceUnavailableException", StatusCode::SERVICE_UNAVAILABLE)
            }
            E::UnknownOperationException => ("UnknownOperationException", BAD),
            E::UnrecognizedClientException => ("UnrecognizedClientException", BAD),
            E::ValidationException => ("ValidationException", BAD),
        }
    }
}

/// An error for the client: what AWS would have said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct ApiError {
    /// Its AWS name.
    pub code: ErrorCode,
    /// Its text.
    pub message: String,
}

impl ApiError {
    /// An error of this name and text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into() }
    }

    /// The body.
    #[must_use]
    pub fn body(&self, encoding: Encoding) -> Bytes {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(rename = "__type")]
            name: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<&'a str>,
            #[serde(rename = "Message", skip_serializing_if = "Option::is_none")]
            capital_message: Option<&'a str>,
        }
        let message = Some(self.message.as_str()).filter(|message| !message.is_empty());
        // AWS writes this one member with a capital M, and some clients look for that.
        let is_capital = self.code == ErrorCode::SerializationException;
        encode(
            encoding,
            &Body {
                name: self.code.name(),
                message: message.filter(|_| !is_capital),
                capital_message: message.filter(|_| is_capital),
            },
        )
    }
}

impl From<auth::AuthError> for ApiError {
    fn from(error: auth::AuthError) -> ApiError {
        use auth::AuthError as A;
        let code = match &error {
            A::MissingAuthenticationToken => ErrorCode::MissingAuthenticationTokenException,
            A::IncompleteSignature(_) => ErrorCode::IncompleteSignatureException,
            A::InvalidSignature(_) => ErrorCode::InvalidSignatureException,
            A::UnrecognizedClient => ErrorCode::UnrecognizedClientException,
            A::ExpiredToken => ErrorCode::ExpiredTokenException,
        };
        ApiError::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_those_of_aws() {
        let check = |code, want: &str| {
            assert_eq!(ApiError::new(code, "so \"it\" is").body(Encoding::Json), want.as_bytes());
        };
        check(
            ErrorCode::ResourceNotFoundException,
            r#"{"__type":"ResourceNotFoundException","message":"so \"it\" is"}"#,
        );
        check(
            ErrorCode::SerializationException,
            r#"{"__type":"SerializationException","Message":"so \"it\" is"}"#,
        );
        let silent = ApiError::new(ErrorCode::UnknownOperationException, "");
        assert_eq!(
            silent.body(Encoding::Json),
            r#"{"__type":"UnknownOperationException"}"#.as_bytes()
        );
    }
}
