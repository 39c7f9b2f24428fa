//! What the reply to a bulk request means for each of its documents.
//!
//! Codes are as AWS writes them: the HTTP status, or a name where nothing has one.

use std::time::Duration;

use model::UnixMillis;
use serde::Deserialize;
use serde_json::Value;

use super::request::Operation;
use crate::sinks::Failure;
use crate::sinks::client::{Reply, TransferError};

/// 5,000 documents, each with an error of 3 KiB.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Each document has its own fate.
    Items(Vec<Fate>),
    /// Fewer documents may be taken.
    TooLarge(Failure),
    /// No document was taken; all may be later, after the time the cluster asked for.
    Again(Failure, Option<Duration>),
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is stored.
    Done,
    /// It may be taken later.
    Again(Failure),
    /// It will never be taken.
    Refused(Failure),
    /// It may be taken with [`Operation::Create`].
    NeedsCreate,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(alias = "create")]
    index: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
    #[serde(default)]
    error: Value,
}

pub(super) fn judge(reply: &Reply, operation: Operation, sent: usize, now: UnixMillis) -> Verdict {
    let said = || Failure::new(reply.status.to_string(), &reply.text());
    match reply.status {
        200..=299 if reply.is_cut => {
            let message = format!("The reply to {sent} documents is larger than 16 MiB.");
            Verdict::TooLarge(Failure::new("OS.ServiceException", &message))
        }
        200..=299 => match serde_json::from_slice::<Answer>(&reply.body) {
            Ok(Answer { items }) if items.len() == sent => {
                let outcomes = items.into_iter().map(|item| item.index);
                Verdict::Items(outcomes.map(|outcome| fate(&outcome, operation)).collect())
            }
            Ok(Answer { items }) => {
                let message = format!("The reply to {sent} documents has {} entries.", items.len());
                Verdict::Again(Failure::new("OS.ResponseEntryCountMismatch", &message), None)
            }
            Err(_) => Verdict::Again(Failure::new("OS.ServiceException", &reply.text()), None),
        },
        413 => Verdict::TooLarge(said()),
        // The cluster cannot do it now, or it is set up otherwise than the resource says. No record
        // is to blame.
        _ => Verdict::Again(said(), reply.pause(now)),
    }
}

fn fate(outcome: &Outcome, operation: Operation) -> Fate {
    let failure = || Failure::new(outcome.status.to_string(), &outcome.error.to_string());
    match (outcome.status, operation) {
        (200..=299, _) => Fate::Done,
        // It was there already.
        (409, Operation::Create) => Fate::Done,
        (409, Operation::Index) => Fate::Again(failure()),
        // Who writes may not, or nobody may for now: no record is to blame.
        (401 | 403 | 429 | 500.., _) => Fate::Again(failure()),
        (_, Operation::Index) if is_data_stream(&outcome.error) => Fate::NeedsCreate,
        _ => Fate::Refused(failure()),
    }
}

/// Elasticsearch and OpenSearch say it in these words, and in no other way.
fn is_data_stream(error: &Value) -> bool {
    let reason = error["reason"].as_str().unwrap_or_default();
    reason.contains("only write ops with an op_type of create are allowed in data streams")
}

/// Nobody said anything: the cluster may take the documents later.
pub(super) fn failure(error: &TransferError) -> Failure {
    let code = match error {
        TransferError::Secret(_) => "MissingSecret",
        TransferError::Credentials(_) => "OS.AccessDenied",
        TransferError::Timeout => "OS.RequestTimeout",
        TransferError::Lost(_) => "OS.ConnectionReset",
        TransferError::Connect(_)
        | TransferError::ConnectTimeout
        | TransferError::Tls { .. }
        | TransferError::Authorities(_)
        | TransferError::Request(_) => "OS.ConnectionFailed",
    };
    Failure::new(code, &error.to_string())
}

#[cfg(test)]
mod tests;
