//! Against the signatures AWS publishes, its own signer, and damage.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;
use crate::credentials::{Authenticator, CredentialStore};

mod published;

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z.
const NOW: UnixMillis = UnixMillis(1_440_938_160_000);

/// A signed request, owned.
#[derive(Clone, Debug)]
struct Signed {
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Signed {
    fn authenticate(&self, authenticator: &Authenticator) -> Result<(), AuthError> {
        let hash = body_sha256(&self.body);
        self.parse(|request| authenticator.authenticate(&request, || hash, NOW).map(drop))
    }

    fn verify(&self, secret_key: &str, now: UnixMillis) -> Result<(), AuthError> {
        self.parse(|request| request.verify(secret_key, body_sha256(&self.body), now))
    }

    fn parse(
        &self,
        then: impl FnOnce(SignedRequest<'_>) -> Result<(), AuthError>,
    ) -> Result<(), AuthError> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let parts = RequestParts {
            method: "POST",
            path: &self.path,
            query: &self.query,
            headers: &headers,
        };
        then(SignedRequest::parse(parts)?)
    }
}

/// Signs as the AWS SDK for Rust does.
fn sign_with_sdk(path: &str, query: &str, body: &[u8], location: SignatureLocation) -> Signed {
    let identity = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into();
    let mut settings = SigningSettings::default();
    if location == SignatureLocation::QueryParams {
        settings.expires_in = Some(Duration::from_secs(300));
    }
    settings.signature_location = location;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("kinesis")
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(NOW.0))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = match query {
        "" => format!("http://localhost:4567{path}"),
        query => format!("http://localhost:4567{path}?{query}"),
    };
    let headers = [
        ("host", "localhost:4567"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "Kinesis_20131202.ListStreams"),
    ];
    let signable =
        SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body));
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    let mut request = http::Request::builder().method("POST").uri(&uri).body(()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    instructions.apply_to_request_http1x(&mut request);
    Signed {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: body.to_vec(),
    }
}

const REQUESTS: [(&str, &str); 5] = [
    ("/", ""),
    ("/", "b=2&a=1&a=%20%2Fx"),
    ("/path%20with/odd~characters", "empty=&novalue"),
    ("/streams/a%2Fb", "x=%C3%BC"),
    ("/a/b/", ""),
];

#[test]
fn what_the_sdk_signs_is_verified() {
    for (path, query) in REQUESTS {
        for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
            let signed = sign_with_sdk(path, query, b"{}", location);
            assert_eq!(signed.verify(SECRET_KEY, NOW), Ok(()), "{path}?{query}");
            assert!(matches!(signed.verify("other", NOW), Err(AuthError::InvalidSignature(_))));
        }
    }
}

#[test]
fn what_we_sign_is_what_the_sdk_signs() {
    for (path, query) in REQUESTS {
        let signed = sign_with_sdk(path, query, b"{}", SignatureLocation::Headers);
        let (authorization, others): (Vec<_>, Vec<_>) =
            signed.headers.iter().partition(|(name, _)| name == "authorization");
        let headers: Vec<(&str, &str)> =
            others.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let parts = RequestParts { method: "POST", path, query, headers: &headers };
        let signer = Signer {
            access_key: ACCESS_KEY,
            secret_key: SECRET_KEY,
            region: "us-east-1",
            service: "kinesis",
        };
        let ours = SignedRequest::sign(parts, &signer, body_sha256(b"{}"), NOW);
        assert_eq!(ours, authorization[0].1);
    }
}

/// AWS's test suite's presigned get-vanilla-query-order-encoded, good for an hour.
const PRESIGNED: &str = "Param-3=Value3&Param=Value2&%E1%88%B4=Value1&X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request\
    &X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600\
    &X-Amz-Signature=c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787";

#[test]
fn a_presigned_request_is_good_for_as_long_as_it_says() {
    let headers = [("host", "example.amazonaws.com")];
    let parts = RequestParts { method: "GET", path: "/", query: PRESIGNED, headers: &headers };
    let request = SignedRequest::parse(parts).unwrap();
    let check = |seconds: i64, want: Result<(), &str>| {
        let now = UnixMillis(NOW.0.saturating_add_signed(seconds * 1_000));
        let got = request.verify(SECRET_KEY, body_sha256(b""), now);
        assert_eq!(got.map_err(|error| error.code()), want, "{seconds}");
    };
    check(-301, Err("InvalidSignatureException"));
    check(-300, Ok(()));
    check(3_600, Ok(()));
    check(3_601, Err("ExpiredTokenException"));
}

