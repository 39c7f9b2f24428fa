use std::io::Read;

use operator_api::pods::SecretRef;
use serde_json::json;

use super::*;
use crate::sinks::testing::{
    Act, NOW, Received, Server, StoppedClock, TestSecrets, batch, json_reply, outline, raw_reply,
    record, reply,
};

const ARN: &str = "arn:aws:firehose:us-east-1:000000000000:deliverystream/s";

fn sink(of: HttpDestination, secrets: &Arc<TestSecrets>) -> HttpEndpointSink {
    let secrets = Arc::clone(secrets) as Arc<dyn Secrets>;
    HttpEndpointSink::new(of, ARN, secrets, Arc::new(StoppedClock))
}

fn to(server: &Server) -> HttpDestination {
    HttpDestination { url: format!("{}/a/b?c=d", server.url), ..HttpDestination::default() }
}

/// What an endpoint says that has taken a request.
fn take(request: &Received) -> Act {
    json_reply(200, &json!({"requestId": request.json()["requestId"], "timestamp": NOW.0}))
}

async fn check(act: impl FnMut(&Received) -> Act + Send + 'static, want: &str) {
    let server = Server::start(act).await;
    let attempt = sink(to(&server), &Arc::default()).deliver(&batch(&["a", "b"])).await;
    assert_eq!(outline(&attempt), want);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn each_way_to_fail_has_its_code() {
    check(take, "delivered").await;
    let again = |code: &str| format!("again 0 1 HttpEndpoint.{code}");
    check(|_| Act::Say(Vec::new()), &again("ConnectionReset")).await;
    let cut = |_: &Received| raw_reply(200, &["Content-Length: 50"], r#"{"requestId""#);
    check(cut, &again("ConnectionReset")).await;
    let to_other = |_: &Received| json_reply(200, &json!({"requestId": "other", "timestamp": 1}));
    check(to_other, &again("InvalidResponseFromDestination")).await;
    let json = ["Content-Type: application/json"];
    let endless = move |_: &Received| reply(200, &json, "x".repeat((1 << 20) + 1));
    check(endless, &again("ResponseTooLarge")).await;
    let redirect = |_: &Received| reply(302, &["Location: http://127.0.0.1:1/"], "");
    check(redirect, &again("DestinationException")).await;
    let busy = |_: &Received| reply(429, &["Retry-After: 5"], "");
    check(busy, &format!("{}; pause 5s", again("DestinationException"))).await;
    check(|_| reply(413, &[], ""), "refused 0 1 HttpEndpoint.DestinationException").await;
    // A reply in chunks has no Content-Length.
    let chunked = |request: &Received| {
        let body = json!({"requestId": request.json()["requestId"], "timestamp": 1}).to_string();
        let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"];
        raw_reply(200, &headers, body)
    };
    check(chunked, &again("InvalidResponseFromDestination")).await;
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_is_given_up() {
    let server = Server::start(|_| Act::Silence).await;
    let (secrets, clock) = (Arc::<TestSecrets>::default(), Arc::new(StoppedClock));
    let timeout = Duration::from_millis(100);
    let sink = HttpEndpointSink::with_timeout(to(&server), ARN, secrets, clock, timeout);
    let attempt = sink.deliver(&batch(&["a"])).await;
    assert_eq!(outline(&attempt), "again 0 HttpEndpoint.RequestTimeout");
}

#[tokio::test]
async fn a_request_has_the_headers_that_aws_documents() {
    let server = Server::start(take).await;
    let secrets = Arc::<TestSecrets>::default();
    let of = HttpDestination {
        access_key_ref: Some(secrets.set("access-key", "sesame\n")),
        common_attributes: Some([("stage".to_owned(), "prod".to_owned())].into()),
        ..to(&server)
    };
    let attempt = sink(of, &secrets).deliver(&batch(&["hello"])).await;
    assert_eq!(outline(&attempt), "delivered");
    let request = &server.received()[0];
    assert_eq!(request.target, "/a/b?c=d");
    let id = request.json()["requestId"].as_str().unwrap().to_owned();
    let length = request.body.len().to_string();
    for (name, want) in [
        ("content-type", Some("application/json")),
        ("content-length", Some(length.as_str())),
        ("content-encoding", None),
        ("x-amz-firehose-protocol-version", Some("1.0")),
        ("x-amz-firehose-request-id", Some(id.as_str())),
        ("x-amz-firehose-source-arn", Some(ARN)),
        ("x-amz-firehose-access-key", Some("sesame")),
        ("x-amz-firehose-common-attributes", Some(r#"{"commonAttributes":{"stage":"prod"}}"#)),
    ] {
        assert_eq!(request.header(name), want, "{name}");
    }
    assert_eq!(request.json()["timestamp"], NOW.0);
    assert_eq!(request.json()["records"], json!([{"data": "aGVsbG8="}]));
}

#[tokio::test]
async fn an_access_key_that_changes_is_taken_up() {
    let server = Server::start(|request| match request.header("x-amz-firehose-access-key") {
        Some("new") => take(request),
        _ => reply(401, &[], "who?"),
    })
    .await;
    let secrets = Arc::<TestSecrets>::default();
    let access_key_ref = Some(SecretRef { name: "s".into(), key: "access-key".into() });
    let sink = sink(HttpDestination { access_key_ref, ..to(&server) }, &secrets);
    let batch = batch(&["a"]);
    assert_eq!(outline(&sink.deliver(&batch).await), "again 0 MissingSecret");
    assert_eq!(server.received().len(), 0);
    secrets.set("access-key", "old");
    let refused = sink.deliver(&batch).await;
    assert_eq!(outline(&refused), "again 0 HttpEndpoint.DestinationException");
    assert!(refused.again[0].1.message.ends_with("401: who?"), "{refused:?}");
    secrets.set("access-key", "new");
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
}

#[tokio::test]
async fn bodies_are_compressed_when_the_resource_says_so() {
    let server = Server::start(|request| {
        let id = request.header("x-amz-firehose-request-id").unwrap();
        json_reply(200, &json!({"requestId": id, "timestamp": 1}))
    })
    .await;
    let of = HttpDestination { content_encoding: Some(ContentEncoding::Gzip), ..to(&server) };
    let attempt = sink(of, &Arc::default()).deliver(&batch(&["hello"])).await;
    assert_eq!(outline(&attempt), "delivered");
    let request = &server.received()[0];
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    let mut body = String::new();
    flate2::read::GzDecoder::new(request.body.as_slice()).read_to_string(&mut body).unwrap();
    assert!(body.ends_with(r#""records":[{"data":"aGVsbG8="}]}"#), "{body}");
}

#[tokio::test]
async fn what_is_left_after_a_failed_request_is_sent_again_with_the_same_ids() {
    let records = (0..25_000).map(|at| record(at, "x")).collect();
    let batch = Batch { id: BatchId(1), records, ..batch(&[]) };
    // The second request of the first attempt fails; a late one is known to have been taken.
    let mut count = 0;
    let server = Server::start(move |request| {
        count += 1;
        if count == 2 { reply(503, &[], "") } else { take(request) }
    })
    .await;
    let sink = sink(to(&server), &Arc::default());
    let first = sink.deliver(&batch).await;
    let again: Vec<usize> = first.again.iter().map(|(at, _)| *at).collect();
    assert_eq!(again, (10_000..25_000).collect::<Vec<_>>());
    assert_eq!(first.refused, []);
    let left = Batch { records: batch.records[10_000..].to_vec(), ..batch };
    assert_eq!(outline(&sink.deliver(&left).await), "delivered");
    let ids: Vec<_> = server.received().iter().map(|one| one.json()["requestId"].clone()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[1], ids[2]);
    assert!(ids[0] != ids[1] && ids[1] != ids[3]);
}

#[tokio::test]
async fn a_request_that_is_too_large_does_not_hinder_the_next() {
    let records = (0..10_001).map(|at| record(at, "x")).collect();
    let mut count = 0;
    let server = Server::start(move |request| {
        count += 1;
        if count == 1 { reply(413, &[], "") } else { take(request) }
    })
    .await;
    let attempt = sink(to(&server), &Arc::default())
        .deliver(&Batch { id: BatchId(1), records, ..batch(&[]) })
        .await;
    assert_eq!((attempt.refused.len(), attempt.again.len()), (10_000, 0));
}

#[tokio::test]
async fn an_empty_batch_is_no_request() {
    let server = Server::scripted(Vec::new()).await;
    assert_eq!(
        outline(&sink(to(&server), &Arc::default()).deliver(&batch(&[])).await),
        "delivered"
    );
    assert_eq!(server.received().len(), 0);
}
