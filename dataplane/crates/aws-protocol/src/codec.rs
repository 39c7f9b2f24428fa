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

/// The most values a body may hold. A whole PutRecords takes about two thousand; but a body of
/// millions of empty records would decode into many times its size.
const VALUES_MAX: usize = 50_000;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/x-amz-json-1.1`
    Json,
}

impl Encoding {
    /// By a request's content type; parameters behind a `;` do not matter.
    #[must_use]
    pub fn parse(content_type: &str) -> Option<Encoding> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let json = ["application/x-amz-json-1.1", "application/json"];
        json.iter().any(|known| essence.eq_ignore_ascii_case(known)).then_some(Encoding::Json)
    }

    /// The content type of a reply.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/x-amz-json-1.1",
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
        Encoding::Json => {
            let body = if body.is_empty() { b"{}" } else { body };
            if has_too_many_values(body) {
                let message = format!("The request holds more than {VALUES_MAX} values");
                return Err(ApiError::new(ErrorCode::SerializationException, message));
            }
            serde_json::from_slice(body).map_err(|error| serialization_error(&error))
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
    }
}

/// Whether a JSON text holds more than [`VALUES_MAX`] values: all but the first of each list and
/// object come after a comma, and the parser bounds how deep those are nested.
fn has_too_many_values(body: &[u8]) -> bool {
    // A value and its comma take two bytes.
    if body.len() / 2 <= VALUES_MAX {
        return false;
    }
    let mut commas = 0;
    let mut rest = body;
    while let Some(at) = memchr::memchr2(b',', b'"', rest) {
        let (found, after) = (rest[at], &rest[at + 1..]);
        rest = if found == b'"' { after_text(after) } else { after };
        commas += usize::from(found == b',');
        if VALUES_MAX < commas {
            return true;
        }
    }
    false
}

/// What follows a text whose opening quote has been passed.
fn after_text(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}

/// In AWS's words where it has some: a client cannot use the parser's line and column, nor the names
/// of our types.
fn serialization_error(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    // From the end, because what was found is quoted and may hold the same words.
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let mismatch = what.strip_prefix("invalid type: ").or(what.strip_prefix("invalid value: "));
    let message = match mismatch.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, wanted)) => {
            format!("{} can not be converted to {}", value_kind(found), shape_kind(wanted))
        }
        None if error.is_data() => what.to_owned(),
        None => "Could not parse the request body as JSON".to_owned(),
    };
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
        _ => "NULL_VALUE",
    }
}

fn shape_kind(wanted: &str) -> &'static str {
    match wanted {
        "a string" | "a borrowed string" => "String",
        "a boolean" => "Boolean",
        "a blob" => "Blob",
        "f64" => "Timestamp",
        "a sequence" => "List",
        "a map" => "Map",
        "i64" | "u64" => "Long",
        "i32" | "u32" => "Integer",
        // A struct: serde names the type.
        _ => "Structure",
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{Blob, Timestamp};

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Shape {
        name: Option<String>,
        count: Option<i32>,
        on: Option<bool>,
        data: Option<Blob<'static>>,
        at: Option<Timestamp>,
        list: Option<Vec<Shape>>,
        map: Option<BTreeMap<String, String>>,
    }

    fn check(body: &str, want: &str) {
        let got = match decode::<Shape>(Encoding::Json, body.as_bytes()) {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::SerializationException);
                error.message
            }
        };
        assert_eq!(got, want, "{body}");
    }

    #[test]
    fn wrong_types_are_refused_in_the_words_of_aws() {
        check("", "ok");
        check("{}", "ok");
        check(r#"{"Name":null,"Unknown":[1,{"x":2}]}"#, "ok");
        check(r#"{"Name":1}"#, "NUMBER_VALUE can not be converted to String");
        check(r#"{"Name":{}}"#, "START_OBJECT can not be converted to String");
        check(r#"{"Count":"1"}"#, "STRING_VALUE can not be converted to Integer");
        check(r#"{"Count":1.5}"#, "NUMBER_VALUE can not be converted to Integer");
        check(r#"{"On":"true"}"#, "STRING_VALUE can not be converted to Boolean");
        check(r#"{"Data":[1]}"#, "START_ARRAY can not be converted to Blob");
        check(r#"{"Data":"not base64!"}"#, "invalid base64");
        check(r#"{"Data":"YQ"}"#, "invalid base64");
        check(r#"{"At":"now"}"#, "STRING_VALUE can not be converted to Timestamp");
        check(r#"{"List":{}}"#, "START_OBJECT can not be converted to List");
        check(r#"{"List":[true]}"#, "BOOLEAN_VALUE can not be converted to Structure");
        check(r#"{"Map":[]}"#, "START_ARRAY can not be converted to Map");
        check("[1]", "NUMBER_VALUE can not be converted to String");
        check(r#"{"Count":99999999999}"#, "NUMBER_VALUE can not be converted to Integer");
        check(r#"{"Name":"a","Name":"b"}"#, "duplicate field `Name`");
        let words = r#"{"Count":"1, expected a boolean at line 7"}"#;
        check(words, "STRING_VALUE can not be converted to Integer");
        check(r#""text""#, "STRING_VALUE can not be converted to Structure");
        for not_json in ["{", "nonsense", r#"{"Name":"#, "{\"Name\":\"\u{1}\"}", "{} {}"] {
            check(not_json, "Could not parse the request body as JSON");
        }
    }

    #[test]
    fn depth_and_numbers_are_bounded() {
        let deep = r#"{"List":["#.repeat(100_000);
        assert!(decode::<Shape>(Encoding::Json, deep.as_bytes()).is_err());
        let ignored = format!(r#"{{"Unknown":{}}}"#, "[".repeat(100_000));
        assert!(decode::<Shape>(Encoding::Json, ignored.as_bytes()).is_err());
        assert!(decode::<Shape>(Encoding::Json, b"{\"Name\":\"\xff\"}").is_err());
        let far = decode::<Shape>(Encoding::Json, br#"{"At":1e300}"#).unwrap();
        assert_eq!(far.at.map(|at| at.0.0), Some(u64::MAX));
    }

    #[test]
    fn values_are_bounded_but_texts_may_hold_commas() {
        const TOO_MANY: &str = "The request holds more than 50000 values";
        let list = |values: usize, value: &str| {
            let values = vec![value; values].join(" , ");
            format!(r#"{{"List":[{values}]}}"#)
        };
        check(&list(50_001, "{}"), "ok");
        check(&list(50_002, "{}"), TOO_MANY);
        check(&list(50_002, r#"{"Name":","}"#), TOO_MANY);
        check(&list(25_001, r#"{"Count":1,"Name":"x"}"#), TOO_MANY);
        let commas = ",".repeat(100_000);
        check(&format!(r#"{{"Name":"{commas}"}}"#), "ok");
        check(&format!(r#"{{"Name":"\"\\{commas}\\"}}"#), "ok");
        let unended = format!(r#"{{"Name":"{commas}\"#);
        check(&unended, "Could not parse the request body as JSON");
    }

    #[test]
    fn content_types_are_known_in_any_case() {
        let check = |content_type: &str, known: bool| {
            assert_eq!(Encoding::parse(content_type).is_some(), known, "{content_type}");
        };
        check("application/x-amz-json-1.1", true);
        check("Application/X-Amz-JSON-1.1; charset=utf-8", true);
        check("application/json", true);
        check("application/x-amz-json-1.0", false);
        check("", false);
    }

    proptest! {
        #[test]
        fn shapes_come_back(
            name in prop::option::of(".*"),
            data in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
            millis in prop::option::of(0..4_000_000_000_000_u64),
        ) {
            let shape = Shape {
                name,
                data: data.map(|bytes| Blob(Cow::Owned(bytes))),
                at: millis.map(|millis| Timestamp(model::UnixMillis(millis))),
                ..Shape::default()
            };
            let bytes = encode(Encoding::Json, &shape);
            prop_assert_eq!(decode::<Shape>(Encoding::Json, &bytes), Ok(shape));
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}":,a-z0-9.e-]{0,80}"#) {
            let _ = decode::<Shape>(Encoding::Json, &bytes);
            let _ = decode::<Shape>(Encoding::Json, text.as_bytes());
        }
    }
}
