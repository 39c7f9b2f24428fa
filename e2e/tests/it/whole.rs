//! The rest of the API and its protocols, where a script of one client cannot see it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    EncryptionType, PutRecordsRequestEntry, ShardIteratorType, StartingPosition, StreamMode,
    StreamModeDetails,
};
use e2e::{Leat, Start};

use crate::clients::rust_sdk;
use crate::process::client;

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";
const SHARD: &str = "shardId-000000000000";

async fn put(client: &Client, stream: &str, data: &str) -> Result<(), Option<String>> {
    let put = client.put_record().stream_name(stream).partition_key("k").data(Blob::new(data));
    let refused = put.send().await.map(drop);
    refused.map_err(|error| error.into_service_error().meta().code().map(str::to_owned))
}

async fn arn(client: &Client, stream: &str) -> String {
    let summary = client.describe_stream_summary().stream_name(stream).send().await.unwrap();
    summary.stream_description_summary.unwrap().stream_arn
}

#[tokio::test]
async fn a_stream_with_the_limits_of_aws_throttles_as_aws() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = directory.path().join("stream.yaml");
    let yaml =
        "apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata:\n  name: s\nspec:\n  limits: AWS\n";
    std::fs::write(&manifest, yaml).unwrap();
    let start = Start::on(&directory.path().join("data")).with(&["-f", manifest.to_str().unwrap()]);
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    // A second's worth: a slow machine does not pass the next one by being slow.
    let much = "x".repeat(1_000_000);
    put(&client, "s", &much).await.unwrap();
    let refused = put(&client, "s", &much).await;
    assert_eq!(refused, Err(Some("ProvisionedThroughputExceededException".to_owned())));
    let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder().partition_key("k");
    let entry = entry.data(Blob::new(much)).build().unwrap();
    let puts = client.put_records().stream_name("s").records(entry).send().await.unwrap();
    assert_eq!(puts.failed_record_count, Some(1));
    let failed = &puts.records[0];
    assert_eq!(failed.error_code(), Some("ProvisionedThroughputExceededException"));
    assert!(failed.error_message().unwrap().starts_with("Rate exceeded for shard"), "{failed:?}");

    let arn = arn(&client, "s").await;
    for number in 0..=20 {
        let register = client.register_stream_consumer().stream_arn(&arn);
        let registered = register.consumer_name(format!("c{number}")).send().await;
        let refused = registered.err().map(|error| error.into_service_error());
        let is_over = refused.is_some_and(|error| error.is_limit_exceeded_exception());
        assert_eq!(is_over, number == 20, "consumer {number}");
    }

    let iterator = client.get_shard_iterator().stream_name("s").shard_id(SHARD);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    let iterator = iterator.unwrap().shard_iterator.unwrap();
    // Five a second, and 2 MiB: of ten at the same time some are over it.
    let gets = (0..10).map(|_| {
        let get = client.get_records().shard_iterator(&iterator).send();
        tokio::spawn(async move { get.await.err().map(|error| error.into_service_error()) })
    });
    let mut refused = Vec::new();
    for get in gets.collect::<Vec<_>>() {
        refused.extend(get.await.unwrap());
    }
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|error| error.is_provisioned_throughput_exceeded_exception()));
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_the_key_file_is_asked_for_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    let data = directory.path().join("data");
    let key = "alias/mine AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    let other = "alias/other AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    std::fs::write(&file, key).unwrap();
    let start = Start::on(&data).with(&["--encryption-key-file", file.to_str().unwrap()]);
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let encrypt = client.start_stream_encryption().stream_name("s");
    encrypt.encryption_type(EncryptionType::Kms).key_id("alias/mine").send().await.unwrap();
    put(&client, "s", "A-SECRET-OF-SOME-LENGTH").await.unwrap();
    leat.stop().unwrap();
    let everything = files_below(&data);
    assert!(!everything.windows(8).any(|window| window == b"A-SECRET"), "it lies there in clear");

    std::fs::write(&file, other).unwrap();
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    let refused = put(&client, "s", "x").await;
    assert_eq!(refused, Err(Some("KMSNotFoundException".to_owned())));
    let entry = PutRecordsRequestEntry::builder().data(Blob::new("x")).partition_key("k");
    let refused =
        client.put_records().stream_name("s").records(entry.build().unwrap()).send().await;
    assert!(refused.unwrap_err().into_service_error().is_kms_not_found_exception());
    let iterator = client.get_shard_iterator().stream_name("s").shard_id(SHARD);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    let iterator = iterator.unwrap().shard_iterator;
    let refused = client.get_records().set_shard_iterator(iterator).send().await.unwrap_err();
    assert!(refused.into_service_error().is_kms_not_found_exception());
    assert!(leat.log().contains("alias/mine is not in the key file"), "{}", leat.log());
    leat.stop().unwrap();

    std::fs::write(&file, format!("{other}{key}")).unwrap();
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    assert_eq!(crate::process::read_all(&client, "s").await, ["A-SECRET-OF-SOME-LENGTH"]);
}

