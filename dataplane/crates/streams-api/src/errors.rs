//! From what went wrong inside to what AWS would say. The only place where that is decided.

use aws_protocol::{ApiError, ErrorCode};
use catalog::{ChangeError, Phase, Stream};
use model::{ConsumerName, ShardId, StreamName};
use shard::Unavailable;

use crate::api::Identity;

pub(crate) fn invalid_argument(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidArgumentException, message)
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
