use operator_api::pods::SecretRef;
use serde_json::json;

use super::*;
use crate::sinks::testing::{
    Act, Received, Server, StoppedClock, TestSecrets, batch, json_reply, outline, reply,
};

use HecEndpointType::{Event, Raw};

const CHANNEL: &str = "00000000-0000-8000-8000-000000000007";

fn sink(server: &Server, secrets: &Arc<TestSecrets>, kind: HecEndpointType) -> SplunkSink {
    sink_that_waits(server, secrets, kind, Duration::from_secs(60))
}

fn sink_that_waits(
    server: &Server,
    secrets: &Arc<TestSecrets>,
    kind: HecEndpointType,
    acknowledged: Duration,
) -> SplunkSink {
    let of = SplunkDestination {
        hec_endpoint: server.url.clone(),
        hec_endpoint_type: Some(kind),
        hec_token_ref: SecretRef { name: "s".into(), key: "token".into() },
        ..SplunkDestination::default()
    };
    let secrets = Arc::clone(secrets) as Arc<dyn Secrets>;
    let times = Times { acknowledged, poll_first: Duration::from_millis(10) };
    SplunkSink::with_times(of, secrets, Arc::new(StoppedClock), times)
}

fn with_token() -> Arc<TestSecrets> {
    let secrets = Arc::<TestSecrets>::default();
    secrets.set("token", "a-token\n");
    secrets
}

fn is_poll(request: &Received) -> bool {
    request.target.starts_with("/services/collector/ack?")
}

fn accept(ack_id: u64) -> Act {
    json_reply(200, &json!({"text": "Success", "code": 0, "ackId": ack_id}))
}

fn acknowledge(request: &Received) -> Act {
    let ids = request.json()["acks"].as_array().unwrap().clone();
    let acks = ids.iter().map(|id| (id.to_string(), json!(true)));
    json_reply(200, &json!({"acks": acks.collect::<serde_json::Map<_, _>>()}))
}

/// A collector that accepts what `post` lets through, and acknowledges it at once.
fn collector(
    post: impl Fn(&Received) -> Option<Act> + Send + 'static,
) -> impl FnMut(&Received) -> Act + Send + 'static {
    let mut accepted = 0;
    move |request| {
        if is_poll(request) {
            return acknowledge(request);
        }
        accepted += 1;
        post(request).unwrap_or_else(|| accept(accepted))
    }
}

async fn check(
    kind: HecEndpointType,
    data: &[&str],
    act: impl FnMut(&Received) -> Act + Send + 'static,
    want: &str,
) -> Server {
    let server = Server::start(act).await;
    let attempt = sink(&server, &with_token(), kind).deliver(&batch(data)).await;
    assert_eq!(outline(&attempt), want);
    server
}

#[tokio::test]
async fn records_are_delivered_when_they_are_acknowledged() {
    let mut polls = 0;
    let act = move |request: &Received| {
        if !is_poll(request) {
            return accept(3);
        }
        polls += 1;
        match polls {
            1 => json_reply(200, &json!({"acks": {"3": false}})),
            2 => reply(503, &[], ""),
            _ => acknowledge(request),
        }
    };
    let server = check(Raw, &["a\n", "b", ""], act, "delivered").await;
    let received = server.received();
    assert_eq!(received.len(), 4);
    let post = &received[0];
    assert_eq!(post.target, format!("/services/collector/raw?channel={CHANNEL}"));
    assert_eq!(post.text(), "a\nb");
    assert_eq!(post.header("authorization"), Some("Splunk a-token"));
    assert_eq!(post.header("x-splunk-request-channel"), Some(CHANNEL));
    let poll = &received[1];
    assert_eq!(poll.target, format!("/services/collector/ack?channel={CHANNEL}"));
    assert_eq!(poll.json(), json!({"acks": [3]}));
    assert_eq!(poll.header("authorization"), Some("Splunk a-token"));
}

#[tokio::test]
async fn what_is_not_acknowledged_in_time_is_sent_again() {
    let check_late = async |act: fn(&Received) -> Act| {
        let server = Server::start(act).await;
        let timeout = Duration::from_millis(100);
        let sink = sink_that_waits(&server, &with_token(), Raw, timeout);
        let attempt = sink.deliver(&batch(&["a", "b"])).await;
        assert_eq!(outline(&attempt), "again 0 1 Splunk.AckTimeout");
    };
    check_late(|request| match is_poll(request) {
        true => json_reply(200, &json!({"acks": {"1": false}})),
        false => accept(1),
    })
    .await;
    check_late(|request| if is_poll(request) { Act::Silence } else { accept(1) }).await;
    let gone = |request: &Received| match is_poll(request) {
        true => json_reply(400, &json!({"text": "Invalid data channel", "code": 11})),
        false => accept(1),
    };
    check(Raw, &["a"], gone, "again 0 Splunk.ProxyWithoutStickySessions").await;
}

#[tokio::test]
async fn a_request_that_fails_is_sent_again() {
    let check = async |act: fn(&Received) -> Act, want: &str| {
        let want = format!("again 0 1 Splunk.{want}");
        let server = check(Raw, &["a", "b"], act, &want).await;
        assert_eq!(server.received().len(), 1);
    };
    check(|_| Act::Say(Vec::new()), "ConnectionClosed").await;
    check(|_| json_reply(403, &json!({"text": "Invalid token", "code": 4})), "InvalidToken").await;
    check(|_| json_reply(400, &json!({"text": "Incorrect index", "code": 7})), "InvalidIndex")
        .await;
    check(|_| reply(503, &["Retry-After: 4"], ""), "IndexerBusy; pause 4s").await;
    check(|_| reply(302, &["Location: /x"], ""), "InvalidEndpoint").await;
    check(|_| reply(200, &[], "x".repeat(2 << 20)), "ServerError").await;
}

