use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::sinks::testing::NOW;

const GOOD: &str = r#"{"requestId": "id", "timestamp": 1578090903599}"#;

/// `headers` as `name: value` with `;` between.
fn reply_of(status: u16, headers: &str, body: &str) -> Reply {
    let mut parsed = HeaderMap::new();
    for line in headers.split("; ").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        parsed.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Reply { status, headers: parsed, body: body.into(), is_cut: false }
}

fn check(status: u16, headers: &str, body: &str, want: &str) {
    let (code, message) = match judge("id", &reply_of(status, headers, body), NOW) {
        Verdict::Delivered => ("delivered".to_owned(), "".into()),
        Verdict::Refused(failure) => (format!("refused {}", failure.code), failure.message),
        Verdict::Again(failure, pause) => {
            let pause = pause.map(|pause| format!(" in {}s", pause.as_secs())).unwrap_or_default();
            (format!("again {}{pause}", failure.code), failure.message)
        }
    };
    let code = code.replace("HttpEndpoint.", "");
    let (want_code, want_message) = want.split_once(" | ").unwrap_or((want, ""));
    assert_eq!(code, want_code, "{status} {headers} {body}");
    assert!(message.contains(want_message), "{message}");
}

#[test]
fn only_a_reply_that_keeps_to_the_contract_means_delivered() {
    let headers = "content-type: application/json; content-length: 47";
    check(200, headers, GOOD, "delivered");
    let with_charset = "content-type: Application/JSON;charset=utf-8; content-length: 47";
    check(200, with_charset, GOOD, "delivered");
    let with_more = r#"{"requestId":"id","timestamp":1.5,"errorMessage":null,"x":{}}"#;
    check(200, headers, with_more, "delivered");

    let check = |headers: &str, body: &str, want: &str| {
        check(200, headers, body, &format!("again InvalidResponseFromDestination | {want}"));
    };
    check("content-length: 47", GOOD, "Content-Type");
    check("content-type: text/html; content-length: 47", GOOD, "Content-Type");
    check("content-type: application/json", GOOD, "no Content-Length");
    check(&format!("{headers}; content-encoding: identity"), GOOD, "Content-Encoding");
    check(headers, "", "JSON");
    check(headers, "[]", "JSON");
    check(headers, r#"["id",1]"#, "JSON");
    check(headers, r#"{"requestId":"id","timestamp":"1578090903599"}"#, "JSON");
    check(headers, r#"{"requestId":7,"timestamp":1}"#, "JSON");
    check(headers, r#"{"requestId":null,"timestamp":1}"#, "no requestId");
    check(headers, r#"{"timestamp":1}"#, "no requestId");
    check(headers, r#"{"requestId":"other","timestamp":1}"#, "not that of the request");
    check(headers, r#"{"requestId":"id"}"#, "no timestamp");
}

#[test]
fn only_413_means_refused() {
    check(413, "", "too much", "refused DestinationException | 413: too much");
    for status in [201, 202, 204, 301, 307, 400, 401, 403, 404, 409, 422, 500, 503, 599] {
        let want = format!("again DestinationException | {status}: {{\"errorMessage\":\"no\"}}");
        check(status, "", r#"{"errorMessage":"no"}"#, &want);
    }
    check(429, "retry-after: 9", "", "again DestinationException in 9s");
    check(
        503,
        "retry-after: Thu, 01 Jan 2026 00:00:30 GMT",
        "",
        "again DestinationException in 30s",
    );
}

#[test]
fn replies_that_are_too_large_are_not_believed() {
    let headers = "content-type: application/json; content-length: 9999999";
    let cut = |status| Reply { is_cut: true, ..reply_of(status, headers, GOOD) };
    for status in [200, 500] {
        let Verdict::Again(failure, None) = judge("id", &cut(status), NOW) else { panic!() };
        assert_eq!(failure.code, "HttpEndpoint.ResponseTooLarge");
    }
    assert!(matches!(judge("id", &cut(413), NOW), Verdict::Refused(_)));
}

#[test]
fn whatever_hinders_a_request_has_a_code_of_aws() {
    let text = || "why".to_owned();
    let tls = TransferError::Tls { reason: text(), is_wrong_name: false };
    for (error, want) in [
        (TransferError::Timeout, "RequestTimeout"),
        (TransferError::Lost(text()), "ConnectionReset"),
        (TransferError::Connect(text()), "ConnectionFailed"),
        (TransferError::ConnectTimeout, "ConnectionFailed"),
        (TransferError::Request(text()), "ConnectionFailed"),
        (tls, "SSLHandshakeFailure"),
    ] {
        assert_eq!(failure(&error).code, format!("HttpEndpoint.{want}"));
    }
}