#[test]
fn a_presigned_request_may_bring_its_session_token_in_the_query() {
    let query = format!("{PRESIGNED}&X-Amz-Security-Token=a%2Fb");
    let headers = [("host", "example.amazonaws.com")];
    let parts = RequestParts { method: "GET", path: "/", query: &query, headers: &headers };
    assert_eq!(SignedRequest::parse(parts).unwrap().security_token(), Some("a/b"));
}

#[test]
fn the_body_hash_that_was_signed_must_be_the_body_s() {
    let date = timestamp(NOW);
    let check = |claimed: &str, body_is_that_hash: bool| {
        let signed = [("host", "h"), ("x-amz-date", &date), ("x-amz-content-sha256", claimed)];
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &signed };
        let signer = Signer {
            access_key: ACCESS_KEY,
            secret_key: SECRET_KEY,
            region: "us-east-1",
            service: "kinesis",
        };
        let authorization = SignedRequest::sign(parts, &signer, body_sha256(b"{}"), NOW);
        let headers: Vec<(&str, &str)> =
            signed.into_iter().chain([("authorization", authorization.as_str())]).collect();
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let request = SignedRequest::parse(parts).unwrap();
        let got = request.verify(SECRET_KEY, body_sha256(b"{}"), NOW);
        assert_eq!(got.is_ok(), body_is_that_hash, "{claimed}: {got:?}");
    };
    check("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", true);
    check("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", false);
    check("UNSIGNED-PAYLOAD", false);
    check("", false);
}

#[test]
fn a_signature_for_one_service_is_none_for_another() {
    let signed = sign_with_sdk("/", "", b"{}", SignatureLocation::Headers);
    let headers: Vec<(&str, &str)> =
        signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    let request = SignedRequest::parse(parts).unwrap();
    assert_eq!(request.check_service("kinesis"), Ok(()));
    assert_eq!(
        request.check_service("firehose").unwrap_err().to_string(),
        "Credential should be scoped to correct service: 'firehose'."
    );
}

#[test]
fn a_target_outside_the_signature_is_refused() {
    let date = timestamp(NOW);
    let signed = [("host", "h"), ("x-amz-date", date.as_str())];
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &signed };
    let signer = Signer { access_key: "a", secret_key: "b", region: "r", service: "kinesis" };
    let authorization = SignedRequest::sign(parts, &signer, body_sha256(b"{}"), NOW);
    let target = ("x-amz-target", "Kinesis_20131202.DeleteStream");
    let headers: Vec<(&str, &str)> =
        signed.into_iter().chain([target, ("authorization", authorization.as_str())]).collect();
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    let refused = SignedRequest::parse(parts).unwrap().verify("b", body_sha256(b"{}"), NOW);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."
    );
}

#[test]
fn a_request_is_good_for_five_minutes_either_way() {
    let signed = sign_with_sdk("/", "", b"{}", SignatureLocation::Headers);
    let at = |seconds: i64| UnixMillis(NOW.0.saturating_add_signed(seconds * 1_000));
    for seconds in [-300, 0, 300] {
        assert_eq!(signed.verify(SECRET_KEY, at(seconds)), Ok(()), "{seconds}");
    }
    for (seconds, want) in [
        (
            301,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)",
        ),
        (
            -301,
            "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)",
        ),
    ] {
        let refused = signed.verify(SECRET_KEY, at(seconds)).unwrap_err();
        assert_eq!(refused.to_string(), want);
    }
}

/// Code and message of a request that is not even parsed.
fn check_refused(headers: &[(&str, &str)], query: &str, want: &str) {
    let parts = RequestParts { method: "POST", path: "/", query, headers };
    let error = SignedRequest::parse(parts).unwrap_err();
    assert_eq!(format!("{}: {error}", error.code()), want);
}

#[test]
fn refusals_name_what_is_missing() {
    check_refused(&[], "", "MissingAuthenticationTokenException: Missing Authentication Token");
    check_refused(
        &[("authorization", "X")],
        "",
        "IncompleteSignatureException: Authorization header requires 'Credential' parameter. \
         Authorization header requires 'Signature' parameter. Authorization header requires \
         'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header. Authorization=X",
    );
    check_refused(
        &[("authorization", "AWS4-HMAC-SHA256 Signature=b Credential=a"), ("date", "a")],
        "",
        "IncompleteSignatureException: Authorization header requires 'SignedHeaders' parameter. \
         Authorization=AWS4-HMAC-SHA256",
    );
    check_refused(
        &[],
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=x&X-Amz-Signature=y",
        "IncompleteSignatureException: AWS query-string parameters must include \
         'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. \
         Re-examine the query-string parameters.",
    );
    let both = "InvalidSignatureException: Found both 'X-Amz-Algorithm' as a query-string param and \
                'Authorization' as HTTP header.";
    check_refused(&[("authorization", "AWS4-HMAC-SHA256 x")], "X-Amz-Signature=1", both);
}

