use super::*;
use crate::sinks::testing::record;

#[test]
fn events_are_json_objects_with_something_in_event() {
    for good in [
        "",
        "\n",
        r#"{"event":"x"}"#,
        r#"{"event":{"a":1},"time":1}{"event":[]}"#,
        "{\"event\":0}\n{\"event\":false}\n{\"event\":-1}{\"event\":1.5}",
        r#"{"index":"main","event":"\u00e9"}"#,
    ] {
        assert!(is_events(good.as_bytes()), "{good}");
    }
    let deep = format!("{{\"event\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(is_events(deep.as_bytes()));
    for bad in [
        "text",
        "1",
        "{}",
        r#"{"event":null}"#,
        r#"{"event":""}"#,
        r#"{"event":"x"}{"event":""}"#,
        r#"{"event":"x"} text"#,
        r#"{"event":"x""#,
        r#"[{"event":"x"}]"#,
    ] {
        assert!(!is_events(bad.as_bytes()), "{bad}");
    }
    assert!(!is_events(b"{\"event\":\"\xff\"}"));
}

#[test]
fn requests_are_five_mib_at_most() {
    let large = vec![b'x'; 2 << 20];
    let records = [record(0, "x"), record(1, &large), record(2, &large), record(3, &large)];
    let check = |range: Range<usize>, want: &[Range<usize>]| {
        let mut found = Vec::new();
        parts(&records, range, &mut found);
        assert_eq!(found, want);
    };
    check(0..4, &[0..3, 3..4]);
    check(1..4, &[1..3, 3..4]);
    check(0..1, std::slice::from_ref(&(0..1)));
    check(2..2, &[]);
    let mut found = Vec::new();
    parts(&[record(0, vec![0; 6 << 20]), record(1, "x")], 0..2, &mut found);
    assert_eq!(found, [0..1, 1..2]);
}

#[test]
fn cookies_are_given_back() {
    let mut cookies = Cookies::default();
    assert_eq!(cookies.header(), None);
    let mut learn = |set: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in set {
            headers.append(SET_COOKIE, HeaderValue::from_str(value).unwrap());
        }
        cookies.learn(&headers);
        cookies.header().map(|header| header.to_str().unwrap().to_owned())
    };
    assert_eq!(learn(&["", "junk", "=x", "; a=b"]), None);
    assert_eq!(learn(&["AWSELB=1; Path=/; Secure", "b=x=y"]).as_deref(), Some("AWSELB=1; b=x=y"));
    assert_eq!(learn(&["AWSELB=2"]).as_deref(), Some("b=x=y; AWSELB=2"));
    let large = format!("c={}", "x".repeat(COOKIE_BYTES_MAX));
    assert_eq!(learn(&[&large]).as_deref(), Some("b=x=y; AWSELB=2"));
    let many: Vec<String> = (0..99).map(|at| format!("m{at}=0")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(learn(&many).unwrap().split(';').count(), COOKIES_MAX);
}
