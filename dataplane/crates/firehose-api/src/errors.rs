//! From what went wrong inside to what AWS would say. The only place where that is decided.

use auth::Caller;
use aws_protocol::{ApiError, ErrorCode};
use catalog::ChangeError;
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use model::StreamName;
use operator_core::SpecError;

use crate::api::Identity;
use crate::intake::PutError;

/// What is wrong with a spec beyond this is not told: a spec may be large.
const SPEC_ERRORS_MAX: usize = 10;

pub(crate) fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidArgumentException, message)
}

pub(crate) fn limit_exceeded(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::LimitExceededException, message)
}

/// The resource has rules of its own, which speak of its own fields.
pub(crate) fn invalid_spec(errors: &[SpecError]) -> ApiError {
    let told: Vec<String> = errors.iter().take(SPEC_ERRORS_MAX).map(SpecError::to_string).collect();
    invalid_argument(told.join("; "))
}

pub(crate) fn access_denied(caller: &Caller, action: &str, arn: &str) -> ApiError {
    ApiError::new(
        ErrorCode::AccessDeniedException,
        format!("User: {} is not authorized to perform: {action} on resource: {arn}", caller.arn()),
    )
}

/// Only seen when whoever decides about rights cannot be asked.
pub(crate) fn rights_unknown() -> ApiError {
    ApiError::new(
        ErrorCode::ServiceUnavailableException,
        "Whether this is allowed cannot be found out at the moment; try again.",
    )
}

pub(crate) fn not_found(name: &StreamName, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceNotFoundException,
        format!("Firehose {name} under account {} not found.", identity.account),
    )
}

pub(crate) fn not_active(stream: &DeliveryStream, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceInUseException,
        format!(
            "Firehose {} under account {} not ACTIVE, instead in state {}",
            stream.name,
            identity.account,
            status(stream.phase)
        ),
    )
}

pub(crate) fn other_version(stream: &DeliveryStream, given: &str) -> ApiError {
    ApiError::new(
        ErrorCode::ConcurrentModificationException,
        format!(
            "Cannot update firehose: {} since the current version id: {} and specified version id: {given} do not match",
            stream.name, stream.destination_version
        ),
    )
}

/// As AWS when its KMS has no such key.
pub(crate) fn no_key(key: &str) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidKmsResourceException,
        format!(
            "Key {key} does not exist: it is not in the key file, which is named by --encryption-key-file."
        ),
    )
}

/// The text stays inside; the request id leads to it.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(error = %error, "a request failed");
    ApiError::new(ErrorCode::InternalFailure, "Internal service failure.")
}

pub(crate) fn put(error: PutError) -> ApiError {
    match error {
        PutError::Unavailable(what) => ApiError::new(ErrorCode::ServiceUnavailableException, what),
        PutError::Key(what) => ApiError::new(ErrorCode::InvalidKmsResourceException, what),
        PutError::Failed(what) => internal(&what),
    }
}

pub(crate) fn change(error: &ChangeError, identity: &Identity) -> ApiError {
    let account = &identity.account;
    match error {
        ChangeError::Exists(name) => ApiError::new(
            ErrorCode::ResourceInUseException,
            format!("Firehose {name} under account {account} already exists."),
        ),
        ChangeError::Missing(name) => not_found(name, identity),
        ChangeError::Refused(what) => invalid_argument(what.clone()),
        ChangeError::Conflict(name) => ApiError::new(
            ErrorCode::ResourceInUseException,
            format!("Firehose {name} under account {account} is being changed by another request."),
        ),
        // Nothing here changes the account.
        ChangeError::AccountConflict | ChangeError::Io(_) => internal(error),
    }
}

/// As the service model's DeliveryStreamStatus.
pub(crate) fn status(phase: DeliveryPhase) -> &'static str {
    match phase {
        DeliveryPhase::Creating => "CREATING",
        DeliveryPhase::Active => "ACTIVE",
        DeliveryPhase::Deleting => "DELETING",
    }
}
