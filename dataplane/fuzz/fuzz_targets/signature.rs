//! Signed requests as a stranger could send them: parsing and verifying never panics, and nothing a
//! fuzzer makes verifies.
#![no_main]

use auth::{RequestParts, SignedRequest, body_sha256};
use libfuzzer_sys::fuzz_target;
use model::UnixMillis;

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (authorization, date, path, query) = input;
    let prefixed = format!("AWS4-HMAC-SHA256 {authorization}");
    for authorization in [authorization, &prefixed] {
        let headers = [("authorization", authorization), ("x-amz-date", date), ("host", "x")];
        for headers in [&headers[..], &headers[1..]] {
            let parts = RequestParts { method: "POST", path, query, headers };
            if let Ok(request) = SignedRequest::parse(parts) {
                let now = UnixMillis(1_440_938_160_000);
                assert!(request.verify("secret", body_sha256(b""), now).is_err());
            }
        }
    }
});
