//! What the listings share: tokens that expire, and streams told from later ones of their name.

use aws_protocol::{ApiError, ErrorCode, Timestamp};
use catalog::Stream;
use model::limits::NEXT_TOKEN_LIFETIME;

use crate::api::Api;
use crate::errors::{invalid_argument, stream_not_found};
use crate::token;

/// The parts of a NextToken that has not expired.
pub(super) fn decode_token<const N: usize>(api: &Api, text: &str) -> Result<[String; N], ApiError> {
    let (parts, issued) = token::decode_page(text).map_err(|_| invalid_token(text))?;
    if issued.saturating_add(NEXT_TOKEN_LIFETIME) < api.now() {
        return Err(ApiError::new(
            ErrorCode::ExpiredNextTokenException,
            "The NextToken is older than 300 seconds. Start the listing again.",
        ));
    }
    Ok(parts)
}

pub(super) fn invalid_token(token: &str) -> ApiError {
    let shown: String = token.chars().take(64).collect();
    invalid_argument(format!("Invalid NextToken {shown}"))
}

/// With a StreamCreationTimestamp, only the stream created then is meant.
pub(super) fn check_created(
    api: &Api,
    stream: &Stream,
    timestamp: Option<Timestamp>,
) -> Result<(), ApiError> {
    match timestamp {
        Some(at) if !is_created(stream, at) => Err(stream_not_found(&stream.name, api.identity())),
        _ => Ok(()),
    }
}

/// To the second, as clients print it.
fn is_created(stream: &Stream, at: Timestamp) -> bool {
    stream.created.as_seconds() == at.0.as_seconds()
}
