use expect_test::{Expect, expect};
use model::{DeliveryRecord, Offset, SequenceNumber, ShardId, UnixMillis};
use proptest::prelude::*;

use super::super::{TableMetadata, TableOperation};
use super::*;

fn item(sub: u32, data: impl Into<Bytes>) -> Item {
    let arrival = UnixMillis(1_700_000_000_123);
    let origin = Origin {
        shard: ShardId(3),
        offset: Offset(42),
        sub,
        sequence_number: SequenceNumber::of_record(ShardId(3), arrival, Offset(42), arrival),
        arrival,
    };
    let record =
        DeliveryRecord { data: data.into(), partition_key: Bytes::from_static(b"k\"1"), origin };
    Item::from(record)
}

fn envelope(source: Option<&str>) -> Envelope {
    Envelope {
        delivery_stream_arn: "arn:aws:firehose:eu-central-1:0:deliverystream/d".into(),
        source_kinesis_stream_arn: source.map(str::to_owned),
        region: "eu-central-1".into(),
    }
}

fn check_encode(source: Option<&str>, expect: Expect) {
    let payload = envelope(source).encode("i-1", &[item(0, "one"), item(1, "")]);
    let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    expect.assert_eq(&serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn a_call_says_what_aws_says() {
    check_encode(
        None,
        expect![[r#"
        {
          "deliveryStreamArn": "arn:aws:firehose:eu-central-1:0:deliverystream/d",
          "invocationId": "i-1",
          "records": [
            {
              "approximateArrivalTimestamp": 1700000000123,
              "data": "b25l",
              "recordId": "shardId-000000000003.42.0"
            },
            {
              "approximateArrivalTimestamp": 1700000000123,
              "data": "",
              "recordId": "shardId-000000000003.42.1"
            }
          ],
          "region": "eu-central-1"
        }"#]],
    );
    check_encode(
        Some("arn:aws:kinesis:eu-central-1:0:stream/s"),
        expect![[r#"
        {
          "deliveryStreamArn": "arn:aws:firehose:eu-central-1:0:deliverystream/d",
          "invocationId": "i-1",
          "records": [
            {
              "approximateArrivalTimestamp": 1700000000123,
              "data": "b25l",
              "kinesisRecordMetadata": {
                "approximateArrivalTimestamp": 1700000000123,
                "partitionKey": "k\"1",
                "sequenceNumber": "49646437577175378652512468275302520390646803815305576498",
                "shardId": "shardId-000000000003",
                "subsequenceNumber": 0
              },
              "recordId": "shardId-000000000003.42.0"
            },
            {
              "approximateArrivalTimestamp": 1700000000123,
              "data": "",
              "kinesisRecordMetadata": {
                "approximateArrivalTimestamp": 1700000000123,
                "partitionKey": "k\"1",
                "sequenceNumber": "49646437577175378652512468275302520390646803815305576498",
                "shardId": "shardId-000000000003",
                "subsequenceNumber": 1
              },
              "recordId": "shardId-000000000003.42.1"
            }
          ],
          "region": "eu-central-1",
          "sourceKinesisStreamArn": "arn:aws:kinesis:eu-central-1:0:stream/s"
        }"#]],
    );
}

/// The verdicts of `answer` on three records.
fn check_decode(answer: &str, expect: Expect) {
    let out = decode(answer.as_bytes(), vec![item(0, "zero"), item(1, "one"), item(2, "two")]);
    let mut lines = vec![format!("dropped {}", out.dropped)];
    for item in &out.kept {
        let data = String::from_utf8_lossy(&item.record.data);
        let raw = String::from_utf8_lossy(item.raw());
        lines.push(format!("kept {raw} as {data:?} {:?}", item.metadata));
    }
    for failed in &out.failed {
        let raw = String::from_utf8_lossy(&failed.raw);
        lines.push(format!("failed {raw}: {}: {}", failed.code.as_str(), failed.message));
    }
    expect.assert_eq(&lines.join("\n"));
}

#[test]
fn each_record_has_its_verdict() {
    check_decode(
        r#"{"records":[
            {"recordId":"shardId-000000000003.42.2","result":"ProcessingFailed"},
            {"recordId":"shardId-000000000003.42.0","result":"Ok","data":"T05F"},
            {"recordId":"shardId-000000000003.42.1","result":"Dropped","data":null}],"more":1}"#,
        expect![[r#"
            dropped 1
            kept zero as "ONE" None
            failed two: Lambda.ProcessingFailedStatus: ProcessingFailed status set for record"#]],
    );
}

#[test]
fn a_verdict_that_is_wrong_fails_its_record_only() {
    let answer = |first: &str| {
        format!(
            r#"{{"records":[{first},
            {{"recordId":"shardId-000000000003.42.1","result":"Dropped"}},
            {{"recordId":"shardId-000000000003.42.2","result":"Dropped"}}]}}"#
        )
    };
    let id = r#""recordId":"shardId-000000000003.42.0""#;
    let cases = [
        (format!(r#"{{{id},"result":"Ok"}}"#), "Lambda.InvalidReturnFormat"),
        (format!(r#"{{{id},"result":"Ok","data":"%%%"}}"#), "Lambda.FunctionError"),
        (format!(r#"{{{id},"result":"ok","data":""}}"#), "Lambda.FunctionError"),
        (format!("{{{id}}}"), "Lambda.FunctionError"),
        (r#"{"result":"Ok","data":""}"#.to_owned(), "Lambda.MissingRecordId"),
        (r#"{"recordId":"other","result":"Ok","data":""}"#.to_owned(), "Lambda.MissingRecordId"),
        (
            format!(r#"{{{id},"result":"Dropped"}},{{{id},"result":"Dropped"}}"#),
            "Lambda.DuplicatedRecordId",
        ),
        (
            format!(
                r#"{{{id},"result":"Ok","data":"","metadata":{{"partitionKeys":{{"a":""}}}}}}"#
            ),
            "DynamicPartitioning.MetadataExtractionFailed",
        ),
        (
            format!(
                r#"{{{id},"result":"Ok","data":"","metadata":{{"partitionKeys":{{"a":null}}}}}}"#
            ),
            "DynamicPartitioning.MetadataExtractionFailed",
        ),
        (
            format!(
                r#"{{{id},"result":"Ok","data":"","metadata":{{"otfMetadata":{{"operation":"x"}}}}}}"#
            ),
            "Lambda.FunctionError",
        ),
    ];
    for (first, code) in cases {
        let items = vec![item(0, "zero"), item(1, "one"), item(2, "two")];
        let out = decode(answer(&first).as_bytes(), items);
        assert_eq!((out.kept.len(), out.dropped, out.failed.len()), (0, 2, 1), "{first}");
        assert_eq!(out.failed[0].code.as_str(), code, "{first}");
        assert_eq!(out.failed[0].raw, "zero");
    }
}

#[test]
fn an_answer_that_cannot_be_read_fails_all() {
    check_decode(
        "{\"records\":[{\"recordId\":1}]}",
        expect![[r#"
        dropped 0
        failed zero: Lambda.JsonProcessingException: There was an error parsing returned records from the Lambda function. Ensure that the returned records follow the status model required by Firehose.
        failed one: Lambda.JsonProcessingException: There was an error parsing returned records from the Lambda function. Ensure that the returned records follow the status model required by Firehose.
        failed two: Lambda.JsonProcessingException: There was an error parsing returned records from the Lambda function. Ensure that the returned records follow the status model required by Firehose."#]],
    );
    let cases = [
        ("", "Lambda.JsonProcessingException"),
        ("[]", "Lambda.JsonProcessingException"),
        ("{}", "Lambda.MissingRecordId"),
        (r#"{"records":null}"#, "Lambda.MissingRecordId"),
        (r#"{"errorMessage":"boom"}"#, "Lambda.MissingRecordId"),
    ];
    for (answer, code) in cases {
        let out = decode(answer.as_bytes(), vec![item(0, "zero"), item(1, "one")]);
        assert_eq!(out.failed.len(), 2, "{answer}");
        assert!(out.failed.iter().all(|failed| failed.code.as_str() == code), "{answer}");
    }
}

#[test]
fn an_answer_has_a_bound() {
    let code = |answer: String| {
        let out = decode(answer.as_bytes(), vec![item(0, "zero")]);
        out.failed.first().map(|failed| failed.code)
    };
    let large = " ".repeat(PAYLOAD_BYTES_MAX - 1);
    assert_eq!(code(format!("{{}}{large}")), Some(FailureCode::LambdaFunction));
    let many = |count| format!(r#"{{"records":[{{}}{}]}}"#, ",{}".repeat(count - 1));
    assert_eq!(code(many(RECORDS_MAX)), Some(FailureCode::LambdaMissingRecordId));
    assert_eq!(code(many(RECORDS_MAX + 1)), Some(FailureCode::LambdaJsonProcessing));
    let deep = format!(r#"{{"records":[{{"x":{}1"#, "[".repeat(100_000));
    assert_eq!(code(deep), Some(FailureCode::LambdaJsonProcessing));
}

#[test]
fn metadata_of_a_kept_record_is_taken() {
    let answer = r#"{"records":[{"recordId":"shardId-000000000003.42.0","result":"Ok","data":"",
        "metadata":{"partitionKeys":{"s":"x","n":7,"f":1.50,"b":true},
        "otfMetadata":{"destinationDatabaseName":"d","destinationTableName":"t","operation":"delete"}}}]}"#;
    let out = decode(answer.as_bytes(), vec![item(0, "zero")]);
    let metadata = out.kept[0].metadata.as_ref().unwrap();
    let keys: Vec<_> = metadata.partition_keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(keys, ["b=true", "f=1.5", "n=7", "s=x"]);
    let table = TableMetadata {
        database: Some("d".into()),
        table: Some("t".into()),
        operation: Some(TableOperation::Delete),
    };
    assert_eq!(metadata.table, Some(table));
}

#[test]
fn calls_are_no_larger_than_asked() {
    let calls = |sizes: &[usize], bytes| {
        let items = sizes.iter().zip(0..).map(|(size, sub)| item(sub, vec![b'x'; *size])).collect();
        let out = envelope(Some("s")).split(items, bytes);
        let sizes = |call: &Vec<Item>| call.iter().map(|it| it.record.data.len()).collect();
        (out.calls.iter().map(sizes).collect::<Vec<Vec<usize>>>(), out.failed.len())
    };
    assert_eq!(calls(&[], 10), (vec![], 0));
    assert_eq!(calls(&[4, 6, 1], 10), (vec![vec![4, 6], vec![1]], 0));
    assert_eq!(calls(&[20, 1, 9, 11], 10), (vec![vec![20], vec![1, 9], vec![11]], 0));
    let five = 5 << 20;
    assert_eq!(calls(&[1, five, 2], usize::MAX), (vec![vec![1, 2]], 1));
    let two = 2 << 20;
    assert_eq!(calls(&[two, two, two], usize::MAX), (vec![vec![two, two], vec![two]], 0));
}

#[test]
fn a_call_size_is_kept_within_its_bounds() {
    for (mib, bytes) in [(0.0, 209_715), (1.0, 1 << 20), (9.0, 3 << 20), (f64::NAN, 209_715)] {
        assert_eq!(call_bytes(mib), bytes, "{mib}");
    }
}

proptest! {
    #[test]
    fn the_estimate_of_a_record_is_no_less_than_what_it_takes(
        data in proptest::collection::vec(any::<u8>(), 0..100),
        key in proptest::collection::vec(any::<u8>(), 0..256),
        numbers in any::<(u32, u64, u32, u32)>(),
    ) {
        let (shard, offset, sub, arrival) = numbers;
        let mut item = item(sub, data);
        item.record.partition_key = Bytes::from(key);
        let origin = &mut item.record.origin;
        (origin.shard, origin.offset, origin.arrival) =
            (ShardId(shard), Offset(offset), UnixMillis(u64::from(arrival) << 32));
        let envelope = envelope(Some("s"));
        let (none, one) = (envelope.encode("i", &[]).len(), envelope.encode("i", &[item.clone()]).len());
        prop_assert!(one - none <= envelope.payload_bytes(&item));
    }

    #[test]
    fn no_answer_breaks_the_decoder(answer in "[\\[\\]{}\",:0-9a-zA-Z.-]{0,200}") {
        let out = decode(answer.as_bytes(), vec![item(0, "zero")]);
        prop_assert_eq!(out.kept.len() + out.dropped + out.failed.len(), 1);
    }

    #[test]
    fn what_is_called_and_echoed_is_kept(
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..10),
    ) {
        let items: Vec<_> = data.iter().zip(0..).map(|(data, sub)| item(sub, data.clone())).collect();
        let mut call: serde_json::Value =
            serde_json::from_slice(&envelope(None).encode("i", &items)).unwrap();
        for record in call["records"].as_array_mut().unwrap() {
            record["result"] = "Ok".into();
        }
        let out = decode(call.to_string().as_bytes(), items);
        let kept: Vec<_> = out.kept.iter().map(|item| item.record.data.to_vec()).collect();
        prop_assert_eq!(kept, data);
    }
}

#[test]
fn a_call_that_failed_for_good_says_how_often_it_was_made() {
    let items = vec![item(0, "one"), item(1, "two")];
    let out = fail_all(items, FailureCode::LambdaTimedOut, "it took too long", 4);
    let failed = out.failed.iter().map(|it| (&*it.raw, it.attempts, &*it.message));
    let expected = [(&b"one"[..], 4, "it took too long"), (b"two", 4, "it took too long")];
    assert_eq!(failed.collect::<Vec<_>>(), expected);
    let refused = decode(b"[]", vec![item(0, "one")]);
    assert_eq!(refused.failed.iter().map(|it| it.attempts).collect::<Vec<_>>(), [1]);
}