#[tokio::test]
async fn events_that_are_none_are_refused_unsent() {
    let data = [r#"{"event":"a"}"#, "text", r#"{"event":"b"}"#, r#"{"event":""}"#];
    let want = "refused 1 3 Splunk.InvalidDataFormat";
    let server = check(Event, &data, collector(|_| None), want).await;
    let bodies: Vec<_> = server.received();
    let bodies: Vec<_> = bodies
        .iter()
        .filter(|one| !is_poll(one))
        .map(|one| (one.target.as_str(), one.text()))
        .collect();
    let target = format!("/services/collector/event?channel={CHANNEL}");
    assert_eq!(bodies, [(target.as_str(), data[0]), (target.as_str(), data[2])]);
}

#[tokio::test]
async fn a_record_that_spoils_a_request_is_found_and_refused() {
    let spoiled = |request: &Received| {
        let is_bad = request.text().contains("bad");
        is_bad.then(|| json_reply(400, &json!({"text": "Invalid data format", "code": 6})))
    };
    let data = [
        r#"{"event":"a"}"#,
        r#"{"event":"b"}"#,
        r#"{"event":"bad"}"#,
        r#"{"event":"c"}"#,
        r#"{"event":"d"}"#,
    ];
    let server =
        check(Event, &data, collector(spoiled), "refused 2 Splunk.InvalidDataFormat").await;
    let accepted: Vec<String> = server
        .received()
        .iter()
        .filter(|one| !is_poll(one) && !one.text().contains("bad"))
        .map(|one| one.text().to_owned())
        .collect();
    assert_eq!(accepted.concat(), [data[0], data[1], data[3], data[4]].concat());
}

#[tokio::test]
async fn the_search_for_records_that_spoil_has_an_end() {
    let all = |_: &Received| Some(json_reply(400, &json!({"text": "no", "code": 15})));
    let server = Server::start(collector(all)).await;
    let data = vec![r#"{"event":"bad"}"#; 300];
    let attempt = sink(&server, &with_token(), Event).deliver(&batch(&data)).await;
    assert_eq!(attempt.refused.len() + attempt.again.len(), 300);
    assert!(!attempt.refused.is_empty() && !attempt.again.is_empty());
    assert_eq!(server.received().len(), POSTS_MAX);
}

#[tokio::test]
async fn what_was_accepted_before_a_failure_is_still_acknowledged() {
    let large = "x".repeat(3 << 20);
    let second_fails = |request: &Received| {
        (request.body.first() == Some(&b'y')).then(|| json_reply(500, &json!({"code": 8})))
    };
    let data = [large.as_str(), &large.replace('x', "y"), large.as_str()];
    let server = check(Raw, &data, collector(second_fails), "again 1 2 Splunk.ServerError").await;
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn what_is_asked_comes_to_the_collector_that_knows() {
    let act = |request: &Received| match (is_poll(request), request.header("cookie")) {
        (false, None) => {
            let body = json!({"text": "Success", "code": 0, "ackId": 0}).to_string();
            reply(200, &["Set-Cookie: node=2; Path=/; HttpOnly"], body)
        }
        (true, Some("node=2")) => acknowledge(request),
        other => panic!("{other:?}"),
    };
    check(Raw, &["a"], act, "delivered").await;
}

#[tokio::test]
async fn a_token_without_acknowledgments_is_given_records_once() {
    let is_enabled = Arc::new(AtomicBool::new(false));
    let enabled = Arc::clone(&is_enabled);
    let server =
        Server::start(move |request| match (is_poll(request), enabled.load(Ordering::Relaxed)) {
            (true, false) => json_reply(400, &json!({"text": "ACK is disabled", "code": 14})),
            (false, false) => json_reply(200, &json!({"text": "Success", "code": 0})),
            (true, true) => acknowledge(request),
            (false, true) => accept(1),
        })
        .await;
    let sink = sink(&server, &with_token(), Raw);
    let batch = batch(&["a"]);
    for _ in 0..3 {
        assert_eq!(outline(&sink.deliver(&batch).await), "again 0 Splunk.DisabledAck");
    }
    assert_eq!(server.received().iter().filter(|one| !is_poll(one)).count(), 1);
    is_enabled.store(true, Ordering::Relaxed);
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
}

#[tokio::test]
async fn a_token_that_changes_is_taken_up() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Splunk new") if is_poll(request) => acknowledge(request),
        Some("Splunk new") => accept(1),
        _ => json_reply(403, &json!({"text": "Invalid token", "code": 4})),
    })
    .await;
    let secrets = Arc::<TestSecrets>::default();
    let sink = sink(&server, &secrets, Raw);
    let batch = batch(&["a"]);
    assert_eq!(outline(&sink.deliver(&batch).await), "again 0 MissingSecret");
    secrets.set("token", "old");
    assert_eq!(outline(&sink.deliver(&batch).await), "again 0 Splunk.InvalidToken");
    secrets.set("token", "new");
    assert_eq!(outline(&sink.deliver(&batch).await), "delivered");
}

#[tokio::test]
async fn records_with_nothing_in_them_are_no_request() {
    let server = check(Raw, &["", ""], collector(|_| None), "delivered").await;
    assert_eq!(server.received().len(), 0);
}
