use expect_test::{Expect, expect};
use reqwest::header::{HeaderValue, RETRY_AFTER};

use super::*;
use crate::sinks::testing::NOW;

fn reply_of(status: u16, body: &str) -> Reply {
    Reply { status, body: body.into(), ..Reply::default() }
}

/// As in `done, again 429, refused 400 why`.
fn outline(verdict: Verdict) -> String {
    let text = |what: &str, failure: Failure| format!("{what} {}", failure.code);
    let fates = match verdict {
        Verdict::Items(fates) => fates,
        Verdict::TooLarge(failure) => return text("all too large", failure),
        Verdict::Again(failure, pause) => {
            let pause = pause.map(|pause| format!(" in {}s", pause.as_secs()));
            return text("all again", failure) + &pause.unwrap_or_default();
        }
    };
    let fates = fates.into_iter().map(|fate| match fate {
        Fate::Done => "done".to_owned(),
        Fate::NeedsCreate => "needs create".to_owned(),
        Fate::Again(failure) => text("again", failure),
        Fate::Refused(failure) => text("refused", failure),
    });
    fates.collect::<Vec<_>>().join(", ")
}

fn check(operation: Operation, items: &str, want: &str) {
    let sent = items.matches("\"status\"").count();
    let body = format!(r#"{{"errors":true,"items":[{items}]}}"#);
    let verdict = judge(&reply_of(200, &body), operation, sent, NOW);
    assert_eq!(outline(verdict), want, "{items}");
}

#[test]
fn each_document_has_its_own_fate() {
    let item = |status: u16, kind: &str| {
        format!(r#"{{"index":{{"status":{status},"error":{{"type":"{kind}","reason":"why"}}}}}}"#)
    };
    check(Operation::Index, "", "");
    check(Operation::Index, r#"{"index":{"status":201}}"#, "done");
    check(Operation::Index, r#"{"index":{"_id":"x","status":200,"result":"updated"}}"#, "done");
    for (status, want) in [
        (400, "refused 400"),
        (404, "refused 404"),
        (405, "refused 405"),
        (409, "again 409"),
        (401, "again 401"),
        (403, "again 403"),
        (429, "again 429"),
        (500, "again 500"),
        (503, "again 503"),
    ] {
        check(Operation::Index, &item(status, "some_exception"), want);
    }
    let mixed = [item(429, "x"), r#"{"index":{"status":201}}"#.into(), item(400, "y")].join(",");
    check(Operation::Index, &mixed, "again 429, done, refused 400");
    check(Operation::Create, r#"{"create":{"status":201}}"#, "done");
    let conflict = item(409, "version_conflict_engine_exception").replace("index", "create");
    check(Operation::Create, &conflict, "done");
    // Elasticsearch before 5 said only this.
    check(Operation::Index, r#"{"index":{"status":400,"error":"why"}}"#, "refused 400");
}

#[test]
fn a_data_stream_asks_for_create() {
    let item = r#"{"index":{"status":400,"error":{"type":"illegal_argument_exception",
        "reason":"only write ops with an op_type of create are allowed in data streams"}}}"#;
    check(Operation::Index, item, "needs create");
    check(Operation::Create, &item.replace("\"index\"", "\"create\""), "refused 400");
}

#[test]
fn a_refusal_carries_the_reason_of_the_server() {
    let check = |error: &str, want: Expect| {
        let body = format!(r#"{{"items":[{{"index":{{"status":400,"error":{error}}}}}]}}"#);
        let verdict = judge(&reply_of(200, &body), Operation::Index, 1, NOW);
        let Verdict::Items(fates) = verdict else { panic!("{verdict:?}") };
        let Fate::Refused(failure) = &fates[0] else { panic!("{fates:?}") };
        want.assert_eq(&failure.message);
    };
    check(
        r#"{"type": "mapper_parsing_exception", "reason": "failed to parse field [n]"}"#,
        expect![[r#"{"reason":"failed to parse field [n]","type":"mapper_parsing_exception"}"#]],
    );
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(9_999));
    let body = format!(r#"{{"items":[{{"index":{{"status":400,"error":{long}}}}}]}}"#);
    let Verdict::Items(fates) = judge(&reply_of(200, &body), Operation::Index, 1, NOW) else {
        panic!()
    };
    let Fate::Refused(failure) = &fates[0] else { panic!("{fates:?}") };
    assert_eq!(failure.message.len(), 1_027);
}

#[test]
fn a_whole_request_is_taken_again_when_no_document_is_to_blame() {
    let check = |status: u16, body: &str, want: &str| {
        let verdict = judge(&reply_of(status, body), Operation::Index, 2, NOW);
        assert_eq!(outline(verdict), want, "{status} {body}");
    };
    for status in [300, 307, 400, 401, 403, 404, 405, 429, 500, 502, 503, 504] {
        check(status, "<html>", &format!("all again {status}"));
    }
    check(413, "", "all too large 413");
    check(200, "", "all again OS.ServiceException");
    check(200, r#"{"items":[{"delete":{"status":200}}]}"#, "all again OS.ServiceException");
    check(200, r#"{"items":[{"index":{"status":9999999}}]}"#, "all again OS.ServiceException");
    check(200, r#"{"items":[]}"#, "all again OS.ResponseEntryCountMismatch");
    let mut busy = reply_of(429, "");
    busy.headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
    assert_eq!(outline(judge(&busy, Operation::Index, 2, NOW)), "all again 429 in 3s");
    let cut = Reply { is_cut: true, ..reply_of(200, "{") };
    let verdict = judge(&cut, Operation::Index, 2, NOW);
    assert_eq!(outline(verdict), "all too large OS.ServiceException");
}
