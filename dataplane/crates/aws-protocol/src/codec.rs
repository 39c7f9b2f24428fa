//! From bodies to shapes and back.
//!
//! How large a body may be is for the server to say. How much larger it may grow when decoded is said
//! here: by its depth and by how many values it holds.
//!
//! A raw shape is a serde struct whose members are all optional: what is missing, too long or out of
//! range is the business of [`validate`](crate::validate). Here only types are checked, and a wrong
//! one is AWS's SerializationException.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, ErrorCode};
use cbor::CborError;
use strict::Strict;

mod cbor;
mod json;
mod strict;

/// The most values a body may hold. A whole PutRecords takes about two thousand; but a body of
/// millions of empty records would decode into many times its size.
const VALUES_MAX: usize = 50_000;
const EMPTY_CBOR_MAP: &[u8] = &[0xa0];

const CONTENT_TYPES: [(&str, Encoding); 3] = [
    ("application/x-amz-json-1.1", Encoding::Json),
    ("application/x-amz-cbor-1.1", Encoding::Cbor),
    ("application/json", Encoding::Json),
];

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/x-amz-json-1.1`
    Json,
    /// `application/x-amz-cbor-1.1`, which the AWS SDKs for Java send unless told not to.
    Cbor,
}

impl Encoding {
    /// By a request's content type; parameters behind a `;` do not matter.
    #[must_use]
    pub fn parse(content_type: &str) -> Option<Encoding> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let known = CONTENT_TYPES.iter().find(|(known, _)| essence.eq_ignore_ascii_case(known));
        known.map(|(_, encoding)| *encoding)
    }

    /// The content type of a reply.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/x-amz-json-1.1",
            Encoding::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// Reads a request's shape. An empty body is an empty shape.
///
/// # Errors
/// `SerializationException`: the body is not of this encoding, a member has the wrong type, or there
/// are too many of them.
pub fn decode<'de, T: Deserialize<'de>>(
    encoding: Encoding,
    body: &'de [u8],
) -> Result<T, ApiError> {
    match encoding {
        Encoding::Json if json::has_too_many_values(body, VALUES_MAX) => Err(too_many_values()),
        Encoding::Json => {
            let body = if body.is_empty() { b"{}" } else { body };
            let mut json = serde_json::Deserializer::from_slice(body);
            let decoded = T::deserialize(Strict(&mut json));
            let decoded = decoded.and_then(|shape| json.end().map(|()| shape));
            decoded.map_err(|error: serde_json::Error| {
                let text = error.to_string();
                // From the end, because what was found is quoted and may hold the same words.
                let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
                if error.is_data() { wrong_member(what) } else { not("JSON") }
            })
        }
        Encoding::Cbor => {
            let body = if body.is_empty() { EMPTY_CBOR_MAP } else { body };
            cbor::from_slice(body, VALUES_MAX).map_err(|error| match error {
                CborError::Malformed => not("CBOR"),
                CborError::TooManyValues => too_many_values(),
                CborError::Data(what) => wrong_member(&what),
            })
        }
    }
}

/// Writes a reply's shape.
///
/// # Panics
/// When a shape of ours cannot be encoded, which none is.
pub fn encode(encoding: Encoding, shape: &impl Serialize) -> Bytes {
    match encoding {
        Encoding::Json => serde_json::to_vec(shape).expect("shapes have a JSON form").into(),
        Encoding::Cbor => cbor::to_vec(shape).into(),
    }
}

fn too_many_values() -> ApiError {
    serialization_error(format!("The request holds more than {VALUES_MAX} values"))
}

fn not(form: &str) -> ApiError {
    serialization_error(format!("Could not parse the request body as {form}"))
}

/// In AWS's words where it has some: a client cannot use the names of our types.
fn wrong_member(what: &str) -> ApiError {
    let mismatch = what.strip_prefix("invalid type: ").or(what.strip_prefix("invalid value: "));
    serialization_error(match mismatch.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, wanted)) => {
            format!("{} can not be converted to {}", value_kind(found), shape_kind(wanted))
        }
        None => what.to_owned(),
    })
}

fn serialization_error(message: String) -> ApiError {
    ApiError::new(ErrorCode::SerializationException, message)
}

/// The parser's word for what it found, in AWS's.
fn value_kind(found: &str) -> &'static str {
    match found.split([' ', '`']).next().unwrap_or_default() {
        "string" => "STRING_VALUE",
        "integer" | "floating" => "NUMBER_VALUE",
        "boolean" => "BOOLEAN_VALUE",
        "sequence" => "START_ARRAY",
        "map" => "START_OBJECT",
        "byte" => "BINARY_VALUE",
        _ => "NULL_VALUE",
    }
}

fn shape_kind(wanted: &str) -> &'static str {
    match wanted {
        "a string" | "a borrowed string" => "String",
        "a boolean" => "Boolean",
        "a blob" => "Blob",
        "a timestamp" => "Timestamp",
        "a sequence" => "List",
        "a map" => "Map",
        "i64" | "u64" => "Long",
        "i32" | "u32" => "Integer",
        // A struct: serde names the type.
        _ => "Structure",
    }
}

#[cfg(test)]
mod tests;
