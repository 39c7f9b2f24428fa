//! Bodies of requests, which must come in time and not be too large, whatever they say of themselves.

use std::io::Read;
use std::time::Duration;

use aws_protocol::{ApiError, ErrorCode};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::BODY_BYTES_MAX;

/// How long a client may take for a body.
pub(super) const BODY_READ_MAX: Duration = Duration::from_secs(120);
/// The same for one whose size is not known before: others of this kind wait for their turn.
pub(super) const UNSIZED_READ_MAX: Duration = Duration::from_secs(10);
/// How long those wait.
pub(super) const UNSIZED_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a client may send nothing in the middle of a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// All of it, if it comes in time.
pub(super) async fn read_body(mut body: Incoming, time: Duration) -> Result<Bytes, ApiError> {
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(BODY_PAUSE_MAX, body.frame()).await;
            let Some(frame) = frame.map_err(|_| too_slow())? else {
                break;
            };
            let frame = frame.map_err(|_| cut_short())?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if BODY_BYTES_MAX < whole.len() + data.len() {
                return Err(too_large());
            }
            // Most bodies come in one piece, which then need not be copied.
            match (first.take(), whole.is_empty()) {
                (None, true) => first = Some(data),
                (Some(earlier), _) => {
                    let more = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
                    let length = (earlier.len() + data.len()).saturating_add(more);
                    whole.reserve(length.min(BODY_BYTES_MAX));
                    whole.extend_from_slice(&earlier);
                    whole.extend_from_slice(&data);
                }
                (None, false) => whole.extend_from_slice(&data),
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    };
    let read = tokio::time::timeout(time, reading).await;
    read.unwrap_or_else(|_| Err(too_slow()))
}

/// Whether the body is compressed: with gzip, the only way there is.
pub(super) fn is_compressed(headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    match encoding.to_str().unwrap_or_default().trim() {
        "gzip" => Ok(true),
        "" | "identity" => Ok(false),
        other => Err(ApiError::new(
            ErrorCode::SerializationException,
            format!("Content-Encoding {other} is not supported; send gzip or none."),
        )),
    }
}

/// What a gzip body holds, unless that is too large: never more than that is decompressed.
pub(super) fn decompress(body: &[u8]) -> Result<Bytes, ApiError> {
    let mut whole = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    let read = MultiGzDecoder::new(body).take(limit).read_to_end(&mut whole);
    match read {
        Ok(length) if BODY_BYTES_MAX < length => Err(too_large()),
        Ok(_) => Ok(whole.into()),
        Err(_) => Err(ApiError::new(
            ErrorCode::SerializationException,
            "The request body is not gzip, as its Content-Encoding says.",
        )),
    }
}

pub(super) fn too_large() -> ApiError {
    let message = format!("The request is larger than {} MiB.", BODY_BYTES_MAX >> 20);
    ApiError::new(ErrorCode::RequestEntityTooLarge, message)
}

/// Clients try again after this: it may have been the network.
fn too_slow() -> ApiError {
    ApiError::new(ErrorCode::ServiceUnavailable, "The request body did not come in time.")
}

pub(super) fn too_many_unsized() -> ApiError {
    let message = "Too many requests in chunks or compressed at a time: send Content-Length and no Content-Encoding, or try again.";
    ApiError::new(ErrorCode::ServiceUnavailable, message)
}

fn cut_short() -> ApiError {
    ApiError::new(ErrorCode::SerializationException, "The request body ended early.")
}
