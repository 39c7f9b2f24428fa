//! Requests to HTTP endpoints, as AWS documents them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;

use base64_simd::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use model::{DeliveryRecord, UnixMillis};

use crate::sinks::BatchId;
use delivery_core::guid::{guid, guid_of};

/// As AWS.
const RECORDS_MAX: usize = 10_000;
/// As AWS: before compression.
const BODY_BYTES_MAX: usize = 64 << 20;
/// What a body holds beside records: names, request id and timestamp.
const ENVELOPE_BYTES_MAX: usize = 128;
/// `{"data":""},`
const RECORD_FRAME_BYTES: usize = 12;

/// Cuts records into as few requests as their limits allow. Cut once more from the start of one of
/// them, they are cut the same.
pub(super) fn parts(records: &[DeliveryRecord]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let (mut start, mut bytes) = (0, ENVELOPE_BYTES_MAX);
    for (at, record) in records.iter().enumerate() {
        let record_bytes = RECORD_FRAME_BYTES + STANDARD.encoded_length(record.data.len());
        let is_full = RECORDS_MAX <= at - start || BODY_BYTES_MAX < bytes + record_bytes;
        // A record that is too large alone is sent all the same: that is for the endpoint to refuse.
        if is_full && start < at {
            parts.push(start..at);
            (start, bytes) = (at, ENVELOPE_BYTES_MAX);
        }
        bytes += record_bytes;
    }
    if start < records.len() {
        parts.push(start..records.len());
    }
    parts
}

/// The same for the same records of the same batch, and for no others: an endpoint may drop requests
/// by it.
pub(super) fn request_id(batch: BatchId, records: &[DeliveryRecord]) -> String {
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return guid(batch.0);
    };
    let mut places = batch.0.to_be_bytes().to_vec();
    for origin in [first.origin, last.origin] {
        places.extend(origin.shard.0.to_be_bytes());
        places.extend(origin.offset.0.to_be_bytes());
        places.extend(origin.sub.to_be_bytes());
    }
    places.extend((records.len() as u64).to_be_bytes());
    guid(guid_of(&places))
}

pub(super) fn body(id: &str, timestamp: UnixMillis, records: &[DeliveryRecord]) -> Vec<u8> {
    let data = records.iter().map(|record| STANDARD.encoded_length(record.data.len()));
    let size = data.sum::<usize>() + records.len() * RECORD_FRAME_BYTES + ENVELOPE_BYTES_MAX;
    let mut body = Vec::with_capacity(size);
    body.extend_from_slice(br#"{"requestId":""#);
    body.extend_from_slice(id.as_bytes());
    body.extend_from_slice(br#"","timestamp":"#);
    body.extend_from_slice(timestamp.to_string().as_bytes());
    body.extend_from_slice(br#","records":["#);
    for (at, record) in records.iter().enumerate() {
        body.extend_from_slice(if at == 0 { br#"{"data":""#.as_slice() } else { br#",{"data":""# });
        STANDARD.encode_append(&record.data, &mut body);
        body.extend_from_slice(br#""}"#);
    }
    body.extend_from_slice(b"]}");
    body
}

/// The value of X-Amz-Firehose-Common-Attributes: JSON, of ASCII only, as it is a header.
pub(super) fn common_attributes(attributes: &BTreeMap<String, String>) -> String {
    let json = serde_json::json!({ "commonAttributes": attributes }).to_string();
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\x7f' {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests;
