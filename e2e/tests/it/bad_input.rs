//! Requests nobody should send: each gets AWS's error, and the server goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use auth::{RequestParts, SignedRequest, Signer, body_sha256, timestamp};
use e2e::{Leat, Start};
use model_clock::now;

mod model_clock {
    use std::time::{SystemTime, UNIX_EPOCH};

    /// The time to sign for.
    #[expect(clippy::disallowed_methods, reason = "a client outside the system under test")]
    pub(super) fn now() -> model::UnixMillis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        model::UnixMillis(since_epoch.as_millis() as u64)
    }
}

/// Sends a signed request as it is; status and body.
fn send(leat: &Leat, operation: &str, body: &[u8]) -> (u16, String) {
    let date = timestamp(now());
    let target = format!("Kinesis_20131202.{operation}");
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("host", leat.address()),
        ("x-amz-date", &date),
        ("x-amz-target", &target),
    ];
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    let signer =
        Signer { access_key: "AK", secret_key: "secret", region: "us-east-1", service: "kinesis" };
    let authorization = SignedRequest::sign(parts, &signer, body_sha256(body), now());
    let mut head = String::from("POST / HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!(
        "authorization: {authorization}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    exchange(leat, head.as_bytes(), body)
}

fn exchange(leat: &Leat, head: &[u8], body: &[u8]) -> (u16, String) {
    let mut socket = TcpStream::connect(leat.address()).unwrap();
    socket.write_all(head).unwrap();
    // A server that refuses need not read everything.
    let _ = socket.write_all(body);
    let mut response = Vec::new();
    let _ = socket.read_to_end(&mut response);
    let response = String::from_utf8_lossy(&response).into_owned();
    let status = response.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}

