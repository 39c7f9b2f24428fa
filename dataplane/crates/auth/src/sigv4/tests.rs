//! Against AWS's own signer, its documented example, and damage.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;

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
    fn verify(&self, secret_key: &str, now: UnixMillis) -> Result<(), AuthError> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let parts = RequestParts {
            method: "POST",
            path: &self.path,
            query: &self.query,
            headers: &headers,
        };
        SignedRequest::parse(parts)?.verify(secret_key, body_sha256(&self.body), now)
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

#[test]
fn the_documented_example_is_verified() {
    // The "get-vanilla" case of AWS's test suite, by its published signature.
    let headers = [
        ("host", "example.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
    ];
    let parts = RequestParts { method: "GET", path: "/", query: "", headers: &headers };
    let request = SignedRequest::parse(parts).unwrap();
    assert_eq!(request.access_key(), ACCESS_KEY);
    assert_eq!(request.verify(SECRET_KEY, body_sha256(b""), NOW), Ok(()));
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

#[test]
fn incomplete_signatures_say_what_is_missing() {
    let check = |headers: &[(&str, &str)], query: &str, want: &str| {
        let parts = RequestParts { method: "POST", path: "/", query, headers };
        let error = SignedRequest::parse(parts).unwrap_err();
        let text = format!("{}: {error}", error.code());
        assert!(text.starts_with(want), "{text}");
    };
    check(&[], "", "MissingAuthenticationTokenException: Missing Authentication Token");
    check(&[("authorization", "Bearer x")], "", "IncompleteSignatureException: Unsupported AWS");
    check(
        &[("authorization", "AWS4-HMAC-SHA256 Credential=a")],
        "",
        "IncompleteSignatureException: Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires \
         existence of either",
    );
    check(
        &[],
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "IncompleteSignatureException: AWS query-string parameters must include 'X-Amz-Credential'.",
    );
    check(
        &[("authorization", "AWS4-HMAC-SHA256 x")],
        "X-Amz-Signature=1",
        "InvalidSignatureException: Found both",
    );
}

proptest! {
    #[test]
    fn a_change_of_any_signed_part_is_noticed(
        what in 0..3_usize, at in any::<prop::sample::Index>(), flip in 1..128_u8, in_query: bool
    ) {
        let location =
            if in_query { SignatureLocation::QueryParams } else { SignatureLocation::Headers };
        let signed = sign_with_sdk("/path", "a=b", b"some body", location);
        let mut changed = signed.clone();
        match what {
            0 => {
                let at = at.index(changed.body.len());
                changed.body[at] ^= flip;
            }
            1 => changed.path.push((b'a' + flip % 26).into()),
            _ => {
                let target = changed.headers.iter_mut().find(|(name, _)| name == "x-amz-target");
                target.unwrap().1.push((b'a' + flip % 26).into());
            }
        }
        prop_assert!(changed.verify(SECRET_KEY, NOW).is_err());
        prop_assert!(signed.verify(SECRET_KEY, NOW).is_ok());
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

    #[test]
    fn timestamps_come_back(seconds in 0..253_402_300_799_u64) {
        let text = timestamp(UnixMillis(seconds * 1_000));
        prop_assert_eq!(parse_timestamp(&text), Some(UnixMillis(seconds * 1_000)));
    }
}
