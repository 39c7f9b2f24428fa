use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Blob, Timestamp};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Shape<'a> {
    name: Option<String>,
    count: Option<i32>,
    on: Option<bool>,
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    at: Option<Timestamp>,
    list: Option<Vec<Shape<'a>>>,
    map: Option<BTreeMap<String, String>>,
}

impl PartialEq for Blob<'_> {
    fn eq(&self, other: &Blob<'_>) -> bool {
        let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
        self.append_to(&mut ours);
        other.append_to(&mut theirs);
        ours == theirs && self.byte_count() == ours.len() && other.byte_count() == theirs.len()
    }
}

fn check(body: &str, want: &str) {
    check_in(Encoding::Json, body.as_bytes(), want);
}

fn check_in(encoding: Encoding, body: &[u8], want: &str) {
    let got = match decode::<Shape>(encoding, body) {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            assert_eq!(error.code, ErrorCode::SerializationException);
            error.message
        }
    };
    assert_eq!(got, want, "{}", body.escape_ascii());
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
    check("[1]", "START_ARRAY can not be converted to Structure");
    check(r#"["a"]"#, "START_ARRAY can not be converted to Structure");
    check(r#"{"List":[["a"]]}"#, "START_ARRAY can not be converted to Structure");
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
fn parts_of_a_text_count_as_values() {
    for (member, kind, empty) in [(b"Data", 0x5f, 0x40), (b"Name", 0x7f, 0x60)] {
        let mut body = vec![0xa1, 0x64];
        body.extend(member);
        body.push(kind);
        body.extend(vec![empty; 1 << 20]);
        body.push(0xff);
        let error = decode::<Shape>(Encoding::Cbor, &body).unwrap_err();
        assert!(error.message.contains("more than 50000 values"), "{}", error.message);
    }
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

/// The CBOR of what this JSON says.
fn cbor_of(json: &str) -> Vec<u8> {
    cbor::to_vec(&serde_json::from_str::<serde_json::Value>(json).unwrap())
}

#[test]
fn wrong_types_in_cbor_are_refused_in_the_same_words() {
    let check = |json: &str, want: &str| check_in(Encoding::Cbor, &cbor_of(json), want);
    check("{}", "ok");
    check(r#"{"Unknown":[1,{"x":2}]}"#, "ok");
    check(r#"{"Name":1}"#, "NUMBER_VALUE can not be converted to String");
    check(r#"{"Name":{}}"#, "START_OBJECT can not be converted to String");
    check(r#"{"Count":"1"}"#, "STRING_VALUE can not be converted to Integer");
    check(r#"{"Count":1.5}"#, "NUMBER_VALUE can not be converted to Integer");
    check(r#"{"Count":99999999999}"#, "NUMBER_VALUE can not be converted to Integer");
    check(r#"{"On":"true"}"#, "STRING_VALUE can not be converted to Boolean");
    check(r#"{"Data":[1]}"#, "START_ARRAY can not be converted to Blob");
    check(r#"{"Data":"YQ=="}"#, "STRING_VALUE can not be converted to Blob");
    check(r#"{"At":"now"}"#, "STRING_VALUE can not be converted to Timestamp");
    check(r#"{"At":-1}"#, "ok");
    check(r#"{"List":{}}"#, "START_OBJECT can not be converted to List");
    check(r#"{"List":[true]}"#, "BOOLEAN_VALUE can not be converted to Structure");
    check(r#"{"List":[[1]]}"#, "START_ARRAY can not be converted to Structure");
    check(r#"{"Map":[]}"#, "START_ARRAY can not be converted to Map");
    check("[1]", "START_ARRAY can not be converted to Structure");
    check(r#""text""#, "STRING_VALUE can not be converted to Structure");
    check_in(Encoding::Cbor, b"", "ok");
    check_in(Encoding::Cbor, b"\xa1\x64Name\xf6", "ok");
    check_in(Encoding::Cbor, b"\xa1\x64Name\x41a", "BINARY_VALUE can not be converted to String");
    check_in(Encoding::Cbor, b"\xa1\x00\x61a", "the name of a member is not a text");
    check_in(Encoding::Cbor, b"\xa2\x64Name\x61a\x64Name\x61b", "duplicate field `Name`");
}

#[test]
fn broken_cbor_is_refused() {
    const BROKEN: &str = "Could not parse the request body as CBOR";
    let check = |body: &[u8], want: &str| check_in(Encoding::Cbor, body, want);
    check(b"\xa1", BROKEN);
    check(b"\xa1\x64Name", BROKEN);
    check(b"\xa1\x64Name\x7b\xff\xff\xff\xff\xff\xff\xff\xff", BROKEN);
    check(b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", BROKEN);
    check(b"\xbf\x64Name\x61a", BROKEN);
    check(b"\xa1\x64Name\x61\xff", BROKEN);
    check(b"\xa0\xa0", BROKEN);
    check(b"\xff", BROKEN);
    check(b"{}", BROKEN);
    // A list of as many null as there may be values, and of one more.
    let nulls = |count: u32| {
        let length = count.to_be_bytes();
        [b"\xa1\x67Unknown\x9a".as_slice(), &length, &vec![0xf6; count as usize]].concat()
    };
    check(&nulls(49_999), "ok");
    check(&nulls(50_000), "The request holds more than 50000 values");
    check(&[b"\xa1\x67Unknown".as_slice(), &[0x81; 1_000_000]].concat(), BROKEN);
}

#[test]
fn cbor_of_the_sdks_is_understood() {
    let body = [
        b"\xbf\x64Name\x7f\x62Le\x62at\xff".as_slice(), // a text in pieces
        b"\x64Data\x5f\x42\x00\x01\x41\x02\xff",        // bytes in pieces
        b"\x62At\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x7b", // tag 1, milliseconds
        b"\x64List\x9f\xbf\xff\xff\xff",
    ];
    let body = body.concat();
    let shape = decode::<Shape>(Encoding::Cbor, &body).unwrap();
    assert_eq!(
        shape,
        Shape {
            name: Some("Leat".to_owned()),
            data: Some(Blob::from(&[0, 1, 2][..])),
            at: Some(Timestamp(model::UnixMillis(1_700_000_000_123))),
            list: Some(vec![Shape::default()]),
            ..Shape::default()
        }
    );
    let written = encode(Encoding::Cbor, &Timestamp(model::UnixMillis(1_700_000_000_123)));
    assert_eq!(&written[..], b"\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x7b");
}

#[test]
fn content_types_are_known_in_any_case() {
    let check = |content_type: &str, known: bool| {
        assert_eq!(Encoding::parse(content_type).is_some(), known, "{content_type}");
    };
    check("application/x-amz-json-1.1", true);
    check("Application/X-Amz-JSON-1.1; charset=utf-8", true);
    check("application/json", true);
    check("application/x-amz-cbor-1.1", true);
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
            data: data.as_deref().map(Blob::from),
            at: millis.map(|millis| Timestamp(model::UnixMillis(millis))),
            ..Shape::default()
        };
        for encoding in [Encoding::Json, Encoding::Cbor] {
            let bytes = encode(encoding, &shape);
            let decoded = decode::<Shape>(encoding, &bytes);
            prop_assert_eq!(decoded.as_ref(), Ok(&shape));
        }
    }

    /// What is read as base64 decodes without a panic, and to what it should.
    #[test]
    fn nearly_base64_is_refused_or_decoded(text in "[A-Za-z0-9+/]{0,120}={0,3}[A-Z=]{0,1}") {
        let body = format!(r#"{{"Data":"{text}"}}"#);
        let decoded = decode::<Shape>(Encoding::Json, body.as_bytes()).ok().and_then(|shape| shape.data);
        let decoded = decoded.map(|data| {
            let mut bytes = Vec::new();
            data.append_to(&mut bytes);
            assert_eq!(bytes.len(), data.byte_count());
            bytes
        });
        prop_assert_eq!(decoded, base64_simd::STANDARD.decode_to_vec(&text).ok());
    }

    #[test]
    fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}":,a-z0-9.e-]{0,80}"#) {
        let _ = decode::<Shape>(Encoding::Json, &bytes);
        let _ = decode::<Shape>(Encoding::Cbor, &bytes);
        let _ = decode::<Shape>(Encoding::Json, text.as_bytes());
    }
}
