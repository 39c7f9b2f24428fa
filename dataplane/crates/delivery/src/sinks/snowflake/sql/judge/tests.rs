use serde_json::json;

use super::*;
use crate::sinks::testing::NOW;

fn check(status: u16, body: &str, want: &str) {
    let reply = Reply { status, body: body.into(), ..Reply::default() };
    let got = match inserted(&reply, NOW) {
        Answer::Given(()) => "given".into(),
        Answer::Running(path) => format!("running {path}"),
        Answer::LoggedOut(not_now) => format!("logged out {}", not_now.failure.code),
        Answer::BadData(failure) => format!("bad data {}: {}", failure.code, failure.message),
        Answer::Failed(not_now) => format!("failed {}", not_now.failure.code),
    };
    assert_eq!(got, want, "{status} {body}");
}

#[test]
fn a_reply_says_what_became_of_a_statement() {
    check(200, r#"{"success": true, "code": null, "data": {"rowset": [["2"]]}}"#, "given");
    let running = r#"{"code": "333333", "data": {"getResultUrl": "/queries/1/result"}}"#;
    check(200, running, "running /queries/1/result");
    let elsewhere = r#"{"code": "333333", "data": {"getResultUrl": "@example.com/"}}"#;
    check(200, elsewhere, "failed Snowflake.ServiceException");
    for code in ["390112", "390104"] {
        let body = json!({"success": false, "code": code}).to_string();
        check(200, &body, "logged out Snowflake.AccessDenied");
        check(401, &body, "logged out Snowflake.AccessDenied");
    }
    check(401, "", "logged out Snowflake.AccessDenied");
    for (code, want) in [
        ("100038", "bad data Snowflake.InvalidValue: 100038: 'x' is no number"),
        ("100072", "bad data Snowflake.MissingColumns: 100072: 'x' is no number"),
        ("100069", "bad data Snowflake.InvalidInput: 100069: 'x' is no number"),
        ("002003", "failed Snowflake.NotFound"),
        ("003001", "failed Snowflake.AccessDenied"),
        ("390144", "failed Snowflake.AccessDenied"),
        ("000606", "failed Snowflake.ServiceException"),
    ] {
        let body = json!({"success": false, "code": code, "message": "'x' is no number"});
        check(200, &body.to_string(), want);
    }
    check(
        200,
        r#"{"success": false, "code": 100038, "message": "m"}"#,
        "bad data Snowflake.InvalidValue: 100038: m",
    );
    check(503, "{}", "failed Snowflake.ServiceBusy");
    check(500, r#"{"success": false, "code": "261000"}"#, "failed Snowflake.ServiceException");
    check(200, "<html>", "failed Snowflake.ServiceException");
    check(200, "{}", "failed Snowflake.ServiceException");
}

#[test]
fn columns_are_what_a_query_would_have() {
    let body = json!({"success": true, "data": {"rowtype": [
        {"name": "A", "type": "fixed", "precision": 38, "scale": 0, "nullable": true},
        {"name": "B", "type": "text", "precision": null, "scale": null, "length": 16},
    ]}});
    let reply = Reply { status: 200, body: body.to_string().into(), ..Reply::default() };
    let column = |name: &str, kind: &str, precision, scale| Column {
        name: name.into(),
        kind: kind.into(),
        precision,
        scale,
    };
    let want = vec![column("A", "fixed", Some(38), Some(0)), column("B", "text", None, None)];
    assert_eq!(described(&reply, NOW), Answer::Given(want));
}
