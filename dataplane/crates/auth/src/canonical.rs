//! The canonical form of a request, which is what gets signed.
//!
//! As AWS's description of Signature Version 4 has it, for services other than S3: the path is
//! encoded once more, the query is sorted, header values are trimmed and their spaces folded.

use std::fmt::Write;

/// Percent-encodes everything but unreserved characters, and `/` where `keep_slash` says so.
pub(crate) fn encode(text: &[u8], keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(*byte));
            }
            b'/' if keep_slash => encoded.push('/'),
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// Decodes `%XX`; what is no such escape stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| str::from_utf8(hex).ok());
        let value = escape
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], value) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// The path, with empty and dot segments resolved, encoded once more.
pub(crate) fn path(raw: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut path = format!("/{}", segments.join("/"));
    if raw.ends_with('/') && !segments.is_empty() {
        path.push('/');
    }
    encode(path.as_bytes(), true)
}

/// The query's parameters, decoded, in the order they came.
pub(crate) fn query_parameters(raw: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let parameters = raw.split('&').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decode(name), decode(value))
    })
}

/// The query, sorted, without the signature itself.
pub(crate) fn query(raw: &str) -> String {
    let mut pairs: Vec<(String, String)> = query_parameters(raw)
        .filter(|(name, _)| name != b"X-Amz-Signature")
        .map(|(name, value)| (encode(&name, false), encode(&value, false)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// A header's value, trimmed, each run of spaces as one.
pub(crate) fn header_value(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