/// Operation, body, and how status and answer begin.
const TABLE: &[(&str, &str, u16, &str)] = &[
    ("Nonsense", "{}", 400, r#"{"__type":"UnknownOperationException""#),
    ("ListStreams", "{", 400, r#"{"__type":"SerializationException","Message":"Could not parse"#),
    (
        "DeleteStream",
        r#"["clicks"]"#,
        400,
        r#"{"__type":"SerializationException","Message":"START_ARRAY can not be"#,
    ),
    (
        "ListStreams",
        "nonsense",
        400,
        r#"{"__type":"SerializationException","Message":"Could not parse"#,
    ),
    (
        "ListStreams",
        r#"{"Limit":"x"}"#,
        400,
        r#"{"__type":"SerializationException","Message":"STRING_VALUE can not be converted to Long"#,
    ),
    (
        "ListStreams",
        r#"{"Limit":1.5}"#,
        400,
        r#"{"__type":"SerializationException","Message":"NUMBER_VALUE can not be converted to Long"#,
    ),
    (
        "ListStreams",
        r#"{"Limit":0}"#,
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value '0' at 'limit' failed"#,
    ),
    (
        "ListStreams",
        r#"{"Limit":99999999999999999999999}"#,
        400,
        r#"{"__type":"SerializationException","Message":""#,
    ),
    ("ListStreams", r#"{"NextToken":"x"}"#, 400, r#"{"__type":"InvalidArgumentException""#),
    (
        "CreateStream",
        "{}",
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value null at 'streamName'"#,
    ),
    (
        "CreateStream",
        r#"{"StreamName":"a b","ShardCount":0}"#,
        400,
        r#"{"__type":"ValidationException","message":"2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1""#,
    ),
    (
        "CreateStream",
        r#"{"StreamName":"..","ShardCount":1}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "CreateStream",
        r#"{"StreamName":"x","ShardCount":10001}"#,
        400,
        r#"{"__type":"InvalidArgumentException""#,
    ),
    (
        "CreateStream",
        r#"{"StreamName":"x","StreamModeDetails":{"StreamMode":"FAST"}}"#,
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value 'FAST' at 'streamModeDetails.streamMode'"#,
    ),
    (
        "CreateStream",
        r#"{"StreamName":"x","MaxRecordSizeInKiB":1}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    ("DescribeStream", "{}", 400, r#"{"__type":"InvalidArgumentException""#),
    (
        "DescribeStream",
        r#"{"StreamName":"nobody"}"#,
        400,
        r#"{"__type":"ResourceNotFoundException","message":"Stream nobody under account 000000000000 not found."#,
    ),
    (
        "DescribeStream",
        r#"{"StreamARN":"arn:aws:s3:::x"}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "PutRecord",
        "{}",
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value null at 'data'"#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"k","Data":"!"}"#,
        400,
        r#"{"__type":"SerializationException","Message":"invalid base64""#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"k","Data":"YQ"}"#,
        400,
        r#"{"__type":"SerializationException","Message":"invalid base64""#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"k","Data":7}"#,
        400,
        r#"{"__type":"SerializationException","Message":"NUMBER_VALUE can not be converted to Blob""#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"","Data":""}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"k","Data":"","ExplicitHashKey":"-1"}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"k","Data":"","ExplicitHashKey":"340282366920938463463374607431768211456"}"#,
        400,
        r#"{"__type":"InvalidArgumentException","message":"Invalid ExplicitHashKey"#,
    ),
    (
        "PutRecord",
        r#"{"StreamName":"s","PartitionKey":"k","Data":"","SequenceNumberForOrdering":"1"}"#,
        400,
        r#"{"__type":"InvalidArgumentException","message":"ExclusiveMinimumSequenceNumber 1"#,
    ),
    ("PutRecords", r#"{"StreamName":"s","Records":[]}"#, 400, r#"{"__type":"ValidationException""#),
    (
        "PutRecords",
        r#"{"StreamName":"s","Records":[{"Data":"YQ=="},{}]}"#,
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value null at 'records.2.member.data'"#,
    ),
    (
        "PutRecords",
        r#"{"StreamName":"s","Records":[{"Data":"","PartitionKey":"k"},{"Data":"YQ=="}]}"#,
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value null at 'records.2.member.partitionKey'"#,
    ),
    (
        "CreateQueue",
        "{}",
        400,
        r#"{"__type":"UnknownOperationException","message":"CreateQueue is not supported"#,
    ),
    (
        "SubscribeToShard",
        "{}",
        400,
        r#"{"__type":"ValidationException","message":"3 validation errors"#,
    ),
    (
        "SubscribeToShard",
        r#"{"ConsumerARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1","ShardId":"x","StartingPosition":{"Type":"LATEST"}}"#,
        400,
        r#"{"__type":"ResourceNotFoundException","message":"Consumer c of stream s"#,
    ),
    (
        "RegisterStreamConsumer",
        r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","ConsumerName":"a b"}"#,
        400,
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value 'a b' at 'consumerName'"#,
    ),
    (
        "PutResourcePolicy",
        r#"{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","Policy":"{}"}"#,
        400,
        r#"{"__type":"InvalidArgumentException","message":"The policy is not valid: missing field"#,
    ),
    (
        "PutRecords",
        r#"{"StreamName":"s","Records":{"a":1}}"#,
        400,
        r#"{"__type":"SerializationException","Message":"START_OBJECT can not be converted to List""#,
    ),
    (
        "GetShardIterator",
        r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"NOW"}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "GetShardIterator",
        r#"{"StreamName":"s","ShardId":"shardId-000000000009","ShardIteratorType":"LATEST"}"#,
        400,
        r#"{"__type":"ResourceNotFoundException""#,
    ),
    (
        "GetShardIterator",
        r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":99999999999}"#,
        400,
        r#"{"__type":"InvalidArgumentException""#,
    ),
    (
        "GetShardIterator",
        r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_SEQUENCE_NUMBER","StartingSequenceNumber":"5"}"#,
        400,
        r#"{"__type":"InvalidArgumentException""#,
    ),
    (
        "GetRecords",
        r#"{"ShardIterator":"x"}"#,
        400,
        r#"{"__type":"InvalidArgumentException","message":"Invalid ShardIterator."#,
    ),
    (
        "GetRecords",
        r#"{"ShardIterator":"AAAA","Limit":10001}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "SplitShard",
        r#"{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"1"}"#,
        400,
        r#"{"__type":"InvalidArgumentException","message":"NewStartingHashKey 1 used in SplitShard()"#,
    ),
    (
        "MergeShards",
        r#"{"StreamName":"s","ShardToMerge":"shardId-000000000000","AdjacentShardToMerge":"shardId-000000000000"}"#,
        400,
        r#"{"__type":"InvalidArgumentException""#,
    ),
    (
        "UpdateShardCount",
        r#"{"StreamName":"s","TargetShardCount":2,"ScalingType":"X"}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "DecreaseStreamRetentionPeriod",
        r#"{"StreamName":"s","RetentionPeriodHours":1}"#,
        400,
        r#"{"__type":"InvalidArgumentException""#,
    ),
    (
        "AddTagsToStream",
        r#"{"StreamName":"s","Tags":{}}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "ListShards",
        r#"{"StreamName":"s","ShardFilter":{}}"#,
        400,
        r#"{"__type":"ValidationException""#,
    ),
    (
        "ListShards",
        r#"{"StreamName":"s","NextToken":"x"}"#,
        400,
        r#"{"__type":"InvalidArgumentException","message":"NextToken and"#,
    ),
];

fn serving() -> (tempfile::TempDir, Leat) {
    let directory = tempfile::tempdir().unwrap();
    let credentials = directory.path().join("credentials");
    let file = "[default]\naws_access_key_id = AK\naws_secret_access_key = secret\n";
    std::fs::write(&credentials, file).unwrap();
    let start = Start::on(&directory.path().join("data"))
        .with(&["--credentials-file", credentials.to_str().unwrap()]);
    let leat = Leat::start(&start).unwrap();
    let (status, body) = send(&leat, "CreateStream", br#"{"StreamName":"s","ShardCount":1}"#);
    assert_eq!((status, body.as_str()), (200, ""));
    (directory, leat)
}

#[test]
fn wrong_requests_are_refused_as_aws_refuses_them() {
    let (_directory, leat) = serving();
    for (operation, body, status, start) in TABLE {
        let got = send(&leat, operation, body.as_bytes());
        assert_eq!(got.0, *status, "{operation} {body}: {}", got.1);
        assert!(got.1.starts_with(start), "{operation} {body}: {}", got.1);
    }
    assert_eq!(send(&leat, "ListStreams", b"").0, 200, "it goes on");
}

#[test]
fn large_deep_and_broken_bodies_are_refused() {
    let (_directory, leat) = serving();
    let deep = format!("{{\"Tags\":{}", "[".repeat(500_000));
    assert_eq!(send(&leat, "AddTagsToStream", deep.as_bytes()).0, 400);
    assert_eq!(send(&leat, "ListStreams", b"\xff\xfe\x00").0, 400);
    let record = |bytes: usize| {
        let data = base64_simd::STANDARD.encode_to_string(vec![0; bytes]);
        format!("{{\"StreamName\":\"s\",\"PartitionKey\":\"k\",\"Data\":\"{data}\"}}")
    };
    assert_eq!(send(&leat, "PutRecord", record((1 << 20) - 1).as_bytes()).0, 200);
    let over = send(&leat, "PutRecord", record(1 << 20).as_bytes());
    assert!(over.1.contains("exceeds the stream's maximum of 1024 KiB"), "{}", over.1);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 99999999999\r\n",
        leat.address()
    );
    let date = timestamp(now());
    let signed = format!(
        "{head}content-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.PutRecord\r\n\
         x-amz-date: {date}\r\nauthorization: AWS4-HMAC-SHA256 Credential=AK/{}/us-east-1/kinesis/aws4_request, \
         SignedHeaders=host, Signature=00\r\n\r\n",
        &date[..8]
    );
    let (status, body) = exchange(&leat, signed.as_bytes(), b"");
    assert_eq!(status, 413, "{body}");
    assert_eq!(send(&leat, "ListStreams", b"").0, 200, "it goes on");
}

#[test]
fn wrong_signatures_are_refused_by_their_aws_names() {
    let (_directory, leat) = serving();
    let date = timestamp(now());
    let scope = format!("AK/{}/us-east-1/kinesis/aws4_request", &date[..8]);
    let with = |authorization: &str| {
        let authorization = match authorization {
            "" => String::new(),
            value => format!("authorization: {value}\r\n"),
        };
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: Kinesis_20131202.ListStreams\r\nx-amz-date: {date}\r\n{authorization}content-length: 2\r\n\r\n",
            leat.address()
        );
        exchange(&leat, head.as_bytes(), b"{}").1
    };
    for (authorization, code) in [
        (String::new(), "MissingAuthenticationTokenException"),
        ("AWS4-HMAC-SHA256 Credential=AK".to_owned(), "IncompleteSignatureException"),
        ("Basic eDp5".to_owned(), "IncompleteSignatureException"),
        (
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"),
            "InvalidSignatureException",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential=X{scope}, SignedHeaders=host, Signature=00"),
            "UnrecognizedClientException",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AK/x, SignedHeaders=host, Signature=00".to_owned(),
            "IncompleteSignatureException",
        ),
    ] {
        let body = with(&authorization);
        assert!(body.contains(&format!(r#""__type":"{code}""#)), "{authorization}: {body}");
    }
}

#[test]
fn requests_that_are_not_kinesis_are_refused() {
    let (_directory, leat) = serving();
    for (request, want) in [
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "HTTP/1.1 403"),
        (
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404",
        ),
        (
            "POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 403",
        ),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let response = leat.raw(request).unwrap();
        assert!(response.starts_with(want), "{request}: {response}");
    }
    let preflight = "OPTIONS / HTTP/1.1\r\nhost: x\r\norigin: http://a\r\n\
                     access-control-request-headers: x-amz-target\r\nconnection: close\r\n\r\n";
    let response = leat.raw(preflight).unwrap();
    assert!(response.contains("access-control-allow-headers: x-amz-target"), "{response}");
    assert!(response.contains("access-control-max-age: 172800"), "{response}");
}

/// The head of a request whose body does not come, as far as it goes before it is known who sent it.
fn unfinished(leat: &Leat, headers: &str) -> TcpStream {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-target: Kinesis_20131202.PutRecords\r\n\
         x-amz-date: 20260101T000000Z\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential=AK/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00\r\n\
         {headers}\r\n\r\n",
        leat.address()
    );
    let mut socket = TcpStream::connect(leat.address()).unwrap();
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

#[test]
fn bodies_that_do_not_come_keep_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let started = std::time::Instant::now();
    let shapes = [
        "transfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-encoding: gzip",
        "content-length: 1000\r\ncontent-encoding: gzip",
    ];
    let stuck: Vec<TcpStream> =
        shapes.iter().cycle().take(9).map(|shape| unfinished(&leat, shape)).collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let body = br#"{"StreamName":"s","ShardCount":1}"#;
    assert_eq!(send(&leat, "CreateStream", body).0, 200);
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    // Some have their turn and are given up, the rest are not let wait for ever; whose turn it is, is
    // not by who connected first. All may try again.
    let turns = ["did not come in time", "Too many requests in chunks"];
    let mut counts = [0; 2];
    for mut socket in &stuck {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let turn = turns.iter().position(|why| answer.contains(why));
        counts[turn.unwrap_or_else(|| panic!("{answer}"))] += 1;
    }
    assert!(counts.iter().all(|&count| 0 < count), "{turns:?}: {counts:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "{:?}", started.elapsed());
}
