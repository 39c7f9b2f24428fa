//! Bulk requests.

use serde::Serialize;
use serde::de::IgnoredAny;

use super::place::DocumentPlace;
use crate::sinks::Failure;

/// So that a reply that complains about each of them stays small enough to be read.
const DOCUMENTS_MAX: usize = 5_000;

/// The deepest nesting that newer search engines read. Elasticsearch 6 has no limit, but a stack: a
/// document of depth 3,000 ends the node.
const DEPTH_MAX: usize = 1_000;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// A document of the same id is replaced.
    Index,
    /// A document of the same id stays: all that data streams take.
    Create,
}

#[derive(Serialize)]
struct Action<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_type", skip_serializing_if = "Option::is_none")]
    type_name: Option<&'a str>,
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

/// Whether a record is a JSON object. Another would spoil the whole request, or be taken for a part of
/// it that says what to do with the next record.
pub(super) fn check(data: &[u8]) -> Result<(), Failure> {
    let text = str::from_utf8(data).ok();
    let is_object = text.is_some_and(|text| {
        let starts = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
        starts && serde_json::from_str::<IgnoredAny>(text).is_ok()
    });
    let message = match is_object {
        true if depth(data) <= DEPTH_MAX => return Ok(()),
        true => "The record is nested more than 1,000 deep.",
        false => "The record is not a single valid JSON object in UTF-8.",
    };
    Err(Failure::new("OS.MalformedData", message))
}

/// Of valid JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in json {
        match (is_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => is_text = !is_text,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// As many documents as fit, but at least one, and their number. They must have been checked.
pub(super) fn body<'a>(
    operation: Operation,
    bytes_max: usize,
    documents: impl Iterator<Item = (DocumentPlace, &'a [u8])>,
) -> (Vec<u8>, usize) {
    let (mut body, mut count) = (Vec::new(), 0);
    for (place, data) in documents.take(DOCUMENTS_MAX) {
        let before = body.len();
        append(&mut body, operation, &place, data);
        if bytes_max < body.len() && 0 < count {
            body.truncate(before);
            break;
        }
        count += 1;
    }
    (body, count)
}

fn append(body: &mut Vec<u8>, operation: Operation, place: &DocumentPlace, data: &[u8]) {
    let DocumentPlace { index, id, type_name } = place;
    let action = Action { index, type_name: type_name.as_deref(), id: id.as_deref() };
    body.extend_from_slice(match operation {
        Operation::Index => br#"{"index":"#.as_slice(),
        Operation::Create => br#"{"create":"#,
    });
    serde_json::to_writer(&mut *body, &action).expect("texts are JSON, and memory takes them");
    body.extend_from_slice(b"}\n");
    // Lines end a document. In JSON they stand only between tokens, where a space is the same.
    let line = data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte });
    body.extend(line);
    body.push(b'\n');
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn only_single_json_objects_are_documents() {
        for good in
            ["{}", r#" {"a": [1, {"b": "\n"}]}"#, "{\"a\":\r\n1}\n", "\t{}", "{\"a\":\"é\"}"]
        {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "text",
            "[{}]",
            "\"{}\"",
            "{",
            "{}{}",
            "{\"index\":{}}\n{\"a\":1}",
            "{\"a\":\"line\nend\"}",
            "{a:1}",
        ] {
            assert_eq!(check(bad.as_bytes()).unwrap_err().code, "OS.MalformedData", "{bad}");
        }
        assert!(check(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn documents_are_a_thousand_deep_at_most() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"]\\":"[\"[[","a":{open}1{close}}}"#)
        };
        assert_eq!(depth(nested(3).as_bytes()), 3);
        assert_eq!(check(nested(1_000).as_bytes()), Ok(()));
        for deep in [1_001, 1_000_000] {
            let failure = check(nested(deep).as_bytes()).unwrap_err();
            assert_eq!(failure, Failure::new("OS.MalformedData", &failure.message));
            assert!(failure.message.contains("deep"), "{failure:?}");
        }
    }

    fn check_body(operation: Operation, place: &DocumentPlace, data: &str, want: Expect) {
        let (body, count) =
            body(operation, 1 << 20, [(place.clone(), data.as_bytes())].into_iter());
        assert_eq!(count, 1);
        want.assert_eq(str::from_utf8(&body).unwrap());
    }

    #[test]
    fn a_document_is_two_lines() {
        let mut place =
            DocumentPlace { index: "a\"b".into(), id: Some("x".into()), type_name: None };
        check_body(
            Operation::Index,
            &place,
            "{\n  \"a\": 1\r\n}\n",
            expect![[r#"
                {"index":{"_index":"a\"b","_id":"x"}}
                {   "a": 1  } 
            "#]],
        );
        place = DocumentPlace { id: None, type_name: Some("event".into()), ..place };
        check_body(
            Operation::Create,
            &place,
            "{}",
            expect![[r#"
                {"create":{"_index":"a\"b","_type":"event"}}
                {}
            "#]],
        );
    }

    #[test]
    fn a_body_ends_before_its_limit_but_holds_one_document() {
        let place = DocumentPlace { index: "i".into(), id: None, type_name: None };
        let documents =
            |count| std::iter::repeat_n((place.clone(), b"{\"a\":1}".as_slice()), count);
        let (one, _) = body(Operation::Index, 0, documents(1));
        let check = |bytes_max, count, want| {
            let (body, taken) = body(Operation::Index, bytes_max, documents(count));
            assert_eq!((body.len(), taken), (want * one.len(), want), "{bytes_max}");
        };
        check(0, 3, 1);
        check(one.len(), 3, 1);
        check(2 * one.len() - 1, 3, 1);
        check(2 * one.len(), 3, 2);
        check(1 << 30, 3, 3);
        check(1 << 30, DOCUMENTS_MAX + 1, DOCUMENTS_MAX);
        check(1 << 30, 0, 0);
    }
}
