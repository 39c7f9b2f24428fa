use serde_json::json;

use super::*;
use crate::sinks::testing::{Received, Server, TestSecrets, reply};

/// What a server hears of an object that is put once for each status it answers with.
async fn put(
    statuses: &[u16],
    bucket: impl FnOnce(&str, &TestSecrets) -> serde_json::Value,
) -> (Vec<Received>, Result<(), String>) {
    let etag = ["ETag: \"1\"", "Last-Modified: Fri, 27 Nov 2026 12:00:00 GMT"];
    let acts = statuses.iter().map(|status| reply(*status, &etag, "")).collect();
    let server = Server::scripted(acts).await;
    let secrets = TestSecrets::default();
    let destination: Destination =
        serde_json::from_value(bucket(&server.url, &secrets)).expect("a destination");
    let stores = ObjectStores::new(Arc::new(secrets));
    let store = stores.open(Bucket::of(&destination).expect("a bucket"));
    let mut last = Ok(());
    for _ in statuses {
        last = store.put("a//b c/d", Bytes::from_static(b"body"), Some("mark")).await;
    }
    (server.received(), last.map_err(|error| crate::chain(&error)))
}

fn authorizations(received: &[Received]) -> Vec<&str> {
    received.iter().map(|it| it.header("authorization").unwrap_or("none")).collect()
}

#[tokio::test]
async fn an_account_key_signs_what_azure_is_sent() {
    let (received, last) = put(&[201], |url, secrets| {
        let key = secrets.set("key", "a2V5\n");
        json!({"azureBlob": {"account": "lake", "container": "logs", "endpoint": format!("{url}/lake/"),
            "accountKeyRef": key}})
    })
    .await;
    assert_eq!(last, Ok(()));
    assert_eq!(received[0].target, "/lake/logs/a/b%20c/d");
    assert!(authorizations(&received)[0].starts_with("SharedKey lake:"));
    assert_eq!(received[0].text(), "body");
    assert_eq!(received[0].header("x-ms-meta-leat"), Some("mark"));
}

#[tokio::test]
async fn a_shared_access_signature_is_sent_along() {
    let (received, last) = put(&[201], |url, secrets| {
        let token = secrets.set("token", "?sv=2024-11-04&sp=cw&sig=a%2Bb%3D\n");
        json!({"azureBlob": {"account": "lake", "container": "logs", "endpoint": url,
            "sasTokenRef": token}})
    })
    .await;
    assert_eq!(last, Ok(()));
    assert_eq!(received[0].target, "/logs/a/b%20c/d?sv=2024-11-04&sp=cw&sig=a%2Bb%3D");
    assert_eq!(authorizations(&received), ["none"]);
}

#[tokio::test]
async fn a_pods_own_identity_is_told_to_no_other_server() {
    let (azure, last) = put(
        &[201],
        |url, _| json!({"azureBlob": {"account": "lake", "container": "logs", "endpoint": url}}),
    )
    .await;
    assert_eq!((authorizations(&azure), last), (vec!["none"], Ok(())));
    let (google, last) =
        put(&[200], |url, _| json!({"gcs": {"bucket": "logs", "endpoint": url}})).await;
    assert_eq!((authorizations(&google), last), (vec!["Bearer"], Ok(())));
    assert_eq!(google[0].target, "/logs/a%2Fb%20c%2Fd");
    assert_eq!(google[0].header("x-goog-meta-leat"), Some("mark"));
}

#[tokio::test]
async fn what_is_refused_is_tried_again_only_by_who_asked_for_it() {
    for (bucket, refused) in [("gcs", 503), ("gcs", 403), ("azureBlob", 500), ("azureBlob", 403)] {
        let (received, last) = put(&[refused, 201], |url, secrets| match bucket {
            "gcs" => json!({"gcs": {"bucket": "logs", "endpoint": url}}),
            _ => json!({"azureBlob": {"account": "lake", "container": "logs", "endpoint": url,
                    "accountKeyRef": secrets.set("key", "a2V5")}}),
        })
        .await;
        assert_eq!((received.len(), last), (2, Ok(())), "{bucket} {refused}");
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_said_to_be() {
    let (received, last) = put(&[200], |url, secrets| {
        let key = secrets.set("key", "no JSON");
        json!({"gcs": {"bucket": "logs", "endpoint": url, "serviceAccountRef": key}})
    })
    .await;
    assert_eq!(received.len(), 0);
    let error = last.unwrap_err();
    assert!(error.starts_with("bucket logs: ") && !error.contains("no JSON"), "{error}");
}
