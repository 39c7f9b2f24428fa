//! A reply, and what all sinks read in it.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use model::UnixMillis;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest text taken over from a destination.
const TEXT_CHARS_MAX: usize = 1_024;
/// The longest time a destination is left alone because it asked to be.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// What a server said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// All headers.
    pub(crate) headers: HeaderMap,
    /// The body, or its beginning.
    pub(crate) body: Vec<u8>,
    /// Whether there was more of the body than is looked at.
    pub(crate) is_cut: bool,
}

impl Reply {
    /// A header's first value, when it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How long the server asked to be left alone: seconds, or until a date.
    pub(crate) fn pause(&self, now: UnixMillis) -> Option<Duration> {
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        let pause = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = DateTimeParser::new().parse_timestamp(text).ok()?;
                UnixMillis(u64::try_from(until.as_millisecond()).ok()?).since(now)
            }
        };
        Some(pause.min(PAUSE_MAX))
    }

    /// Status and body for people, shortened.
    pub(crate) fn text(&self) -> String {
        // Four bytes are the longest character; what is cut off is not decoded.
        let beginning = &self.body[..self.body.len().min(4 * TEXT_CHARS_MAX)];
        shorten(&format!("{}: {}", self.status, String::from_utf8_lossy(beginning)))
    }
}

/// The text, or its beginning and dots.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_server_asks_for_a_pause_in_seconds_or_until_a_date() {
        let now = UnixMillis(1_445_412_420_000); // Wed, 21 Oct 2015 07:27:00 GMT.
        for (text, want) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("999999999", Some(3_600)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(0)),
            ("Fri, 01 Jan 1960 00:00:00 GMT", None),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let mut reply = Reply::default();
            reply.headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            assert_eq!(reply.pause(now), want.map(Duration::from_secs), "{text}");
        }
        assert_eq!(Reply::default().pause(now), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shorten("short"), "short");
        let long = "é".repeat(TEXT_CHARS_MAX + 1);
        assert_eq!(shorten(&long), format!("{}...", "é".repeat(TEXT_CHARS_MAX)));
        let body = b"\xff".repeat(1 << 20);
        let reply = Reply { status: 500, body, ..Reply::default() };
        assert_eq!(reply.text().chars().count(), TEXT_CHARS_MAX + 3);
    }
}