#[tokio::test]
async fn a_lost_key_file_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let start = Start::on(directory.path());
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let encrypt = client.start_stream_encryption().stream_name("s");
    encrypt.encryption_type(EncryptionType::Kms).key_id("alias/aws/kinesis").send().await.unwrap();
    put(&client, "s", "x").await.unwrap();
    leat.stop().unwrap();
    let file = directory.path().join("encryption.keys");
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let refused = Leat::start(&start).err().unwrap().to_string();
    assert!(refused.contains("encryption.keys is missing"), "{refused}");
    assert!(!file.exists());
    std::fs::write(&file, kept).unwrap();
    let leat = Leat::start(&start).unwrap();
    assert_eq!(crate::process::read_all(&rust_sdk(&leat.endpoint()), "s").await, ["x"]);
}

#[tokio::test]
async fn an_on_demand_stream_merges_what_is_quiet() {
    let directory = tempfile::tempdir().unwrap();
    let start = Start::on(directory.path());
    let start = start.with(&["--on-demand-interval", "1", "--on-demand-quiet", "2"]);
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap();
    client.create_stream().stream_name("s").stream_mode_details(mode).send().await.unwrap();
    put(&client, "s", "before").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let summary = client.describe_stream_summary().stream_name("s").send().await.unwrap();
        let open = summary.stream_description_summary.unwrap().open_shard_count;
        if open == 1 {
            break;
        }
        assert!(open <= 4 && Instant::now() < deadline, "{open} shards are open");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    put(&client, "s", "after").await.unwrap();
    assert_eq!(crate::process::read_all(&client, "s").await, ["before", "after"]);
}

fn files_below(directory: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { files_below(&path) } else { std::fs::read(path).unwrap() });
    }
    bytes
}

