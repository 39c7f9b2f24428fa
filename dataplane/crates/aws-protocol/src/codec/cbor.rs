//! CBOR (RFC 8949) as the AWS SDKs write it: maps with text keys, of definite or indefinite length;
//! blobs are byte strings; a timestamp is tag 1 on *milliseconds*, where the RFC has seconds.
//!
//! A serde deserializer over minicbor's decoder. Text and bytes are borrowed from the body; tags are
//! passed over, because members know their types; depth and number of values are bounded; and only a
//! map is a structure.

use std::fmt;

use minicbor::Decoder;
use minicbor::data::Type;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// As serde_json's limit.
const DEPTH_MAX: usize = 128;

/// Reads one value that is all of `body` and holds no more than `values_max` values.
pub(super) fn from_slice<'de, T: Deserialize<'de>>(
    body: &'de [u8],
    values_max: usize,
) -> Result<T, CborError> {
    let decoder = Decoder::new(body);
    let mut deserializer = Deserializer { decoder, depth_left: DEPTH_MAX, values_left: values_max };
    let value = T::deserialize(&mut deserializer)?;
    if deserializer.decoder.position() < body.len() {
        return Err(CborError::Malformed);
    }
    Ok(value)
}

/// Writes one value.
pub(super) fn to_vec(value: &impl serde::Serialize) -> Vec<u8> {
    let mut serializer = minicbor_serde::Serializer::new(Vec::new());
    value.serialize(&mut serializer).expect("shapes have a CBOR form");
    serializer.into_encoder().into_writer()
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CborError {
    /// No CBOR, or cut short, or too deep.
    Malformed,
    TooManyValues,
    /// Serde's words about a member.
    Data(String),
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CborError::Malformed => "malformed",
            CborError::TooManyValues => "too many values",
            CborError::Data(message) => message,
        })
    }
}

impl std::error::Error for CborError {}

impl de::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> CborError {
        CborError::Data(message.to_string())
    }
}

impl From<minicbor::decode::Error> for CborError {
    fn from(_: minicbor::decode::Error) -> CborError {
        CborError::Malformed
    }
}

struct Deserializer<'de> {
    decoder: Decoder<'de>,
    depth_left: usize,
    values_left: usize,
}

impl<'de> Deserializer<'de> {
    /// The type of the value that comes next, behind its tags.
    fn next_type(&mut self) -> Result<Type, CborError> {
        loop {
            match self.decoder.datatype()? {
                Type::Tag => drop(self.decoder.tag()?),
                other => return Ok(other),
            }
        }
    }

    /// Runs `visit` one level deeper.
    fn nested<T>(
        &mut self,
        visit: impl FnOnce(&mut Self) -> Result<T, CborError>,
    ) -> Result<T, CborError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(CborError::Malformed)?;
        let value = visit(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn count_value(&mut self) -> Result<(), CborError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(CborError::TooManyValues)?;
        Ok(())
    }
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = CborError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::Bool => visitor.visit_bool(self.decoder.bool()?),
            Type::Null => {
                self.decoder.null()?;
                visitor.visit_unit()
            }
            Type::Undefined => {
                self.decoder.undefined()?;
                visitor.visit_unit()
            }
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => visitor.visit_u64(self.decoder.u64()?),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => visitor.visit_i64(self.decoder.i64()?),
            Type::F32 => visitor.visit_f64(f64::from(self.decoder.f32()?)),
            Type::F64 => visitor.visit_f64(self.decoder.f64()?),
            Type::Bytes => visitor.visit_borrowed_bytes(self.decoder.bytes()?),
            Type::BytesIndef => {
                let mut whole = Vec::new();
                let mut left = self.values_left;
                for part in self.decoder.bytes_iter()? {
                    // A part costs at least as much work as a value.
                    left = left.checked_sub(1).ok_or(CborError::TooManyValues)?;
                    whole.extend_from_slice(part?);
                }
                self.values_left = left;
                visitor.visit_byte_buf(whole)
            }
            Type::String => visitor.visit_borrowed_str(self.decoder.str()?),
            Type::StringIndef => {
                let mut whole = String::new();
                let mut left = self.values_left;
                for part in self.decoder.str_iter()? {
                    left = left.checked_sub(1).ok_or(CborError::TooManyValues)?;
                    whole.push_str(part?);
                }
                self.values_left = left;
                visitor.visit_string(whole)
            }
            Type::Array | Type::ArrayIndef => self.nested(|deserializer| {
                let left = deserializer.decoder.array()?;
                visitor.visit_seq(Items { deserializer, left })
            }),
            Type::Map | Type::MapIndef => self.nested(|deserializer| {
                let left = deserializer.decoder.map()?;
                visitor.visit_map(Items { deserializer, left })
            }),
            // Whole numbers beyond 64 bits, half floats, simple values: no SDK sends these.
            _ => Err(CborError::Malformed),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::Null | Type::Undefined => self.deserialize_any(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        match self.next_type()? {
            // Serde would take the items for the members.
            Type::Array | Type::ArrayIndef => {
                Err(de::Error::invalid_type(Unexpected::Seq, &visitor))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            // Serde would take bytes that happen to be UTF-8 for a text.
            Type::Bytes | Type::BytesIndef => {
                Err(de::Error::invalid_type(Unexpected::Bytes(&[]), &visitor))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        self.deserialize_str(visitor)
    }

    /// Serde would take a number for the place of a member.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.next_type()? {
            Type::String | Type::StringIndef => self.deserialize_any(visitor),
            _ => Err(de::Error::custom("the name of a member is not a text")),
        }
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
         newtype_struct seq tuple tuple_struct map enum ignored_any
    }
}

/// The items of an array, or the keys and values of a map.
struct Items<'a, 'de> {
    deserializer: &'a mut Deserializer<'de>,
    /// `None` when a break says where they end.
    left: Option<u64>,
}

impl Items<'_, '_> {
    /// Whether there is another; takes the break behind the last.
    fn advance(&mut self) -> Result<bool, CborError> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if self.deserializer.decoder.datatype()? == Type::Break => {
                let decoder = &mut self.deserializer.decoder;
                decoder.set_position(decoder.position() + 1);
                self.left = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = CborError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CborError> {
        if !self.advance()? {
            return Ok(None);
        }
        self.deserializer.count_value()?;
        seed.deserialize(&mut *self.deserializer).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = CborError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CborError> {
        if !self.advance()? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.deserializer).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CborError> {
        self.deserializer.count_value()?;
        seed.deserialize(&mut *self.deserializer)
    }
}
