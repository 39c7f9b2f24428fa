//! Members whose form depends on the encoding.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use base64_simd::STANDARD;
use model::UnixMillis;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text as it came: borrowed from the body, unless it was written with escapes or in pieces.
#[derive(Clone, Debug)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Binary data: base64 text in JSON, a byte string in CBOR. It stays as it came until it is appended to
/// where it is to be, which is then the only copy of it.
#[derive(Clone, Debug)]
pub struct Blob<'a>(Form<'a>);

#[derive(Clone, Debug)]
enum Form<'a> {
    Bytes(Cow<'a, [u8]>),
    /// Has been checked; and how many bytes it stands for.
    Base64(Cow<'a, str>, usize),
}

/// No bytes.
pub static EMPTY_BLOB: Blob<'static> = Blob(Form::Bytes(Cow::Borrowed(&[])));

impl<'a> From<&'a [u8]> for Blob<'a> {
    fn from(bytes: &'a [u8]) -> Blob<'a> {
        Blob(Form::Bytes(Cow::Borrowed(bytes)))
    }
}

impl<'a> Blob<'a> {
    /// How many bytes it is.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        match &self.0 {
            Form::Bytes(bytes) => bytes.len(),
            Form::Base64(_, count) => *count,
        }
    }

    /// Appends its bytes.
    ///
    /// # Panics
    /// Never: what is no base64 does not become a blob.
    pub fn append_to(&self, target: &mut Vec<u8>) {
        match &self.0 {
            Form::Bytes(bytes) => target.extend_from_slice(bytes),
            Form::Base64(text, _) => {
                let decoded = STANDARD.decode_append(text.as_bytes(), target);
                decoded.expect("it was checked when it was read");
            }
        }
    }

    fn of_base64(text: Cow<'a, str>) -> Option<Blob<'a>> {
        STANDARD.check(text.as_bytes()).ok()?;
        let count = STANDARD.decoded_length(text.as_bytes()).ok()?;
        Some(Blob(Form::Base64(text, count)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob<'a>, D::Error> {
        struct BlobVisitor {
            is_base64: bool,
        }
        impl BlobVisitor {
            fn decode<E: de::Error>(self, text: Cow<'_, str>) -> Result<Blob<'_>, E> {
                match self.is_base64 {
                    true => Blob::of_base64(text).ok_or_else(|| E::custom("invalid base64")),
                    false => Err(E::invalid_type(Unexpected::Str(&text), &self)),
                }
            }
        }
        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a blob")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Blob<'de>, E> {
                self.decode(Cow::Borrowed(text))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob<'de>, E> {
                self.decode(Cow::Owned(text.to_owned()))
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Blob<'de>, E> {
                Ok(Blob(Form::Bytes(Cow::Borrowed(bytes))))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob<'de>, E> {
                Ok(Blob(Form::Bytes(Cow::Owned(bytes.to_vec()))))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(BlobVisitor { is_base64: true })
        } else {
            deserializer.deserialize_bytes(BlobVisitor { is_base64: false })
        }
    }
}

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (&self.0, serializer.is_human_readable()) {
            (Form::Bytes(bytes), true) => {
                serializer.serialize_str(&STANDARD.encode_to_string(bytes))
            }
            (Form::Bytes(bytes), false) => serializer.serialize_bytes(bytes),
            (Form::Base64(text, _), true) => serializer.serialize_str(text),
            (Form::Base64(_, count), false) => {
                let mut bytes = Vec::with_capacity(*count);
                self.append_to(&mut bytes);
                serializer.serialize_bytes(&bytes)
            }
        }
    }
}

/// Serializes what is displayed, without a text of its own; for `serialize_with`.
///
/// # Errors
/// The serializer's.
pub fn displayed<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// "Epoch-based date/time" (RFC 8949 section 3.4.2).
const EPOCH_TAG: u64 = 1;

/// A moment: seconds with a fraction in JSON, tagged whole milliseconds in CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub UnixMillis);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        struct TimestampVisitor {
            millis_per_unit: f64,
        }
        impl Visitor<'_> for TimestampVisitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a timestamp")
            }

            // Saturates: a time before 1970 is the start, one past the end of time is the end.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Timestamp, E> {
                Ok(Timestamp(UnixMillis((number * self.millis_per_unit).round() as u64)))
            }

            // Exact for every date of this age: a double has 53 bits.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Timestamp, E> {
                self.visit_f64(number as f64)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Timestamp, E> {
                self.visit_f64(number as f64)
            }
        }
        let millis_per_unit = if deserializer.is_human_readable() { 1_000.0 } else { 1.0 };
        deserializer.deserialize_f64(TimestampVisitor { millis_per_unit })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.0;
        if serializer.is_human_readable() {
            // Exact for every date of this age: a double has 53 bits.
            serializer.serialize_f64(millis as f64 / 1_000.0)
        } else {
            minicbor_serde::tag::Required::<EPOCH_TAG, u64>::new(millis).serialize(serializer)
        }
    }
}
