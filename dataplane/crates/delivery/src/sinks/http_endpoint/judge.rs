//! What an endpoint's reply means for the records of its request.

use std::time::Duration;

use model::UnixMillis;
use serde::Deserialize;

use crate::sinks::Failure;
use crate::sinks::client::{Reply, TransferError};

/// As AWS: no reply is larger.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// What became of a request's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The endpoint has them.
    Delivered,
    /// It will never take them.
    Refused(Failure),
    /// It may take them later, after the time it asked for.
    Again(Failure, Option<Duration>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    request_id: Option<String>,
    timestamp: Option<serde_json::Number>,
}

pub(super) fn judge(request_id: &str, reply: &Reply, now: UnixMillis) -> Verdict {
    let received = || {
        let text = reply.text();
        let said = "The following response was received from the endpoint destination.";
        Failure::new("HttpEndpoint.DestinationException", &format!("{said} {text}"))
    };
    match reply.status {
        413 => Verdict::Refused(received()),
        _ if reply.is_cut => {
            let message = "The response received from the endpoint is larger than 1 MiB.";
            Verdict::Again(Failure::new("HttpEndpoint.ResponseTooLarge", message), None)
        }
        200 => match violation(request_id, reply) {
            None => Verdict::Delivered,
            Some(violation) => {
                let message = format!(
                    "The response received from the specified endpoint is invalid: {violation}. \
                     Raw response received: {}",
                    reply.text()
                );
                let code = "HttpEndpoint.InvalidResponseFromDestination";
                Verdict::Again(Failure::new(code, &message), None)
            }
        },
        _ => Verdict::Again(received(), reply.pause(now)),
    }
}

/// Where a reply departs from the contract. Only one that does not is sure to come from an endpoint
/// that has the records, and not from something between.
fn violation(request_id: &str, reply: &Reply) -> Option<&'static str> {
    let media_type = reply.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Some("its Content-Type is not application/json");
    }
    if reply.headers.contains_key("content-encoding") {
        return Some("it has a Content-Encoding");
    }
    if !reply.headers.contains_key("content-length") {
        return Some("it has no Content-Length");
    }
    let answer = serde_json::from_slice::<Answer>(&reply.body).ok();
    // An array of what an object's keys hold would be read as well.
    let is_object = reply.body.trim_ascii_start().starts_with(b"{");
    let Some(answer) = answer.filter(|_| is_object) else {
        return Some("it is not recognized as valid JSON");
    };
    match answer.request_id {
        None => return Some("it has no requestId"),
        Some(id) if id != request_id => return Some("its requestId is not that of the request"),
        Some(_) => {}
    }
    answer.timestamp.is_none().then_some("it has no timestamp")
}

/// Nobody said anything: the endpoint may take the records later.
pub(super) fn failure(error: &TransferError) -> Failure {
    let code = match error {
        TransferError::Secret(_) => "MissingSecret",
        TransferError::Timeout => "HttpEndpoint.RequestTimeout",
        TransferError::Lost(_) => "HttpEndpoint.ConnectionReset",
        TransferError::Tls { .. } | TransferError::Authorities(_) => {
            "HttpEndpoint.SSLHandshakeFailure"
        }
        TransferError::Connect(_)
        | TransferError::ConnectTimeout
        | TransferError::Request(_)
        | TransferError::Credentials(_) => "HttpEndpoint.ConnectionFailed",
    };
    Failure::new(code, &error.to_string())
}

#[cfg(test)]
mod tests;