#[tokio::test]
async fn policies_let_other_accounts_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    let profile = |name: &str, key: &str, account: &str| {
        format!(
            "[{name}]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_account_id = {account}\n"
        )
    };
    let both = profile("owner", "OWN", "000000000000") + &profile("ann", "ANN", "111111111111");
    std::fs::write(&file, both).unwrap();
    let start = Start::on(&directory.path().join("data"))
        .with(&["--credentials-file", file.to_str().unwrap()]);
    let leat = Leat::start(&start).unwrap();
    let owner = client(&leat.endpoint(), "OWN", "s");
    let ann = client(&leat.endpoint(), "ANN", "s");
    owner.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let denied = Err(Some("AccessDeniedException".to_owned()));
    let arn = arn(&owner, "s").await;
    let put_to = async |arn: &str| {
        let put = ann.put_record().stream_arn(arn).partition_key("k").data(Blob::new("x"));
        put.send()
            .await
            .map(drop)
            .map_err(|error| error.into_service_error().meta().code().map(str::to_owned))
    };
    assert_eq!(put_to(&arn).await, denied);
    let nobody = arn.replace("/s", "/nobody");
    assert_eq!(put_to(&nobody).await, denied, "it is not told what there is");
    assert!(ann.create_stream().stream_name("t").shard_count(1).send().await.is_err());
    assert!(ann.list_streams().send().await.is_err());
    let policy = |actions: &str| {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"111111111111"}},
                "Action":{actions},"Resource":"{arn}"}}}}"#
        );
        owner.put_resource_policy().resource_arn(&arn).policy(policy).send()
    };
    policy(r#"["kinesis:PutRecord","kinesis:DescribeStreamSummary"]"#).await.unwrap();
    put_to(&arn).await.unwrap();
    let not_found = Err(Some("ResourceNotFoundException".to_owned()));
    assert_eq!(put(&ann, "s", "x").await, not_found, "a name is one of the caller's account");
    ann.describe_stream_summary().stream_arn(&arn).send().await.unwrap();
    assert!(ann.list_shards().stream_arn(&arn).send().await.is_err());
    // What can be used by others cannot be changed by them.
    policy(r#""kinesis:*""#).await.unwrap();
    ann.list_shards().stream_arn(&arn).send().await.unwrap();
    let deleted = ann.delete_resource_policy().resource_arn(&arn).send().await.unwrap_err();
    let got = ann.get_resource_policy().resource_arn(&arn).send().await.unwrap_err();
    let own = owner.get_resource_policy().resource_arn(&arn).send().await.unwrap().policy;
    let changed = ann.put_resource_policy().resource_arn(&arn).policy(own).send().await;
    let codes = [deleted.code(), got.code(), changed.as_ref().unwrap_err().code()];
    assert_eq!(codes, [Some("AccessDeniedException"); 3]);
    assert!(ann.delete_stream().stream_arn(&arn).send().await.is_err());
    put(&owner, "s", "x").await.unwrap();
}

/// curl, which signs, speaks HTTP/2 without TLS, and says what it got.
fn curl(leat: &Leat, operation: &str, content_type: &str, body: &str, arg: &str) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "60", "--http2-prior-knowledge"])
        .args(["--user", "any:any", "--aws-sigv4", "aws:amz:us-east-1:kinesis"])
        .args(["--header", &format!("content-type: {content_type}")])
        .args(["--header", &format!("x-amz-target: Kinesis_20131202.{operation}")])
        .args(["--data-binary", body, arg])
        .arg(leat.endpoint())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_ends_subscriptions() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let arn = arn(&client, "s").await;
    let consumer = client.register_stream_consumer().stream_arn(arn).consumer_name("c");
    let consumer = consumer.send().await.unwrap().consumer.unwrap().consumer_arn;
    let body = format!(
        r#"{{"ConsumerARN":"{consumer}","ShardId":"{SHARD}","StartingPosition":{{"Type":"LATEST"}}}}"#
    );
    let subscriber = curl(&leat, "SubscribeToShard", JSON, &body, "--verbose").spawn().unwrap();
    let begun = Instant::now();
    while !leat
        .get("/metrics")
        .unwrap()
        .contains(r#"SubscribeToShard_Success_total{StreamName="s"} 1"#)
    {
        assert!(begun.elapsed() < Duration::from_secs(10), "no subscription");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let started = Instant::now();
    let log = tokio::task::spawn_blocking(move || leat.stop()).await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(8), "it waited for the subscription: {log}");
    let output = subscriber.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the stream was cut, not ended: {said}");
    assert!(said.contains("HTTP/2 200"), "{said}");
    let body = String::from_utf8_lossy(&output.stdout);
    assert!(body.contains("initial-response") && body.contains("MillisBehindLatest"), "{body}");
}

/// The kinds of frames that come over HTTP/2 until the server closes.
fn frames_until_closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    socket.read_to_end(&mut received).unwrap();
    let mut kinds = Vec::new();
    let mut rest = &received[..];
    while let [high, middle, low, kind, ..] = rest {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        kinds.push(*kind);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    kinds
}

