use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::sinks::testing::NOW;

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.into(), ..Reply::default() }
}

#[test]
fn a_reply_says_what_became_of_rows() {
    let check = |status, body: &str, want: &str| {
        let got = match appended(&reply(status, body), NOW) {
            Appended::Taken(next) => format!("taken {next}"),
            Appended::Lost(failure) => format!("lost {}", failure.code),
            Appended::Spoiled(failure) => format!("spoiled {}", failure.code),
            Appended::NotNow(not_now) => format!("not now {}", not_now.failure.code),
        };
        assert_eq!(got, want, "{status} {body}");
    };
    check(200, r#"{"next_continuation_token":"0_2"}"#, "taken 0_2");
    check(200, "{}", "not now Snowflake.ServiceException");
    check(200, "<html>", "not now Snowflake.ServiceException");
    let stale = r#"{"code":"STALE_CONTINUATION_TOKEN_SEQUENCER","message":"Please reopen"}"#;
    check(400, stale, "lost Snowflake.ChannelLost");
    check(409, r#"{"code":"ERR_CHANNEL_HAS_UNCOMMITTED_DATA"}"#, "lost Snowflake.ChannelLost");
    check(404, "", "lost Snowflake.ChannelLost");
    check(400, r#"{"code":"INVALID_JSON"}"#, "spoiled Snowflake.InvalidInput");
    check(400, r#"{"code":7}"#, "spoiled Snowflake.InvalidInput");
    check(413, "", "spoiled Snowflake.InvalidInput");
    check(401, "", "not now Snowflake.AccessDenied");
    check(403, "", "not now Snowflake.AccessDenied");
    check(429, "", "not now Snowflake.ServiceBusy");
    check(500, "", "not now Snowflake.ServiceException");
    check(302, "", "not now Snowflake.ServiceException");
}

#[test]
fn a_status_is_read_in_either_of_its_forms() {
    let body = json!({"channel_statuses": {"A": {
        "channel_status_code": "ACTIVE", "last_committed_offset_token": "7", "rows_inserted": 3,
        "rows_errors": 2, "last_error_offset_upper_bound": "6", "last_error_message": "no number",
        "last_error_timestamp": 0,
    }, "B": {"channel_status_code": "INVALID", "last_committed_offset_token": null,
        "rows_errors": null, "rows_error_count": 0}}});
    let status = |channel| status(&reply(200, &body.to_string()), channel, NOW).unwrap();
    let of = status("A").unwrap();
    assert_eq!((of.errors(), of.is_active()), (2, true));
    assert_eq!(of.committed.as_deref(), Some("7"));
    assert_eq!(of.error_bound.as_deref(), Some("6"));
    let of = status("B").unwrap();
    assert_eq!((of.errors(), of.is_active(), of.committed), (0, false, None));
    assert_eq!(status("C"), None);
    for (code, body) in [(503, "{}"), (200, "{}"), (200, "")] {
        assert!(super::status(&reply(code, body), "A", NOW).is_err());
    }
    let body = r#"{"next_continuation_token": "t", "channel_status": {"rows_error_count": 4}}"#;
    let opened = opened(&reply(200, body), NOW).unwrap();
    assert_eq!((&opened.continuation[..], opened.status.errors()), ("t", 4));
}

#[test]
fn a_text_comes_bare_or_in_json() {
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    for (status, body, want) in [
        (200, "host.example\n", Some("host.example")),
        (200, "\"host.example\"", Some("host.example")),
        (200, r#"{"hostname": "host.example"}"#, Some("host.example")),
        (200, r#"{"token": "host.example"}"#, None),
        (200, "", None),
        (200, " ", None),
        (200, &long, None),
        (403, "host.example", None),
    ] {
        let got = text(&reply(status, body), "hostname", NOW);
        assert_eq!(got.ok().as_deref(), want, "{body}");
    }
}

#[test]
fn refused_rows_are_told_as_far_as_they_are_known() {
    let check = |refused, sent, want: Expect| {
        let error = Some("no number".to_owned());
        let status = ChannelStatus { error, ..ChannelStatus::default() };
        want.assert_eq(&refused_rows(&status, refused, sent).message);
    };
    check(1, 1, expect!["Snowflake refused the row: no number"]);
    check(
        2,
        9,
        expect![
            "Snowflake refused 2 of 9 rows, stored the others, and does not say which is which: no number"
        ],
    );
}
