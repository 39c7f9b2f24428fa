//! What the collector's replies mean.
//!
//! Codes are those that AWS gives; the numbers in replies are Splunk's own.

use std::collections::BTreeMap;
use std::time::Duration;

use model::UnixMillis;
use serde::Deserialize;

use crate::sinks::Failure;
use crate::sinks::client::{Reply, TransferError};

pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// What became of a request with records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// The collector has read it, and will acknowledge it by this id.
    Accepted(u64),
    /// The collector has read it, and will never acknowledge it.
    Unacknowledged(Failure),
    /// Some record in it will never be taken.
    Spoiled(Failure),
    /// It may be taken later, after the time the collector asked for.
    Again(Failure, Option<Duration>),
}

/// What became of a question for acknowledgments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    /// These are indexed.
    Acknowledged(Vec<u64>),
    /// No answer, but there may be one later.
    NotNow,
    /// There will never be one.
    Never(Failure),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    code: Option<u64>,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
    acks: Option<BTreeMap<String, bool>>,
}

impl Answer {
    fn of(reply: &Reply) -> Answer {
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }
}

pub(super) fn posted(reply: &Reply, is_event: bool, now: UnixMillis) -> Posted {
    let answer = Answer::of(reply);
    let again = |code| Posted::Again(Failure::new(code, &reply.text()), reply.pause(now));
    let spoiled = |code| Posted::Spoiled(Failure::new(code, &reply.text()));
    match (reply.status, answer.code) {
        (200, Some(0)) => match answer.ack_id {
            Some(ack_id) => Posted::Accepted(ack_id),
            None => Posted::Unacknowledged(disabled_ack(reply)),
        },
        (_, Some(14)) => Posted::Unacknowledged(disabled_ack(reply)),
        (_, Some(1 | 22)) => again("Splunk.DisabledToken"),
        (_, Some(2 | 3 | 4 | 16 | 21)) | (401 | 403, _) => again("Splunk.InvalidToken"),
        // No data, invalid format, no event, blank event, invalid indexed fields.
        (_, Some(5 | 6 | 12 | 13 | 15)) => spoiled("Splunk.InvalidDataFormat"),
        // An event may name its index; else the index is the token's, and no record is to blame.
        (_, Some(7)) if is_event => spoiled("Splunk.InvalidIndex"),
        (_, Some(7)) => again("Splunk.InvalidIndex"),
        // Another collector has the channel, or none.
        (_, Some(10 | 11)) => again("Splunk.ProxyWithoutStickySessions"),
        (413, _) => spoiled("Splunk.InvalidDataFormat"),
        (_, Some(9 | 18..=20 | 23 | 26 | 27)) | (429 | 503, _) => again("Splunk.IndexerBusy"),
        (300..=399 | 404 | 405, _) => again("Splunk.InvalidEndpoint"),
        _ => again("Splunk.ServerError"),
    }
}

pub(super) fn polled(reply: &Reply) -> Polled {
    let answer = Answer::of(reply);
    let never = |code| Polled::Never(Failure::new(code, &reply.text()));
    match (reply.status, answer.code, answer.acks) {
        (200, _, Some(acks)) => {
            let acknowledged = acks.into_iter().filter(|(_, is_indexed)| *is_indexed);
            Polled::Acknowledged(acknowledged.filter_map(|(id, _)| id.parse().ok()).collect())
        }
        (_, Some(14), _) => Polled::Never(disabled_ack(reply)),
        (_, Some(10 | 11), _) => never("Splunk.ProxyWithoutStickySessions"),
        (_, Some(1 | 22), _) => never("Splunk.DisabledToken"),
        (401 | 403, _, _) | (_, Some(2 | 3 | 4 | 16 | 21), _) => never("Splunk.InvalidToken"),
        _ => Polled::NotNow,
    }
}

fn disabled_ack(reply: &Reply) -> Failure {
    let message = format!(
        "Indexer acknowledgement is disabled for the HEC token: enable it. The collector said {}",
        reply.text()
    );
    Failure::new("Splunk.DisabledAck", &message)
}

pub(super) fn not_acknowledged() -> Failure {
    let message = "Did not receive an acknowledgement from HEC before the HEC acknowledgement \
                   timeout expired. The data may have been indexed all the same.";
    Failure::new("Splunk.AckTimeout", message)
}

pub(super) fn no_events() -> Failure {
    let message = "The record is not made of JSON objects with something in event.";
    Failure::new("Splunk.InvalidDataFormat", message)
}

/// Nobody said anything: the collector may take the records later.
pub(super) fn failure(error: &TransferError) -> Failure {
    let code = match error {
        TransferError::Secret(_) => "MissingSecret",
        TransferError::ConnectTimeout | TransferError::Timeout => "Splunk.ConnectionTimeout",
        TransferError::Lost(_) => "Splunk.ConnectionClosed",
        TransferError::Tls { is_wrong_name: true, .. } => "Splunk.SSLUnverified",
        TransferError::Tls { .. } | TransferError::Authorities(_) => "Splunk.SSLHandshake",
        TransferError::Connect(_) | TransferError::Request(_) | TransferError::Credentials(_) => {
            "Splunk.InvalidEndpoint"
        }
    };
    Failure::new(code, &error.to_string())
}

#[cfg(test)]
mod tests;
