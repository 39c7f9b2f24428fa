//! `application/vnd.amazon.eventstream`: how AWS frames a reply that goes on.
//!
//! ```text
//!  bytes  field            all integers big-endian
//!   4     total length     of the whole message
//!   4     headers length
//!   4     prelude CRC      CRC-32 of the 8 bytes before
//!   ..    headers          name length (1), name, type (1), value; a text is type 7: length (2), UTF-8
//!   ..    payload
//!   4     message CRC      CRC-32 of everything before
//! ```
//!
//! A stream begins with the event `initial-response`, goes on with events, and may end with an
//! exception of the service model.

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Encoding, encode};
use crate::error::ApiError;

/// The content type of a reply of events.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;
const TEXT_TYPE: u8 = 7;
/// As the AWS SDKs.
const MESSAGE_BYTES_MAX: usize = 24 << 20;

/// A message as it was received: headers of other types than text are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub payload: Bytes,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Lengths that contradict each other or are beyond the limit.
    #[error("implausible length of a message")]
    Length,
    /// The bytes are not those that were sent.
    #[error("a checksum of a message does not hold")]
    Checksum,
    /// Headers that do not end where they should, or are no UTF-8.
    #[error("malformed headers of a message")]
    Headers,
}

impl Message {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The message that `bytes` begin with and its length, or `None` while it is not all there.
    ///
    /// # Errors
    /// See [`FrameError`]: nothing behind it can be understood either.
    pub fn decode(bytes: &Bytes) -> Result<Option<(Message, usize)>, FrameError> {
        let Some(prelude) = bytes.first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let total = be_u32(&prelude[0..4]) as usize;
        let headers = be_u32(&prelude[4..8]) as usize;
        if crc32fast::hash(&prelude[..8]) != be_u32(&prelude[8..12]) {
            return Err(FrameError::Checksum);
        }
        let payload_start = PRELUDE_BYTES.saturating_add(headers);
        if MESSAGE_BYTES_MAX < total || total < payload_start.saturating_add(CRC_BYTES) {
            return Err(FrameError::Length);
        }
        if bytes.len() < total {
            return Ok(None);
        }
        let payload_end = total - CRC_BYTES;
        if crc32fast::hash(&bytes[..payload_end]) != be_u32(&bytes[payload_end..total]) {
            return Err(FrameError::Checksum);
        }
        let headers = decode_headers(&bytes[PRELUDE_BYTES..payload_start])?;
        let message = Message { headers, payload: bytes.slice(payload_start..payload_end) };
        Ok(Some((message, total)))
    }
}

/// The message every stream begins with.
#[must_use]
pub fn initial_response(encoding: Encoding) -> Bytes {
    event(encoding, "initial-response", &encode(encoding, &serde_json::Map::new()))
}

/// An event of the service model.
#[must_use]
pub fn event(encoding: Encoding, event_type: &str, payload: &[u8]) -> Bytes {
    message(
        &[
            (":event-type", event_type),
            (":content-type", encoding.content_type()),
            (":message-type", "event"),
        ],
        payload,
    )
}

/// An error after which nothing comes.
#[must_use]
pub fn exception(encoding: Encoding, error: &ApiError) -> Bytes {
    message(
        &[
            (":exception-type", error.code.name()),
            (":content-type", encoding.content_type()),
            (":message-type", "exception"),
        ],
        &error.body(encoding),
    )
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let length = |text: &str| u16::try_from(text.len()).expect("header texts are ours and short");
    let headers_bytes: usize =
        headers.iter().map(|(name, value)| 1 + name.len() + 3 + value.len()).sum();
    let total = PRELUDE_BYTES + headers_bytes + payload.len() + CRC_BYTES;
    let field = |bytes: usize| u32::try_from(bytes).expect("events are bounded far below 4 GiB");
    let mut message = BytesMut::with_capacity(total);
    message.put_u32(field(total));
    message.put_u32(field(headers_bytes));
    message.put_u32(crc32fast::hash(&message));
    for (name, value) in headers {
        message.put_u8(name.len() as u8);
        message.put_slice(name.as_bytes());
        message.put_u8(TEXT_TYPE);
        message.put_u16(length(value));
        message.put_slice(value.as_bytes());
    }
    message.put_slice(payload);
    message.put_u32(crc32fast::hash(&message));
    message.freeze()
}

