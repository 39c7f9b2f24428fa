//! From what went wrong inside to what AWS would say. The only place where that is decided.

use auth::{Caller, Verdict};
use aws_protocol::{ApiError, ErrorCode};
use catalog::{ChangeError, Phase, Stream};
use model::{ConsumerName, ShardId, StreamName};
use shard::Unavailable;

use crate::api::Identity;

pub(crate) fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidArgumentException, message)
}

pub(crate) fn access_denied(
    caller: &Caller,
    action: &str,
    arn: &str,
    verdict: Verdict,
) -> ApiError {
    let because = match verdict {
        Verdict::Deny => "with an explicit deny in a resource-based policy",
        _ => "because no resource-based policy allows the action",
    };
    ApiError::new(
        ErrorCode::AccessDeniedException,
        format!(
            "User: {} is not authorized to perform: {action} on resource: {arn} {because}",
            caller.arn()
        ),
    )
}

/// With DryRun, a request that would have been carried out ends here.
pub(crate) fn check_dry_run(dry_run: Option<bool>) -> Result<(), ApiError> {
    match dry_run {
        Some(true) => Err(ApiError::new(
            ErrorCode::DryRunOperationException,
            "The request would have succeeded, but it was rejected because the DryRun parameter was specified.",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn stream_not_found(name: &StreamName, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceNotFoundException,
        format!("Stream {name} under account {} not found.", identity.account),
    )
}

pub(crate) fn shard_not_found(shard: &str, name: &StreamName, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceNotFoundException,
        format!(
            "Could not find shard {shard} in stream {name} under account {}.",
            identity.account
        ),
    )
}

pub(crate) fn consumer_not_found(
    consumer: &ConsumerName,
    stream: &StreamName,
    identity: &Identity,
) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceNotFoundException,
        format!(
            "Consumer {consumer} of stream {stream} under account {} not found.",
            identity.account
        ),
    )
}

pub(crate) fn not_active(stream: &Stream, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ResourceInUseException,
        format!(
            "Stream {} under account {} not ACTIVE, instead in state {}",
            stream.name,
            identity.account,
            phase_name(stream.phase)
        ),
    )
}

pub(crate) fn rate_exceeded(shard: ShardId, name: &StreamName, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ProvisionedThroughputExceededException,
        format!(
            "Rate exceeded for shard {shard} in stream {name} under account {}.",
            identity.account
        ),
    )
}

/// As AWS when its KMS has no such key.
pub(crate) fn key_error(error: &dyn std::fmt::Display) -> ApiError {
    let message = format!("{error}. The key file is named by --encryption-key-file.");
    ApiError::new(ErrorCode::KmsNotFoundException, message)
}

/// Retried by every SDK: the shard comes back by itself.
pub(crate) fn unavailable(shard: ShardId, why: &Unavailable) -> ApiError {
    ApiError::new(
        ErrorCode::ServiceUnavailable,
        format!("Shard {shard} is unavailable: {why}. Nothing acknowledged is lost; try again."),
    )
}

pub(crate) fn reshard_takes_long(name: &StreamName, identity: &Identity) -> ApiError {
    ApiError::new(
        ErrorCode::ServiceUnavailable,
        format!(
            "Stream {name} under account {} is still being resharded; try again.",
            identity.account
        ),
    )
}

/// Only seen when whoever decides about rights cannot be asked.
pub(crate) fn rights_unknown() -> ApiError {
    ApiError::new(
        ErrorCode::ServiceUnavailable,
        "Whether this is allowed cannot be found out at the moment; try again.",
    )
}

/// The text stays inside; the request id leads to it.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(error = %error, "a request failed");
    ApiError::new(ErrorCode::InternalFailure, "Internal service failure.")
}

pub(crate) fn change(error: &ChangeError, identity: &Identity) -> ApiError {
    match error {
        ChangeError::Exists(name) => ApiError::new(
            ErrorCode::ResourceInUseException,
            format!("Stream {name} under account {} already exists.", identity.account),
        ),
        ChangeError::Missing(name) => stream_not_found(name, identity),
        ChangeError::Refused(what) => invalid_argument(what.clone()),
        ChangeError::Conflict(name) => ApiError::new(
            ErrorCode::ResourceInUseException,
            format!(
                "Stream {name} under account {} is being changed by another request.",
                identity.account
            ),
        ),
        ChangeError::AccountConflict => ApiError::new(
            ErrorCode::LimitExceededException,
            "The account settings are being changed by another request; try again.",
        ),
        ChangeError::Io(_) => internal(error),
    }
}

pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Creating => "CREATING",
        Phase::Active => "ACTIVE",
        Phase::Updating => "UPDATING",
        Phase::Deleting => "DELETING",
    }
}
