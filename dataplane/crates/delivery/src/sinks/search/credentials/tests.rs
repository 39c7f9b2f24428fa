use std::sync::Arc;
use std::time::Duration;

use auth::{RequestParts, SignedRequest, body_sha256};
use expect_test::{Expect, expect};
use operator_api::delivery_stream::SearchSigning;
use operator_api::pods::{AwsCredentials, UserCredentials};
use reqwest::header::{HeaderName, HeaderValue};

use super::*;
use crate::secrets::Secrets;
use crate::sinks::testing::{NOW, TestSecrets};

async fn check(of: Option<SearchCredentials>, secrets: Arc<TestSecrets>, want: Expect) {
    let connector = Connector::new(None, secrets as Arc<dyn Secrets>, Duration::from_secs(1));
    let url = Url::parse("https://search.example:9200/_bulk?filter_path=errors,items.*.error");
    let headers = Credentials::new(of).headers(&connector, &url.unwrap(), b"body", NOW).await;
    let mut lines: Vec<String> = match headers {
        Ok(headers) => {
            assert!(headers.values().all(HeaderValue::is_sensitive));
            let line = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}\n", value.to_str().unwrap())
            };
            headers.iter().map(line).collect()
        }
        Err(error) => vec![error.to_string()],
    };
    lines.sort();
    want.assert_eq(&lines.concat());
}

#[tokio::test]
async fn users_and_api_keys_are_told_in_a_header() {
    let secrets = Arc::<TestSecrets>::default();
    check(None, Arc::clone(&secrets), expect![""]).await;
    let basic = UserCredentials {
        username_ref: secrets.set("user", "elastic"),
        password_ref: secrets.set("password", "pässword\n"),
    };
    let of = SearchCredentials { basic: Some(basic), ..SearchCredentials::default() };
    let want = expect![[r#"
        authorization: Basic ZWxhc3RpYzpww6Rzc3dvcmQ=
    "#]];
    check(Some(of), Arc::clone(&secrets), want).await;
    let api_key_ref = Some(secrets.set("key", "bm90OnJlYWw="));
    let of = SearchCredentials { api_key_ref, ..SearchCredentials::default() };
    let want = expect![[r#"
        authorization: ApiKey bm90OnJlYWw=
    "#]];
    check(Some(of), secrets, want).await;
}

fn aws(secrets: &TestSecrets, serverless: bool, token: Option<&str>) -> SearchCredentials {
    let signing = SearchSigning {
        region: "eu-west-1".into(),
        serverless: Some(serverless),
        credentials: Some(AwsCredentials {
            access_key_id_ref: secrets.set("id", "AKIDEXAMPLE"),
            secret_access_key_ref: secrets.set("secret", "wJalrXUtnFEMI"),
            session_token_ref: token.map(|token| secrets.set("token", token)),
        }),
    };
    SearchCredentials { aws: Some(signing), ..SearchCredentials::default() }
}

#[tokio::test]
async fn requests_to_amazon_are_signed() {
    let secrets = Arc::<TestSecrets>::default();
    let want = expect![[r#"
        authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/es/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=f235061f28f3f77c0afcc3071cf57230d74ca3d6288a6590ab03f9c84b83da8c
        host: search.example:9200
        x-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5
        x-amz-date: 20260101T000000Z
    "#]];
    check(Some(aws(&secrets, false, None)), Arc::clone(&secrets), want).await;
    let want = expect![[r#"
        authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/aoss/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=4442da1cc2f17fd28e21e6229f213d32d3fd61b1c70396115f14fe980abac88b
        host: search.example:9200
        x-amz-content-sha256: 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5
        x-amz-date: 20260101T000000Z
        x-amz-security-token: a-token
    "#]];
    check(Some(aws(&secrets, true, Some("a-token"))), secrets, want).await;
}

#[tokio::test]
async fn a_signature_holds_for_who_checks_it() {
    let secrets = Arc::<TestSecrets>::default();
    let of = aws(&secrets, false, Some("a-token"));
    let connector = Connector::new(None, secrets as Arc<dyn Secrets>, Duration::from_secs(1));
    let url = Url::parse("http://localhost/a%20b/_bulk?filter_path=errors,items.*.error").unwrap();
    let headers = Credentials::new(Some(of)).headers(&connector, &url, b"body", NOW).await.unwrap();
    let pairs: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let query = url.query().unwrap();
    let parts = RequestParts { method: "POST", path: url.path(), query, headers: &pairs };
    let request = SignedRequest::parse(parts).unwrap();
    assert_eq!((request.access_key(), request.service()), ("AKIDEXAMPLE", "es"));
    assert_eq!(request.verify("wJalrXUtnFEMI", body_sha256(b"body"), NOW), Ok(()));
    assert!(request.verify("wJalrXUtnFEMI", body_sha256(b"other"), NOW).is_err());
}