#[test]
fn refusals_name_what_is_wrong() {
    let check = |algorithm: &str, scope: &str, names: &str, date: &str, want: &str| {
        let authorization =
            format!("{algorithm} Credential=AK/{scope}, SignedHeaders={names}, Signature=00");
        check_refused(&[("authorization", &authorization), ("x-amz-date", date)], "", want);
    };
    let (algorithm, scope) = ("AWS4-HMAC-SHA256", "20150830/us-east-1/kinesis/aws4_request");
    let date = "20150830T123600Z";
    check(
        "AWS4-HMAC-SHA1",
        scope,
        "host",
        date,
        "IncompleteSignatureException: Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'.",
    );
    check(
        algorithm,
        "20150830/us-east-1",
        "host",
        date,
        "IncompleteSignatureException: Credential must have exactly 5 slash-delimited elements, \
         e.g. keyid/date/region/service/term, got 'AK/20150830/us-east-1'",
    );
    check(
        algorithm,
        "20150830/us-east-1/kinesis/aws5_request",
        "host",
        date,
        "InvalidSignatureException: Credential should be scoped with a valid terminator: \
         'aws4_request', not 'aws5_request'.",
    );
    for other_day in ["2015", "20150831"] {
        check(
            algorithm,
            &format!("{other_day}/us-east-1/kinesis/aws4_request"),
            "host",
            date,
            &format!(
                "InvalidSignatureException: Date in Credential scope does not match YYYYMMDD from \
                 ISO-8601 version of date from HTTP: '{other_day}' != '20150830', from \
                 '20150830T123600Z'."
            ),
        );
    }
    check(
        algorithm,
        scope,
        "host",
        "Sun, 30 Aug 2015 12:36:00 GMT",
        "IncompleteSignatureException: Date must be in ISO-8601 'basic format'. Got 'Sun, 30 Aug \
         2015 12:36:00 GMT'. See http://en.wikipedia.org/wiki/ISO_8601",
    );
    check(
        algorithm,
        scope,
        "x-amz-date",
        date,
        "InvalidSignatureException: 'Host' or ':authority' must be a 'SignedHeader' in the AWS \
         Authorization.",
    );
}

#[test]
fn a_repeated_name_cannot_multiply_a_header() {
    let names = "a;".repeat(50_000) + "host";
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AK/20150830/r/kinesis/aws4_request, SignedHeaders={names}, Signature=00"
    );
    let headers = [("authorization", authorization.as_str()), ("x-amz-date", "20150830T123600Z")];
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    assert_eq!(
        SignedRequest::parse(parts).unwrap_err().to_string(),
        "'a' must be a 'SignedHeader' only once."
    );
}

proptest! {
    #[test]
    fn a_change_of_any_byte_is_noticed(
        what in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        replacement in "[a-z0-9]",
        in_query: bool,
    ) {
        let location =
            if in_query { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let signed = sign_with_sdk("/path", "a=b", b"some body", location);
        let store = "[x]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=".to_owned() + SECRET_KEY;
        let authenticator = Authenticator::Store(CredentialStore::parse(&store).unwrap());
        prop_assert_eq!(signed.authenticate(&authenticator), Ok(()));

        let mut changed = signed.clone();
        let mut body = String::from_utf8(changed.body).unwrap();
        {
            let values = changed.headers.iter_mut().map(|(_, value)| value);
            let mut parts: Vec<&mut String> =
                [&mut changed.path, &mut changed.query, &mut body].into_iter().chain(values).collect();
            let what = what.index(parts.len());
            let at = at.index(parts[what].len());
            // The case of an escape or of a hexadecimal digit carries no meaning.
            prop_assume!(!parts[what][at..=at].eq_ignore_ascii_case(&replacement));
            // Nor does a path without its first slash, which HTTP does not let through.
            prop_assume!(!(what == 0 && at == 0));
            parts[what].replace_range(at..=at, &replacement);
        }
        changed.body = body.into_bytes();
        prop_assert!(changed.authenticate(&authenticator).is_err(), "{:?}", changed);
    }

    #[test]
    fn junk_never_panics(query in ".{0,60}", authorization in ".{0,120}", date in ".{0,20}", path in ".{0,20}") {
        let signed = "AWS4-HMAC-SHA256 ".to_owned() + &authorization;
        for authorization in [&authorization, &signed] {
            let headers = [("authorization", authorization.as_str()), ("x-amz-date", &date)];
            let parts = RequestParts { method: "POST", path: &path, query: &query, headers: &headers };
            if let Ok(request) = SignedRequest::parse(parts) {
                let _ = request.verify("secret", [0; 32], NOW);
            }
        }
    }
}
