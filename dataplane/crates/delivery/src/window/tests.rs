//! Windows whose destination has a bad day, over real sockets and in virtual time.

use std::io::Read;
use std::pin::Pin;
use std::sync::Mutex;

use base64_simd::STANDARD;
use model::{Offset, SequenceNumber, ShardId};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::time::Duration;

use super::*;
use crate::pipeline::Context;
use crate::sinks::testing::{
    Act, NOW, Received, Server, TestSecrets, json_reply, raw_reply, record, reply,
};
use crate::sinks::{Attempt, Failure, Sink};
use crate::status::Statuses;
use crate::testing::{SlowMotion, TestBucket, context, delivery_stream};

const ARN: &str = "arn:aws:firehose:us-east-1:0:deliverystream/clicks";

/// Requests as they came, and when.
type Seen = Arc<Mutex<Vec<(Duration, Received)>>>;

/// A window of records with these data, delivered with this spec to a server that does so.
struct Delivered {
    seen: Vec<(Duration, Received)>,
    /// The documents in the backup.
    backup: Vec<Value>,
    took: Duration,
}

impl Delivered {
    async fn new(
        spec: &str,
        data: &[&str],
        mut act: impl FnMut(&Received) -> Act + Send + 'static,
    ) -> Delivered {
        let _time = SlowMotion::start();
        let started = Instant::now();
        let seen = Seen::default();
        let see = Arc::clone(&seen);
        let server = Server::start(move |request| {
            see.lock().unwrap().push((started.elapsed(), request.clone()));
            act(request)
        });
        let server = server.await;
        let (bucket, statuses) = (TestBucket::default(), Statuses::default());
        let secrets = TestSecrets::default();
        secrets.set("x", "sesame");
        let spec = format!(
            r#"{{"backup": {{"s3": {{"bucket": "refused"}}}}, {}}}"#,
            spec.replace("URL", &server.url)
        );
        let mut registry = Registry::default();
        let context = context(&bucket, Arc::new(secrets), &mut registry, &statuses);
        let pipeline = Pipeline::new(Arc::new(context), &delivery_stream(&spec)).unwrap();
        let pipeline = Arc::new(pipeline);
        let status = pipeline.status(ShardId(0));
        let place = pipeline.place(1, ShardId(0), Offset(0));
        let mut window = Window::new(&pipeline, status, place);
        let records = data.iter().zip(0..).map(|(data, offset)| record(offset, data)).collect();
        window.take(records).await.unwrap();
        window.finish().await.unwrap();
        let took = started.elapsed();
        let objects: Vec<u8> = bucket.0.lock().unwrap().values().flatten().copied().collect();
        let lines = objects.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let backup = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        Delivered { seen, backup, took }
    }

    /// What of a member of the backup's documents.
    fn backup(&self, name: &str) -> Vec<String> {
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        self.backup.iter().map(|document| text(&document[name])).collect()
    }

    /// Whether requests came then.
    fn check_times(&self, seconds: &[f64]) {
        let times: Vec<f64> = self.seen.iter().map(|(at, _)| at.as_secs_f64()).collect();
        let is_close = |(at, want): (&f64, &f64)| {
            // Each attempt before it takes some time too.
            (*want..want + 0.6 * seconds.len() as f64).contains(at)
        };
        let all = times.len() == seconds.len() && times.iter().zip(seconds).all(is_close);
        assert!(all, "{times:?}, not {seconds:?}");
    }
}

const HTTP: &str = r#""retryDurationSeconds": 100, "destination": {"httpEndpoint": {"url": "URL/x",
    "contentEncoding": "GZIP", "accessKeyRef": {"name": "s", "key": "x"},
    "commonAttributes": {"stage": "prod"}}}"#;

