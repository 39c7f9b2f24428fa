//! What replies of Snowpipe Streaming mean.

use std::collections::BTreeMap;

use model::UnixMillis;
use serde::Deserialize;
use serde_json::Value;

use crate::sinks::Failure;
use crate::sinks::client::Reply;
use crate::sinks::snowflake::judge::NotNow;

pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// Longer than any token or host.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// What became of a request with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// They are taken, and will be committed. The next request is to have this token.
    Taken(String),
    /// They were not taken, and the channel has to be opened again before any are.
    Lost(Failure),
    /// Some of them will never be taken, or all are too many.
    Spoiled(Failure),
    /// They may be taken later.
    NotNow(NotNow),
}

/// How a channel is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ChannelStatus {
    #[serde(rename = "channel_status_code")]
    pub(super) code: Option<String>,
    /// The offset token of the last request that is committed.
    #[serde(rename = "last_committed_offset_token")]
    pub(super) committed: Option<String>,
    rows_error_count: Option<u64>,
    /// The same, as another reply names it.
    rows_errors: Option<u64>,
    /// The last of them is not behind what this token was for.
    #[serde(rename = "last_error_offset_upper_bound")]
    pub(super) error_bound: Option<String>,
    #[serde(rename = "last_error_message")]
    pub(super) error: Option<String>,
}

impl ChannelStatus {
    /// Rows that were left out because the table did not take them.
    pub(super) fn errors(&self) -> u64 {
        self.rows_error_count.max(self.rows_errors).unwrap_or(0)
    }

    /// Whether the channel takes rows, as far as it says.
    pub(super) fn is_active(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        code.is_empty()
            || code.eq_ignore_ascii_case("ACTIVE")
            || code.eq_ignore_ascii_case("SUCCESS")
    }
}

/// A channel that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Opened {
    #[serde(rename = "next_continuation_token")]
    pub(super) continuation: String,
    #[serde(rename = "channel_status", default)]
    pub(super) status: ChannelStatus,
}

#[derive(Deserialize)]
struct Next {
    next_continuation_token: String,
}

#[derive(Deserialize)]
struct Statuses {
    channel_statuses: BTreeMap<String, ChannelStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: Value,
}

pub(super) fn appended(reply: &Reply, now: UnixMillis) -> Appended {
    let said = |code| Failure::new(code, &reply.text());
    match reply.status {
        200..=299 => match serde_json::from_slice::<Next>(&reply.body) {
            Ok(next) => Appended::Taken(next.next_continuation_token),
            Err(_) => Appended::NotNow(NotNow::of(reply, now)),
        },
        404 | 409 | 410 => Appended::Lost(said("Snowflake.ChannelLost")),
        400 if is_about_channel(reply) => Appended::Lost(said("Snowflake.ChannelLost")),
        400 | 413 | 422 => Appended::Spoiled(said("Snowflake.InvalidInput")),
        _ => Appended::NotNow(NotNow::of(reply, now)),
    }
}

/// As in STALE_CONTINUATION_TOKEN_SEQUENCER, ERR_CHANNEL_HAS_UNCOMMITTED_DATA.
fn is_about_channel(reply: &Reply) -> bool {
    let complaint: Complaint = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = complaint.code.as_str().unwrap_or_default();
    ["CHANNEL", "TOKEN", "SEQUENCER"].iter().any(|of| code.contains(of))
}

pub(super) fn opened(reply: &Reply, now: UnixMillis) -> Result<Opened, NotNow> {
    let opened = (200..=299).contains(&reply.status);
    let opened = opened.then(|| serde_json::from_slice(&reply.body).ok()).flatten();
    opened.ok_or_else(|| NotNow::of(reply, now))
}

/// `None` when there is no such channel.
pub(super) fn status(
    reply: &Reply,
    channel: &str,
    now: UnixMillis,
) -> Result<Option<ChannelStatus>, NotNow> {
    let is_good = (200..=299).contains(&reply.status);
    let statuses = is_good.then(|| serde_json::from_slice::<Statuses>(&reply.body).ok()).flatten();
    let mut statuses = statuses.ok_or_else(|| NotNow::of(reply, now))?;
    Ok(statuses.channel_statuses.remove(channel))
}

/// A reply that is one text: JSON with it in `member`, or the bare text.
pub(super) fn text(reply: &Reply, member: &str, now: UnixMillis) -> Result<String, NotNow> {
    let not_now = || NotNow::of(reply, now);
    if !(200..=299).contains(&reply.status) || TEXT_BYTES_MAX < reply.body.len() {
        return Err(not_now());
    }
    let text = match serde_json::from_slice::<Value>(&reply.body) {
        Ok(Value::String(text)) => text,
        Ok(value) => value[member].as_str().ok_or_else(not_now)?.to_owned(),
        Err(_) => String::from_utf8_lossy(&reply.body).trim().to_owned(),
    };
    Some(text).filter(|text| !text.is_empty()).ok_or_else(not_now)
}

pub(super) fn refused_rows(status: &ChannelStatus, refused: u64, sent: usize) -> Failure {
    let why = status.error.as_deref().unwrap_or("It does not say why");
    let message = match usize::try_from(refused).is_ok_and(|refused| sent <= refused) {
        true => format!("Snowflake refused the row: {why}"),
        false => format!(
            "Snowflake refused {refused} of {sent} rows, stored the others, and does not say which \
             is which: {why}"
        ),
    };
    Failure::new("Snowflake.InvalidValue", &message)
}

pub(super) fn not_committed() -> Failure {
    let message = "Snowflake took the rows, and did not commit them in time.";
    Failure::new("Snowflake.CommitTimeout", message)
}

#[cfg(test)]
mod tests;