#[test]
fn a_clean_stop_sends_goaway() {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let mut socket = TcpStream::connect(leat.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    socket.write_all(&SETTINGS).unwrap();
    // Its settings say that it speaks HTTP/2.
    let mut first = [0; 9];
    socket.read_exact(&mut first).unwrap();
    let length = u32::from_be_bytes([0, first[0], first[1], first[2]]) as usize;
    socket.read_exact(&mut vec![0; length]).unwrap();
    leat.stop().unwrap();
    let kinds = frames_until_closed(&mut socket);
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
}

#[tokio::test]
async fn subscribers_are_sent_records_as_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let arn = arn(&client, "s").await;
    let mut subscribers = Vec::new();
    for number in 0..100 {
        let consumer = client.register_stream_consumer().stream_arn(&arn);
        let consumer = consumer.consumer_name(format!("c{number}")).send().await.unwrap();
        let latest = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
        let subscribe = client.subscribe_to_shard().shard_id(SHARD).starting_position(latest);
        let subscribe = subscribe.consumer_arn(consumer.consumer.unwrap().consumer_arn);
        let mut events = subscribe.send().await.unwrap().event_stream;
        // The first event says that it listens.
        events.recv().await.unwrap().unwrap();
        subscribers.push(events);
    }
    let reads = |leat: &Leat| -> u64 {
        let metrics = leat.get("/metrics").unwrap();
        let line =
            metrics.lines().find(|line| line.starts_with("leat_shard_reads_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = reads(&leat);
    for number in 0..10 {
        put(&client, "s", &number.to_string()).await.unwrap();
        for events in &mut subscribers {
            let event = loop {
                let event = events.recv().await.unwrap().unwrap();
                let event = event.as_subscribe_to_shard_event().unwrap().clone();
                if !event.records.is_empty() {
                    break event;
                }
            };
            assert_eq!(event.records[0].data.as_ref(), number.to_string().as_bytes());
        }
    }
    let by_subscribers = reads(&leat) - before;
    assert_eq!(by_subscribers, 10, "one read for all subscribers of a shard");
}

/// Subscribes by curl, which stops reading when the pipe is full.
fn subscribe(leat: &Leat, consumer: &str, position: &str) -> std::process::Child {
    let body = format!(
        r#"{{"ConsumerARN":"{consumer}","ShardId":"{SHARD}","StartingPosition":{position}}}"#
    );
    curl(leat, "SubscribeToShard", JSON, &body, "--no-buffer").spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_do_not_read_stop_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path()).with(&["--memory-events", "30"])).unwrap();
    let client = rust_sdk(&leat.endpoint());
    let mut consumers = Vec::new();
    for stream in ["full", "other"] {
        client.create_stream().stream_name(stream).shard_count(1).send().await.unwrap();
        let arn = arn(&client, stream).await;
        for number in 0..if stream == "full" { 20 } else { 1 } {
            let name = format!("c{number}");
            let made = client.register_stream_consumer().stream_arn(&arn).consumer_name(name);
            let made = made.send().await.unwrap().consumer.unwrap();
            consumers.push(made.consumer_arn);
        }
    }
    for _ in 0..30 {
        let data = Blob::new(vec![b'x'; 1_000_000]);
        let record = client.put_record().stream_name("full").partition_key("k").data(data);
        record.send().await.unwrap();
    }
    let other = consumers.pop().unwrap();
    let from_start = r#"{"Type":"TRIM_HORIZON"}"#;
    let mut idle: Vec<_> = consumers.iter().map(|arn| subscribe(&leat, arn, from_start)).collect();
    put(&client, "other", "NEWS-FOR-WHO-READS").await.unwrap();
    let mut reader = subscribe(&leat, &other, from_start);
    let mut output = reader.stdout.take().unwrap();
    let found = tokio::task::spawn_blocking(move || {
        let encoded = "TkVXUy1GT1ItV0hPLVJFQURT".as_bytes();
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
            if seen.windows(encoded.len()).any(|window| window == encoded) {
                return true;
            }
        }
        false
    });
    let found = tokio::time::timeout(Duration::from_secs(50), found).await;
    assert!(found.expect("it is sent in time").unwrap(), "{}", leat.log());
    for child in idle.iter_mut().chain([&mut reader]) {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_client_that_asks_is_told_to_continue() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let mut socket = TcpStream::connect(leat.address()).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n\
         x-amz-date: 20260101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=AK/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00\r\n\
         content-length: 2\r\n\r\n",
        leat.address()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 25];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"{}").unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK"), "{rest}");
}

#[test]
fn errors_come_in_the_encoding_of_the_request_and_with_the_headers_of_aws() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    // A map of one text key, StreamName, which is a number: CBOR that is no request.
    let check = |content_type: &str, body: &str, want: &[&str]| {
        let file = directory.path().join("body");
        let bytes: Vec<u8> = (0..body.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&body[at..at + 2], 16).unwrap())
            .collect();
        std::fs::write(&file, bytes).unwrap();
        let body_file = format!("@{}", file.display());
        let mut command = curl(&leat, "DescribeStream", content_type, &body_file, "--include");
        let output = command.output().unwrap();
        let reply = String::from_utf8_lossy(&output.stdout).into_owned();
        for want in want {
            assert!(reply.contains(want), "{body}: {want} is not in {reply}");
        }
    };
    let name = "6a53747265616d4e616d65";
    let serialization = ["HTTP/2 400", "x-amzn-errortype: SerializationException", CBOR];
    check(CBOR, &format!("a1{name}01"), &serialization);
    check(CBOR, &format!("a1{name}"), &serialization);
    check(CBOR, "ff", &serialization);
    check(CBOR, "9f9f9f", &serialization);
    check(
        CBOR,
        &format!("a1{name}6178"),
        &["x-amzn-errortype: ResourceNotFoundException", CBOR, "x-amzn-requestid"],
    );
    check(JSON, "7b7d", &["x-amzn-errortype: InvalidArgumentException", JSON, "x-amz-id-2"]);
}
