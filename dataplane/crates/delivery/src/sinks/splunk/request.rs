//! Requests to Splunk's HTTP event collector.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use model::DeliveryRecord;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// As AWS: more than this is never buffered for Splunk.
const BODY_BYTES_MAX: usize = 5 << 20;
const COOKIES_MAX: usize = 16;
const COOKIE_BYTES_MAX: usize = 4_096;

/// Cuts a range of records into requests.
pub(super) fn parts(
    records: &[DeliveryRecord],
    range: Range<usize>,
    parts: &mut Vec<Range<usize>>,
) {
    let (mut start, mut bytes) = (range.start, 0);
    for at in range.clone() {
        let record_bytes = records[at].data.len();
        if BODY_BYTES_MAX < bytes + record_bytes && 0 < bytes {
            parts.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += record_bytes;
    }
    if start < range.end {
        parts.push(start..range.end);
    }
}

/// As AWS: one after the other, with nothing between.
pub(super) fn body(records: &[DeliveryRecord]) -> Vec<u8> {
    let mut body = Vec::with_capacity(records.iter().map(|record| record.data.len()).sum());
    records.iter().for_each(|record| body.extend_from_slice(&record.data));
    body
}

pub(super) fn acks(ack_ids: &[u64]) -> String {
    serde_json::json!({ "acks": ack_ids }).to_string()
}

/// Whether a record is nothing but events as the event endpoint reads them: JSON objects with
/// something in `event`.
pub(super) fn is_events(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else {
        return false;
    };
    let mut events = serde_json::Deserializer::from_str(text).into_iter::<Event>();
    events.all(|event| event.is_ok_and(|Event(is_something)| is_something))
}

/// Whether an object has something in `event`.
struct Event(bool);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Event, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut event = Event(false);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if key == "event" {
                event.0 = map.next_value::<Something>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(event)
    }
}

/// Whether a value is more than null and empty text.
struct Something(bool);

impl<'de> Deserialize<'de> for Something {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Something, D::Error> {
        deserializer.deserialize_any(SomethingVisitor)
    }
}

struct SomethingVisitor;

impl<'de> Visitor<'de> for SomethingVisitor {
    type Value = Something;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Something, E> {
        Ok(Something(false))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Something, E> {
        Ok(Something(!text.is_empty()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Something, E> {
        Ok(Something(true))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Something, E> {
        Ok(Something(true))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Something, E> {
        Ok(Something(true))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Something, E> {
        Ok(Something(true))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Something, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Something(true))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Something, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Something(true))
    }
}

/// What a balancer knows a sender by. Only the collector that took a request knows what became of it,
/// so what is asked about it must come to the same one.
#[derive(Debug, Default)]
pub(super) struct Cookies(Vec<(String, String)>);

impl Cookies {
    /// Takes up what a reply sets. How long cookies last does not matter: they serve one attempt.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(SET_COOKIE) {
            let pair = value.to_str().ok().and_then(|text| text.split(';').next());
            let Some((name, value)) = pair.and_then(|pair| pair.trim().split_once('=')) else {
                continue;
            };
            self.0.retain(|(known, _)| known != name);
            let fits = name.len() + value.len() <= COOKIE_BYTES_MAX && self.0.len() < COOKIES_MAX;
            if fits && !name.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header = (!pairs.is_empty()).then(|| pairs.join("; "))?;
        HeaderValue::from_str(&header).ok()
    }
}

#[cfg(test)]
mod tests;
