//! Signatures that AWS publishes: what they sign must verify. Presigned ones are in `tests`.

use super::*;

/// Cases of AWS's public test suite: method, path, query, signed headers beside host and date, the
/// signature. The key is the documented example's, the time is `NOW`, the body is empty.
type Published = (&'static str, &'static str, &'static str, Headers, &'static str);
type Headers = &'static [(&'static str, &'static str)];

const PUBLISHED: &[Published] = &[
    // get-vanilla
    ("GET", "/", "", &[], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    // get-relative, get-slashes, get-slash-pointless-dot, get-space, get-utf8: the suite gives the
    // last two as they are before the client encodes them.
    (
        "GET",
        "/example/..",
        "",
        &[],
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "GET",
        "//example//",
        "",
        &[],
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    (
        "GET",
        "/./example",
        "",
        &[],
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    (
        "GET",
        "/example space/",
        "",
        &[],
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    (
        "GET",
        "/\u{1234}",
        "",
        &[],
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    // get-vanilla-query-order-encoded, get-vanilla-query-order-key-case, get-vanilla-utf8-query
    (
        "GET",
        "/",
        "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        &[],
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    (
        "GET",
        "/",
        "Param2=value2&Param1=value1",
        &[],
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "GET",
        "/",
        "\u{1234}=bar",
        &[],
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    // get-header-key-duplicate, get-header-value-trim, post-header-value-case
    (
        "GET",
        "/",
        "",
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "GET",
        "/",
        "",
        &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "POST",
        "/",
        "",
        &[("my-header1", "VALUE1")],
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    // get-vanilla-with-session-token
    (
        "GET",
        "/",
        "",
        &[(
            "x-amz-security-token",
            "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
        )],
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
];

#[test]
fn published_signatures_are_verified() {
    for (method, path, query, extra, signature) in PUBLISHED {
        let mut headers =
            vec![("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        headers.extend_from_slice(extra);
        let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={}, Signature={signature}",
            names.join(";")
        );
        headers.push(("authorization", &authorization));
        let parts = RequestParts { method, path, query, headers: &headers };
        let request = SignedRequest::parse(parts).unwrap();
        assert_eq!(request.access_key(), ACCESS_KEY);
        assert_eq!(request.verify(SECRET_KEY, body_sha256(b""), NOW), Ok(()), "{path}?{query}");
    }
}

/// As the AWS SDK for JavaScript signs over HTTP/2: the host by the name of its pseudo-header.
#[test]
fn the_authority_of_http_2_is_a_signed_header() {
    const HASH: &str = "c77f59b324b10ef8c0fe2ad1e62f8bcde050a0db3d0169d3942a8c9f29d747b8";
    const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=any/20261124/us-east-1/kinesis/aws4_request, \
        SignedHeaders=:authority;amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;\
        x-amz-content-sha256;x-amz-date;x-amz-target;x-amz-user-agent, \
        Signature=ab3225ebe9e90e348a698692e6b0089934256e7e9645e87ba6595434546f134c";
    let headers = [
        (":authority", "127.0.0.1:4809"),
        ("amz-sdk-invocation-id", "4349aa6e-7762-43a4-9a5e-bf8cae79e32b"),
        ("amz-sdk-request", "attempt=1; max=3"),
        ("content-length", "38"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-content-sha256", HASH),
        ("x-amz-date", "20261124T023154Z"),
        ("x-amz-target", "Kinesis_20131202.CreateStream"),
        ("x-amz-user-agent", "aws-sdk-js/3.1142.0"),
        ("authorization", AUTHORIZATION),
    ];
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    let hash: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&HASH[at..at + 2], 16).unwrap()).collect();
    // 2026-11-24T02:31:54Z
    let now = UnixMillis(1_795_487_514_000);
    let request = SignedRequest::parse(parts).unwrap();
    assert_eq!(request.verify("any", hash.try_into().unwrap(), now), Ok(()));
}
