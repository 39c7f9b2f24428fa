use super::*;
use crate::sinks::testing::NOW;

fn reply_of(status: u16, body: &str) -> Reply {
    Reply { status, body: body.into(), ..Reply::default() }
}

fn name(failure: &Failure) -> &str {
    failure.code.strip_prefix("Splunk.").unwrap_or(&failure.code)
}

#[test]
fn each_number_of_splunk_is_a_code_of_aws() {
    let check = |status: u16, code: u64, want: &str| {
        let body = format!(r#"{{"text":"why","code":{code},"ackId":5}}"#);
        for is_event in [false, true] {
            let got = match posted(&reply_of(status, &body), is_event, NOW) {
                Posted::Accepted(id) => format!("accepted {id}"),
                Posted::Unacknowledged(failure) => format!("unacknowledged {}", name(&failure)),
                Posted::Spoiled(failure) => format!("spoiled {}", name(&failure)),
                Posted::Again(failure, _) => format!("again {}", name(&failure)),
            };
            let (of_raw, of_event) = want.split_once(" | ").unwrap_or((want, want));
            assert_eq!(got, if is_event { of_event } else { of_raw }, "{status} {code}");
        }
    };
    check(200, 0, "accepted 5");
    check(403, 1, "again DisabledToken");
    check(401, 2, "again InvalidToken");
    check(401, 3, "again InvalidToken");
    check(403, 4, "again InvalidToken");
    check(400, 5, "spoiled InvalidDataFormat");
    check(400, 6, "spoiled InvalidDataFormat");
    check(400, 7, "again InvalidIndex | spoiled InvalidIndex");
    check(500, 8, "again ServerError");
    check(503, 9, "again IndexerBusy");
    check(400, 10, "again ProxyWithoutStickySessions");
    check(400, 11, "again ProxyWithoutStickySessions");
    check(400, 12, "spoiled InvalidDataFormat");
    check(400, 13, "spoiled InvalidDataFormat");
    check(400, 14, "unacknowledged DisabledAck");
    check(400, 15, "spoiled InvalidDataFormat");
    check(503, 23, "again IndexerBusy");
    check(429, 26, "again IndexerBusy");
    check(418, 99, "again ServerError");
}

#[test]
fn replies_without_a_number_are_judged_by_their_status() {
    let check = |status: u16, body: &str, want: Posted| {
        let got = posted(&reply_of(status, body), false, NOW);
        assert_eq!(got, want, "{status} {body}");
    };
    let again = |code, text| Posted::Again(Failure::new(code, text), None);
    check(401, "", again("Splunk.InvalidToken", "401: "));
    check(404, "gone", again("Splunk.InvalidEndpoint", "404: gone"));
    check(307, "", again("Splunk.InvalidEndpoint", "307: "));
    check(413, "", Posted::Spoiled(Failure::new("Splunk.InvalidDataFormat", "413: ")));
    check(503, "<html>", again("Splunk.IndexerBusy", "503: <html>"));
    check(502, "", again("Splunk.ServerError", "502: "));
    check(200, "", again("Splunk.ServerError", "200: "));
    check(200, "[]", again("Splunk.ServerError", "200: []"));
    let unacknowledged = posted(&reply_of(200, r#"{"text":"Success","code":0}"#), true, NOW);
    assert!(matches!(unacknowledged, Posted::Unacknowledged(_)), "{unacknowledged:?}");
}

#[test]
fn only_what_is_true_is_acknowledged() {
    let check = |status: u16, body: &str, want: &str| {
        let got = match polled(&reply_of(status, body)) {
            Polled::Acknowledged(ids) => format!("{ids:?}"),
            Polled::NotNow => "not now".to_owned(),
            Polled::Never(failure) => format!("never {}", name(&failure)),
        };
        assert_eq!(got, want, "{status} {body}");
    };
    check(200, r#"{"acks":{"0":true,"1":false,"12":true,"x":true}}"#, "[0, 12]");
    check(200, r#"{"acks":{}}"#, "[]");
    check(200, r#"{"acks":{"0":"yes"}}"#, "not now");
    check(200, "", "not now");
    check(500, r#"{"acks":{"0":true}}"#, "not now");
    check(503, r#"{"code":9}"#, "not now");
    check(400, r#"{"text":"ACK is disabled","code":14}"#, "never DisabledAck");
    check(400, r#"{"text":"Invalid data channel","code":11}"#, "never ProxyWithoutStickySessions");
    check(403, r#"{"text":"Invalid token","code":4}"#, "never InvalidToken");
    check(403, r#"{"text":"Token disabled","code":1}"#, "never DisabledToken");
}

#[test]
fn whatever_hinders_a_request_has_a_code_of_aws() {
    let text = || "why".to_owned();
    let tls = |is_wrong_name| TransferError::Tls { reason: text(), is_wrong_name };
    for (error, want) in [
        (TransferError::Timeout, "ConnectionTimeout"),
        (TransferError::ConnectTimeout, "ConnectionTimeout"),
        (TransferError::Lost(text()), "ConnectionClosed"),
        (TransferError::Connect(text()), "InvalidEndpoint"),
        (tls(true), "SSLUnverified"),
        (tls(false), "SSLHandshake"),
    ] {
        assert_eq!(name(&failure(&error)), want);
    }
}