fn decode_headers(mut bytes: &[u8]) -> Result<Vec<(String, String)>, FrameError> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name_length = usize::from(take(&mut bytes, 1)?[0]);
        let name = text(take(&mut bytes, name_length)?)?;
        let kind = take(&mut bytes, 1)?[0];
        let value_bytes = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | TEXT_TYPE => usize::from(be_u16(take(&mut bytes, 2)?)),
            9 => 16,
            _ => return Err(FrameError::Headers),
        };
        let value = take(&mut bytes, value_bytes)?;
        if kind == TEXT_TYPE {
            headers.push((name, text(value)?));
        }
    }
    Ok(headers)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], FrameError> {
    bytes.split_off(..count).ok_or(FrameError::Headers)
}

fn text(bytes: &[u8]) -> Result<String, FrameError> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|_| FrameError::Headers)
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

fn be_u16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u16::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ErrorCode;

    #[test]
    fn messages_are_those_of_the_sdks() {
        let frames = [
            initial_response(Encoding::Json),
            event(Encoding::Cbor, "SubscribeToShardEvent", b"\xa0"),
            exception(Encoding::Json, &ApiError::new(ErrorCode::ResourceInUseException, "taken")),
        ];
        let described: Vec<_> = frames
            .iter()
            .map(|frame| {
                let mut bytes = frame.clone();
                // The decoder of AWS's own SDK.
                let message = aws_smithy_eventstream::frame::read_message_from(&mut bytes).unwrap();
                assert!(bytes.is_empty());
                let headers = message.headers().iter().map(|header| {
                    let value = header.value().as_string().unwrap().as_str();
                    format!("{}={value}", header.name().as_str())
                });
                let headers = headers.collect::<Vec<_>>().join(" ");
                format!("{headers} {}", message.payload().escape_ascii())
            })
            .collect();
        assert_eq!(
            described,
            [
                ":event-type=initial-response :content-type=application/x-amz-json-1.1 :message-type=event {}",
                r":event-type=SubscribeToShardEvent :content-type=application/x-amz-cbor-1.1 :message-type=event \xa0",
                r#":exception-type=ResourceInUseException :content-type=application/x-amz-json-1.1 :message-type=exception {\"__type\":\"ResourceInUseException\",\"message\":\"taken\"}"#,
            ]
        );
    }

    #[test]
    fn damage_is_found_and_lengths_are_bounded() {
        let good = event(Encoding::Json, "x", b"payload");
        let check = |bytes: &[u8], want: Result<bool, FrameError>| {
            let got = Message::decode(&Bytes::copy_from_slice(bytes));
            assert_eq!(got.map(|message| message.is_some()), want, "{}", bytes.escape_ascii());
        };
        check(&good, Ok(true));
        check(&good[..good.len() - 1], Ok(false));
        check(&good[..5], Ok(false));
        for at in 0..good.len() {
            let mut damaged = good.to_vec();
            damaged[at] ^= 1;
            check(&damaged, Err(FrameError::Checksum));
        }
        let prelude = |total: u32, headers: u32| {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            bytes
        };
        check(&prelude(u32::MAX, 0), Err(FrameError::Length));
        check(&prelude(15, 0), Err(FrameError::Length));
        check(&prelude(100, u32::MAX), Err(FrameError::Length));
        check(&prelude(20 << 20, 0), Ok(false));
    }

    proptest! {
        #[test]
        fn events_come_back(name in "[a-zA-Z]{1,30}", payload: Vec<u8>, rest: Vec<u8>) {
            let frame = event(Encoding::Json, &name, &payload);
            let bytes = Bytes::from([&frame[..], &rest].concat());
            let (message, length) = Message::decode(&bytes).unwrap().unwrap();
            prop_assert_eq!(length, frame.len());
            prop_assert_eq!(message.header(":event-type"), Some(name.as_str()));
            prop_assert_eq!(&message.payload[..], &payload);
        }

        #[test]
        fn junk_headers_never_panic(bytes: Vec<u8>) {
            let _ = decode_headers(&bytes);
            let _ = Message::decode(&Bytes::from(bytes));
        }
    }
}
