use operator_api::delivery_stream::{DocumentIdFormat, IndexRotation, SearchCredentials};
use operator_api::pods::SecretRef;
use serde_json::{Value, json};

use super::*;
use crate::sinks::testing::{
    Act, Received, Server, StoppedClock, TestSecrets, batch, json_reply, outline, raw_reply, reply,
};

fn to(server: &Server) -> SearchDestination {
    SearchDestination {
        endpoint: format!("{}/", server.url),
        index_name: "logs".into(),
        index_rotation: Some(IndexRotation::NoRotation),
        ..SearchDestination::default()
    }
}

fn sink(of: SearchDestination, secrets: &Arc<TestSecrets>, bytes_max: usize) -> SearchSink {
    let secrets = Arc::clone(secrets) as Arc<dyn Secrets>;
    SearchSink::with_limits(of, "arn", secrets, Arc::new(StoppedClock), (TIMEOUT, bytes_max))
}

/// The documents of a request, each with its operation.
fn documents(request: &Received) -> Vec<(Value, Value)> {
    let lines: Vec<Value> =
        request.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// A reply that says of each document what `status` says.
fn bulk_reply(request: &Received, status: impl Fn(&Value) -> u16) -> Act {
    let items = documents(request).into_iter().map(|(action, document)| {
        let operation = action.as_object().unwrap().keys().next().unwrap().clone();
        let status = status(&document);
        let error = json!({"type": "some_exception", "reason": "why"});
        let outcome = match status {
            200..=299 => json!({ "status": status }),
            _ => json!({"status": status, "error": error}),
        };
        json!({ operation: outcome })
    });
    json_reply(200, &json!({"errors": true, "items": items.collect::<Vec<_>>()}))
}

/// What the server is to say of a document is written in it.
fn as_written(request: &Received) -> Act {
    bulk_reply(request, |document| document["status"].as_u64().map_or(201, |code| code as u16))
}

async fn check(data: &[&str], act: impl FnMut(&Received) -> Act + Send + 'static, want: &str) {
    let server = Server::start(act).await;
    let attempt = sink(to(&server), &Arc::default(), 1 << 20).deliver(&batch(data)).await;
    assert_eq!(outline(&attempt), want);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn each_record_is_told_its_own_fate() {
    check(&["{}", "{\"a\":1}"], as_written, "delivered").await;
    let data = ["{\"status\":400}", "{}", "{\"status\":429}", "text", "{\"status\":503}"];
    let want = "refused 0 400; refused 3 OS.MalformedData; again 2 429; again 4 503";
    check(&data, as_written, want).await;
}

#[tokio::test]
async fn a_whole_request_that_fails_is_made_again() {
    let data = ["{}", "text", "{}"];
    let check = async |act: fn(&Received) -> Act, want: &str| {
        check(&data, act, &format!("refused 1 OS.MalformedData; {want}")).await;
    };
    check(|_| Act::Say(Vec::new()), "again 0 2 OS.ConnectionReset").await;
    check(|_| raw_reply(200, &["Content-Length: 9"], "{\"items"), "again 0 2 OS.ConnectionReset")
        .await;
    check(|_| reply(429, &["Retry-After: 2"], ""), "again 0 2 429; pause 2s").await;
    check(|_| reply(503, &[], "down"), "again 0 2 503").await;
    check(|_| reply(301, &["Location: /x"], ""), "again 0 2 301").await;
    check(|_| reply(200, &[], "{}"), "again 0 2 OS.ServiceException").await;
    check(
        |_| json_reply(200, &json!({"items": [{"index": {"status": 201}}]})),
        "again 0 2 OS.ResponseEntryCountMismatch",
    )
    .await;
}

#[tokio::test]
async fn a_cluster_that_says_nothing_is_given_up() {
    let server = Server::start(|_| Act::Silence).await;
    let (secrets, clock) = (Arc::<TestSecrets>::default(), Arc::new(StoppedClock));
    let limits = (Duration::from_millis(100), 1 << 20);
    let sink = SearchSink::with_limits(to(&server), "arn", secrets, clock, limits);
    assert_eq!(outline(&sink.deliver(&batch(&["{}"])).await), "again 0 OS.RequestTimeout");
}

#[tokio::test]
async fn a_request_asks_for_what_is_looked_at() {
    let server = Server::start(as_written).await;
    let of = SearchDestination { index_rotation: None, ..to(&server) };
    let sink = sink(of, &Arc::default(), 1 << 20);
    let batch = batch(&["{\"a\":1}\n"]);
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
    let [first, second] = &server.received()[..] else { panic!() };
    assert_eq!(first.target, "/_bulk?filter_path=errors,items.*.status,items.*.error");
    assert_eq!(first.header("content-type"), Some("application/x-ndjson"));
    let place = sink.place(&batch.records[0]);
    assert_eq!(place.index, "logs-2026-01-01");
    let action = json!({"index": {"_index": place.index, "_id": place.id.unwrap()}});
    assert_eq!(documents(first), [(action, json!({"a": 1}))]);
    assert_eq!(second.body, first.body);
}

#[tokio::test]
async fn a_data_stream_is_given_what_it_takes() {
    let server = Server::start(|request| {
        let item = |(action, document): (Value, Value)| match action.get("create") {
            Some(_) if document["old"] == true => json!({"create": {"status": 409}}),
            Some(_) => json!({"create": {"status": 201}}),
            None => json!({"index": {"status": 400, "error": {"reason":
                "only write ops with an op_type of create are allowed in data streams"}}}),
        };
        let items: Vec<Value> = documents(request).into_iter().map(item).collect();
        json_reply(200, &json!({ "items": items }))
    })
    .await;
    let sink = sink(to(&server), &Arc::default(), 1 << 20);
    let batch = batch(&["{}", "{\"old\":true}"]);
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
    assert_eq!(server.received().len(), 2);
    // It is known from then on.
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn what_is_too_large_is_sent_in_parts() {
    let limit = 300;
    let server = Server::start(move |request| match request.body.len() {
        0..=300 => as_written(request),
        _ => reply(413, &[], "too large"),
    })
    .await;
    let sink = sink(to(&server), &Arc::default(), 1 << 20);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(limit));
    let data = ["{}", "{}", "{}", "{}", "{}", large.as_str(), "{\"status\":400}", "{}"];
    let attempt = sink.deliver(&batch(&data)).await;
    assert_eq!(outline(&attempt), "refused 6 400; refused 5 413");
    let sent: usize = server
        .received()
        .iter()
        .filter(|one| one.body.len() <= limit)
        .map(|one| documents(one).len())
        .sum();
    assert_eq!(sent, 7);
    // The next batch is cut beforehand.
    let before = server.received().len();
    assert_eq!(outline(&sink.deliver(&batch(&["{}"; 8])).await), "delivered");
    assert!(server.received()[before..].iter().all(|one| one.body.len() <= limit));
}

#[tokio::test]
async fn after_a_part_that_failed_the_rest_is_not_sent() {
    let mut count = 0;
    let server = Server::start(move |request| {
        count += 1;
        if count == 2 { reply(503, &["Retry-After: 1"], "") } else { as_written(request) }
    })
    .await;
    let sink = sink(to(&server), &Arc::default(), 1);
    let attempt = sink.deliver(&batch(&["{}"; 4])).await;
    assert_eq!(outline(&attempt), "again 1 2 3 503; pause 1s");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn an_oversize_reply_is_asked_for_in_parts() {
    let server = Server::start(|request| match documents(request).len() {
        1 => as_written(request),
        _ => reply(200, &[], vec![b'x'; judge::BODY_BYTES_MAX + 1]),
    })
    .await;
    let sink = sink(to(&server), &Arc::default(), 1 << 20);
    assert_eq!(outline(&sink.deliver(&batch(&["{}"; 3])).await), "delivered");
}

#[tokio::test]
async fn credentials_that_change_are_taken_up() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("ApiKey new") => as_written(request),
        _ => reply(401, &[], "who?"),
    })
    .await;
    let secrets = Arc::<TestSecrets>::default();
    let api_key_ref = Some(SecretRef { name: "s".into(), key: "api-key".into() });
    let credentials = SearchCredentials { api_key_ref, ..SearchCredentials::default() };
    let of = SearchDestination {
        credentials: Some(credentials),
        document_id: Some(DocumentIdFormat::NoDocumentId),
        ..to(&server)
    };
    let sink = sink(of, &secrets, 1 << 20);
    let batch = batch(&["{}"]);
    assert_eq!(outline(&sink.deliver(&batch).await), "again 0 MissingSecret");
    secrets.set("api-key", "old");
    assert_eq!(outline(&sink.deliver(&batch).await), "again 0 401");
    secrets.set("api-key", "new");
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
    assert_eq!(documents(&server.received()[1])[0].0, json!({"index": {"_index": "logs"}}));
}

#[tokio::test]
async fn an_address_that_is_none_is_said() {
    let of = SearchDestination { endpoint: "http://".into(), ..SearchDestination::default() };
    let attempt = sink(of, &Arc::default(), 1).deliver(&batch(&["{}", "{}"])).await;
    assert_eq!(outline(&attempt), "again 0 1 OS.ConnectionFailed");
}
