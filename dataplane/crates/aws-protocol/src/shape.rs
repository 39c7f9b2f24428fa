//! Members whose form depends on the encoding.

use std::borrow::Cow;
use std::fmt;

use model::UnixMillis;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Binary data: base64 text in JSON, a byte string in CBOR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob<'a>(pub Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Blob<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor {
            is_base64: bool,
        }
        impl Visitor<'_> for BlobVisitor {
            type Value = Blob<'static>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a blob")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob<'static>, E> {
                if !self.is_base64 {
                    return Err(E::invalid_type(Unexpected::Str(text), &self));
                }
                let decoded = base64_simd::STANDARD.decode_to_vec(text.as_bytes());
                let bytes = decoded.map_err(|_| E::custom("invalid base64"))?;
                Ok(Blob(Cow::Owned(bytes)))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob<'static>, E> {
                Ok(Blob(Cow::Owned(bytes.to_vec())))
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
        if serializer.is_human_readable() {
            serializer.serialize_str(&base64_simd::STANDARD.encode_to_string(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
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
