//! What a CloudWatch Logs subscription sends: an envelope around log events.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    log_events: Vec<LogEvent<'a>>,
}

#[derive(Deserialize)]
struct LogEvent<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// The messages of `data`, each with a line feed behind it, as AWS joins them; `None` when it is a
/// control message.
///
/// # Errors
/// A sentence: `data` is something else.
pub(super) fn extract(data: &[u8]) -> Result<Option<Bytes>, String> {
    let mut out = None;
    let mut envelopes = 0;
    for envelope in serde_json::Deserializer::from_slice(data).into_iter::<Envelope<'_>>() {
        let envelope = envelope
            .map_err(|error| format!("The record is no CloudWatch Logs message: {error}"))?;
        envelopes += 1;
        match &*envelope.message_type {
            "CONTROL_MESSAGE" => {}
            "DATA_MESSAGE" => join(&envelope.log_events, out.get_or_insert_default()),
            other => return Err(format!("CloudWatch Logs messages of type {other} are unknown")),
        }
    }
    if envelopes == 0 {
        return Err("The record is no CloudWatch Logs message: it is empty".into());
    }
    Ok(out.map(Bytes::from))
}

fn join(events: &[LogEvent<'_>], out: &mut Vec<u8>) {
    out.reserve(events.iter().map(|event| event.message.len() + 1).sum());
    for event in events {
        out.extend_from_slice(event.message.as_bytes());
        out.push(b'\n');
    }
}
