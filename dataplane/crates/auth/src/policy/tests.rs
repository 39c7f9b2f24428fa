//! Whom policies let do what, and what is no policy.

use super::*;

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";

fn caller(account: &str, user: &str) -> Caller {
    let source_ip = IpAddr::from([192, 0, 2, 7]);
    Caller { account: account.into(), user: user.into(), source_ip, is_secure: false }
}

fn policy(statement: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#))
}

#[track_caller]
fn check(statement: &str, caller: &Caller, action: &str, want: Verdict) {
    let policy = policy(statement).unwrap();
    assert_eq!(policy.evaluate(caller, action, STREAM), want);
}

#[test]
fn statements_are_about_principals_actions_and_resources() {
    let ann = caller("111111111111", "ann");
    let say = |effect: &str, principal: &str, action: &str, resource: &str| {
        format!(
            r#"{{"Effect":"{effect}","Principal":{principal},"Action":{action},"Resource":"{resource}"}}"#
        )
    };
    let allow = |principal: &str| say("Allow", principal, r#""kinesis:PutRecord""#, STREAM);
    for principal in [
        r#""*""#,
        r#"{"AWS":"*"}"#,
        r#"{"AWS":"111111111111"}"#,
        r#"{"AWS":["222222222222","arn:aws:iam::111111111111:root"]}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/ann"}"#,
    ] {
        check(&allow(principal), &ann, "kinesis:PutRecord", Verdict::Allow);
        check(&allow(principal), &ann, "kinesis:GetRecords", Verdict::Silent);
    }
    for other in [
        r#"{"AWS":"222222222222"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#,
        r#"{"Service":"lambda.amazonaws.com"}"#,
    ] {
        check(&allow(other), &ann, "kinesis:PutRecord", Verdict::Silent);
    }
    let many = say("Allow", r#""*""#, r#"["KINESIS:put*","kinesis:Describe?tream"]"#, "*");
    check(&many, &ann, "kinesis:PutRecords", Verdict::Allow);
    check(&many, &ann, "kinesis:DescribeStream", Verdict::Allow);
    check(&many, &ann, "kinesis:GetRecords", Verdict::Silent);
    let elsewhere = say("Allow", r#""*""#, r#""*""#, "arn:aws:kinesis:*:*:stream/other");
    check(&elsewhere, &ann, "kinesis:PutRecord", Verdict::Silent);
    let but = r#"{"Effect":"Deny","Principal":"*","NotAction":"kinesis:Get*","Resource":"*"}"#;
    check(but, &ann, "kinesis:PutRecord", Verdict::Deny);
    check(but, &ann, "kinesis:GetRecords", Verdict::Silent);
    let both = format!("[{},{}]", say("Deny", r#""*""#, r#""*""#, "*"), allow(r#""*""#));
    check(&both, &ann, "kinesis:PutRecord", Verdict::Deny);
}

#[test]
fn conditions_narrow_a_statement() {
    let ann = caller("111111111111", "ann");
    let check = |condition: &str, want: bool| {
        let statement = format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{condition}}}"#
        );
        let want = if want { Verdict::Allow } else { Verdict::Silent };
        assert_eq!(policy(&statement).unwrap().evaluate(&ann, "x", STREAM), want, "{condition}");
    };
    check(r#"{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}"#, true);
    check(r#"{"StringEquals":{"aws:principalaccount":["1","2"]}}"#, false);
    check(r#"{"StringNotEquals":{"aws:PrincipalAccount":"2"}}"#, true);
    check(r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a*"}}"#, true);
    check(r#"{"ArnNotLike":{"aws:PrincipalArn":"*:user/ann"}}"#, false);
    check(r#"{"StringEqualsIfExists":{"aws:PrincipalAccount":"111111111111"}}"#, true);
    check(r#"{"Bool":{"aws:SecureTransport":"true"}}"#, false);
    check(r#"{"Bool":{"aws:SecureTransport":false}}"#, true);
    check(r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, true);
    check(r#"{"IpAddress":{"aws:SourceIp":["192.0.3.0/24","::/0"]}}"#, false);
    check(r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.7"}}"#, false);
    check(r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, true);
    check(
        r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"},"Bool":{"aws:SecureTransport":"true"}}"#,
        false,
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    let check = |text: &str, want: &str| {
        let error = Policy::parse(text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    };
    let statement =
        |more: &str| format!(r#"{{"Statement":{{"Effect":"Allow","Principal":"*",{more}}}}}"#);
    check("", "EOF");
    check("{}", "missing field `Statement`");
    check(r#"{"Statement":[]}"#, "at least one Statement");
    check(r#"{"Version":"2020-01-01","Statement":[]}"#, "Version 2020-01-01");
    check(&statement(r#""Action":"*""#), "statement 1: either Resource or NotResource");
    check(&statement(r#""Action":[],"Resource":"*""#), "Action is empty");
    let more = r#""Action":"*","NotAction":"x","Resource":"*""#;
    check(&statement(more), "either Action or NotAction");
    let condition = |condition: &str| {
        statement(&format!(r#""Action":"*","Resource":"*","Condition":{condition}"#))
    };
    check(&condition(r#"{"DateLess":{"aws:CurrentTime":"x"}}"#), "Condition DateLess");
    check(&condition(r#"{"StringEquals":{"aws:Nope":"x"}}"#), "key aws:Nope");
    check(&condition(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#), "no network");
    check(
        r#"{"Statement":{"Effect":"Maybe","Principal":"*","Action":"*","Resource":"*"}}"#,
        "Maybe",
    );
    check(&condition(r#"{"IpAddress":{"aws:PrincipalArn":"10.0.0.0/8"}}"#), "says nothing about");
    check(&condition(r#"{"StringNotEquals":{"aws:PrincipalArn":[]}}"#), "wants texts");
    let twice = r#"{"IpAddress":{"aws:SourceIp":"::/0"},"IpAddress":{"aws:SourceIp":"10.0.0.1"}}"#;
    check(&condition(twice), "IpAddress is there twice");
    check(&condition(r#"{"StringLike":{"aws:PrincipalArn":"*/${aws:username}"}}"#), "variable");
    for principal in [
        r#""bob""#,
        r#"{"AWS":"bob"}"#,
        r#"{"AWS":[]}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/*"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:role/x"}"#,
        r#"{"Canonical":"x"}"#,
        "1",
    ] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"*","Resource":"*"}}}}"#
        );
        check(&text, "Principal");
    }
    check(
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"*","AWS":"222222222222"},"Action":"*","Resource":"*"}}"#,
        "AWS is there twice",
    );
    check(&"x".repeat(BYTES_MAX + 1), "20481 bytes");
}

#[test]
fn a_policy_is_about_the_resource_that_has_it() {
    let check = |action: &str, resource: &str, want: &str| {
        let statement = format!(
            r#"{{"Effect":"Deny","Principal":"*","Action":"{action}","Resource":"{resource}"}}"#
        );
        let actions = ["kinesis:PutRecord".to_owned(), "kinesis:GetRecords".to_owned()];
        let checked = policy(&statement).unwrap().check_is_about(STREAM, &actions);
        let got = checked.map_or_else(|error| error.to_string(), |()| "fine".to_owned());
        assert!(got.contains(want), "{got}");
    };
    check("kinesis:PutRecord", STREAM, "fine");
    check("KINESIS:put*", "*", "fine");
    check("*", "arn:aws:kinesis:*:*:stream/*", "fine");
    check("kinesis:PutRecrod", STREAM, "no action kinesis:PutRecrod");
    check("s3:GetObject", STREAM, "no action s3:GetObject");
    check("*", "arn:aws:kinesis:us-east-1:000000000000:stream/other", "stream/other is not");
}

#[test]
fn patterns_match_all_of_a_text() {
    let check = |pattern: &str, text: &str, want: bool| {
        assert_eq!(is_like(pattern, text), want, "{pattern} {text}");
    };
    check("*", "", true);
    check("", "", true);
    check("", "a", false);
    check("a*c", "abbbc", true);
    check("a*c", "abbbcd", false);
    check("*a*a*", "xaxax", true);
    check("a?c", "abc", true);
    check("a?c", "ac", false);
    check("**b", "aab", true);
    // No pattern takes longer than its length times the text's.
    check(&"a*".repeat(2_000), &"a".repeat(3_000), true);
    check(&format!("{}b", "a*".repeat(2_000)), &"a".repeat(3_000), false);
}