/// The body of a request that is as AWS documents it.
fn contract(request: &Received) -> Value {
    for (name, want) in [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("x-amz-firehose-protocol-version", "1.0"),
        ("x-amz-firehose-source-arn", ARN),
        ("x-amz-firehose-access-key", "sesame"),
        ("x-amz-firehose-common-attributes", r#"{"commonAttributes":{"stage":"prod"}}"#),
    ] {
        assert_eq!(request.header(name), Some(want), "{name}");
    }
    assert_eq!(request.header("content-length"), Some(&*request.body.len().to_string()));
    let mut body = String::new();
    flate2::read::GzDecoder::new(&*request.body).read_to_string(&mut body).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let id = body["requestId"].as_str().unwrap();
    assert_eq!(request.header("x-amz-firehose-request-id"), Some(id));
    let has_form = id.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    assert!(has_form && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(body["timestamp"], NOW.0);
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["records", "requestId", "timestamp"]);
    body
}

/// As AWS documents an answer.
fn answer(request: &Received) -> Act {
    let id = contract(request)["requestId"].clone();
    json_reply(200, &json!({"requestId": id, "timestamp": NOW.0}))
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_gets_the_same_request_until_it_answers_as_documented() {
    let mut count = 0;
    let delivered = Delivered::new(HTTP, &["a", "b"], move |request| {
        count += 1;
        let id = contract(request)["requestId"].clone();
        let json = ["Content-Type: application/json"];
        match count {
            1 => reply(500, &[], "no"),
            2 => Act::Say(Vec::new()),
            3 => json_reply(200, &json!({"requestId": "another", "timestamp": NOW.0})),
            4 => json_reply(200, &json!({"requestId": id})),
            5 => raw_reply(200, &json, json!({"requestId": id, "timestamp": 1}).to_string()),
            6 => reply(429, &["Retry-After: 40"], ""),
            _ => answer(request),
        }
    });
    let delivered = delivered.await;
    assert_eq!(delivered.backup, Vec::<Value>::new());
    let bodies: Vec<Value> = delivered.seen.iter().map(|(_, it)| contract(it)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(bodies[0]["records"], json!([{"data": "YQ=="}, {"data": "Yg=="}]));
    // Each pause twice as long, all 15 % shorter by chance; the last one as long as was asked for.
    delivered.check_times(&[0.0, 0.85, 2.55, 5.95, 12.75, 26.35, 66.35]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_is_given_up_and_its_records_are_in_the_backup() {
    let delivered = Delivered::new(HTTP, &["a", "b"], |_| reply(503, &[], "later")).await;
    delivered.check_times(&[0.0, 0.85, 2.55, 5.95, 12.75, 26.35, 53.55, 100.0]);
    assert!(delivered.took < Duration::from_secs(106), "{:?}", delivered.took);
    assert_eq!(delivered.backup("rawData"), ["YQ==", "Yg=="]);
    assert_eq!(delivered.backup("errorCode"), ["HttpEndpoint.DestinationException"; 2]);
    assert_eq!(delivered.backup("attemptsMade"), ["8", "8"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_three_minutes_to_answer() {
    let delivered = Delivered::new(HTTP, &["a"], |_| Act::Silence).await;
    // The time for retries begins when the first attempt has failed.
    delivered.check_times(&[0.0, 180.85]);
    assert_eq!(delivered.backup("errorCode"), ["HttpEndpoint.RequestTimeout"]);
    assert_eq!(delivered.backup("attemptsMade"), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_finds_too_large_is_in_the_backup_at_once() {
    let delivered = Delivered::new(HTTP, &["a"], |_| reply(413, &["Retry-After: 5"], "")).await;
    delivered.check_times(&[0.0]);
    assert_eq!(delivered.backup("attemptsMade"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn events_that_splunk_does_not_acknowledge_in_time_are_sent_again_and_then_in_the_backup() {
    let spec = r#""retryDurationSeconds": 60, "destination": {"splunk": {"hecEndpoint": "URL",
        "hecTokenRef": {"name": "s", "key": "x"}, "hecAcknowledgmentTimeoutSeconds": 180}}"#;
    let delivered = Delivered::new(spec, &["a"], |request| match request.target.contains("/ack") {
        true => json_reply(200, &json!({"acks": {"1": false}})),
        false => json_reply(200, &json!({"text": "Success", "code": 0, "ackId": 1})),
    });
    let mut delivered = delivered.await;
    assert_eq!(delivered.backup("errorCode"), ["Splunk.AckTimeout"]);
    assert_eq!(delivered.backup("attemptsMade"), ["2"]);
    let polls: Vec<f64> = delivered.seen[1..].iter().map(|(at, _)| at.as_secs_f64()).collect();
    // A second, two, four, eight, and then ten.
    let waits: Vec<f64> = polls.windows(2).take(6).map(|pair| pair[1] - pair[0]).collect();
    for (wait, want) in waits.iter().zip([2.0, 4.0, 8.0, 10.0, 10.0, 10.0]) {
        assert!((want..want + 1.1).contains(wait), "{waits:?}");
    }
    delivered.seen.retain(|(_, request)| !request.target.contains("/ack"));
    delivered.check_times(&[0.0, 180.85]);
}

#[tokio::test(start_paused = true)]
async fn documents_that_a_cluster_has_no_room_for_are_sent_again_and_no_others() {
    let spec = r#""retryDurationSeconds": 100, "destination": {"opensearch": {"endpoint": "URL",
        "indexName": "i"}}"#;
    let mut count = 0;
    let data = [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#];
    let delivered = Delivered::new(spec, &data, move |_| {
        count += 1;
        let items = |statuses: &[u16]| {
            let item = |status: &u16| json!({"index": {"status": status, "error": "x"}});
            let items: Vec<Value> = statuses.iter().map(item).collect();
            json_reply(200, &json!({"errors": true, "items": items}))
        };
        match count {
            1 => items(&[201, 429, 429]),
            2 => items(&[201, 429]),
            3 => reply(429, &["Retry-After: 30"], ""),
            4 => items(&[400]),
            _ => items(&[201]),
        }
    });
    let delivered = delivered.await;
    delivered.check_times(&[0.0, 0.85, 2.55, 32.55]);
    let documents = delivered.seen.iter().map(|(_, request)| {
        let documents = request.text().lines().skip(1).step_by(2);
        documents.collect::<Vec<_>>().join(" ")
    });
    let [all, two, one] = [data.join(" "), data[1..].join(" "), data[2].to_owned()];
    assert_eq!(documents.collect::<Vec<_>>(), [all, two, one.clone(), one]);
    assert_eq!(delivered.backup("rawData"), [STANDARD.encode_to_string(data[2])]);
    assert_eq!(delivered.backup("attemptsMade"), ["4"]);
}

/// Delivers a window of records with these data.
async fn deliver(spec: &str, bucket: &TestBucket, data: &[&str]) {
    deliver_records(pipeline(spec, bucket), records(data)).await;
}

fn pipeline(spec: &str, bucket: &TestBucket) -> Pipeline {
    let (statuses, secrets) = (Statuses::default(), TestSecrets::default());
    secrets.set("x", "sesame");
    let context = context(bucket, Arc::new(secrets), &mut Registry::default(), &statuses);
    let context = Context { random: rand::random, ..context };
    Pipeline::new(Arc::new(context), &delivery_stream(spec)).unwrap()
}

fn records(data: &[&str]) -> Vec<DeliveryRecord> {
    data.iter().zip(0..).map(|(data, offset)| record(offset, data)).collect()
}

async fn deliver_records(pipeline: Pipeline, records: Vec<DeliveryRecord>) {
    let pipeline = Arc::new(pipeline);
    let place = pipeline.place(1, ShardId(0), Offset(0));
    let mut window = Window::new(&pipeline, pipeline.status(ShardId(0)), place);
    window.take(records).await.unwrap();
    window.finish().await.unwrap();
}

/// What is in all objects, by their keys.
fn contents(bucket: &TestBucket) -> Vec<String> {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    bucket.0.lock().unwrap().values().map(text).collect()
}

#[tokio::test]
async fn copies_in_the_bucket_of_the_records_do_not_replace_them() {
    let bucket = TestBucket::default();
    let spec = r#"{"destination": {"s3": {"bucket": "lake"}},
        "backup": {"mode": "AllRecords", "s3": {"bucket": "lake"}},
        "processing": {"transform": {"jq": {"program": ".n"}}}}"#;
    deliver(spec, &bucket, &[r#"{"n":1}"#]).await;
    let mut contents = contents(&bucket);
    contents.sort();
    assert_eq!(contents, ["1", r#"{"n":1}"#]);
}

/// Takes all, and knows how many objects there were then.
struct Hiding(TestBucket, Arc<Mutex<Vec<usize>>>);

impl Sink for Hiding {
    fn deliver<'a>(&'a self, _: &'a Batch) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        self.1.lock().unwrap().push(self.0.0.lock().unwrap().len());
        Box::pin(async { Attempt::default() })
    }

    fn document(&self, _: &DeliveryRecord, _: &Failure, _: RefusedRecord<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn hides_refused(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn what_a_destination_would_hide_is_written_down_before_and_stays() {
    let (bucket, seen) = (TestBucket::default(), Arc::default());
    let spec = r#"{"destination": {"httpEndpoint": {"url": "http://h"}},
        "backup": {"s3": {"bucket": "refused"}},
        "processing": {"transform": {"jq": {"program": ".n + 1"}}}}"#;
    // The next time, after a crash, others are refused.
    for data in [[r#"{"n":"x"}"#, r#"{"n":1}"#], [r#"{"n":1}"#, r#"{"n":"x"}"#]] {
        let mut pipeline = pipeline(spec, &bucket);
        let sink = Hiding(bucket.clone(), Arc::clone(&seen));
        pipeline.output = Output::Sink(Arc::new(sink), ErrorOutputType::IcebergFailed);
        deliver_records(pipeline, records(&data)).await;
    }
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
    let contents = contents(&bucket);
    assert!(contents.iter().all(|of| of.contains("Jq.ProcessingFailed")), "{contents:?}");
}

#[tokio::test]
async fn records_of_a_stream_that_was_made_anew_come_in_requests_of_their_own() {
    let ids = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&ids);
    let server = Server::start(move |request| {
        let id = request.header("x-amz-firehose-request-id").unwrap();
        told.lock().unwrap().push(id.to_owned());
        json_reply(200, &json!({"requestId": id, "timestamp": NOW.0}))
    });
    let server = server.await;
    let spec = r#"{"destination": {"httpEndpoint": {"url": "URL/x"}},
        "backup": {"s3": {"bucket": "refused"}}}"#;
    let spec = spec.replace("URL", &server.url);
    for created in [NOW, NOW, UnixMillis(NOW.0 + 60_000)] {
        let mut record = record(0, "a");
        let (shard, offset) = (record.origin.shard, record.origin.offset);
        record.origin.sequence_number =
            SequenceNumber::of_record(shard, created, offset, UnixMillis(NOW.0 + 90_000));
        deliver_records(pipeline(&spec, &TestBucket::default()), vec![record]).await;
    }
    let ids = ids.lock().unwrap();
    assert!(ids[0] == ids[1] && ids[0] != ids[2], "{ids:?}");
}

#[tokio::test]
async fn without_partitioning_what_a_function_says_of_partitions_says_nothing() {
    let server = Server::start(|request| {
        let record = |record: &Value| {
            json!({"recordId": record["recordId"], "result": "Ok", "data": record["data"],
                "metadata": {"partitionKeys": {"id": record["recordId"]}}})
        };
        let body = request.json();
        let records: Vec<Value> = body["records"].as_array().unwrap().iter().map(record).collect();
        json_reply(200, &json!({ "records": records }))
    });
    let server = server.await;
    for (more, objects) in [
        ("", 1),
        (r#", "dynamicPartitioning": {"enabled": false}"#, 1),
        (r#", "dynamicPartitioning": {"enabled": true}"#, 2),
    ] {
        let bucket = TestBucket::default();
        let spec = format!(
            r#"{{"destination": {{"s3": {{"bucket": "lake"}}}},
            "processing": {{"transform": {{"webhook": {{"url": "{}"}}}}}}{more}}}"#,
            server.url
        );
        deliver(&spec, &bucket, &["a", "b"]).await;
        assert_eq!(contents(&bucket).len(), objects, "{more}");
    }
}
