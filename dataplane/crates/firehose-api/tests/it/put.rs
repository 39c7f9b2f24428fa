//! Records of producers.

use base64_simd::STANDARD;
use delivery_catalog::DeliveryPhase;
use firehose_api::PutError;
use serde_json::{Value, json};

use crate::fixture::{Fixture, ROLE, to_bucket, with};

fn record(bytes: usize) -> Value {
    json!({"Data": STANDARD.encode_to_string(vec![b'x'; bytes])})
}

fn one(bytes: usize) -> Value {
    json!({"DeliveryStreamName": "s", "Record": record(bytes)})
}

fn many(sizes: impl IntoIterator<Item = usize>) -> Value {
    let records: Vec<Value> = sizes.into_iter().map(record).collect();
    json!({"DeliveryStreamName": "s", "Records": records})
}

#[tokio::test]
async fn records_are_put_in_their_order() {
    let fixture = Fixture::with(to_bucket()).await;
    let put = fixture.call("PutRecord", one(3)).await;
    assert_eq!(put, Ok(json!({"RecordId": "s-1", "Encrypted": false})));
    let put = fixture.call("PutRecordBatch", many([0, 2])).await;
    let responses = json!([{"RecordId": "s-2"}, {"RecordId": "s-3"}]);
    let want = json!({"FailedPutCount": 0, "Encrypted": false, "RequestResponses": responses});
    assert_eq!(put, Ok(want));
    let kept = fixture.intake.records.lock().unwrap();
    assert_eq!(kept.iter().map(|record| record.len()).collect::<Vec<_>>(), [3, 0, 2]);
}

#[tokio::test]
async fn sizes_have_limits() {
    let fixture = Fixture::with(to_bucket()).await;
    fixture.call("PutRecord", one(1_024_000)).await.unwrap();
    let want = "ValidationException: 1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1024001 cap=1024001]' at 'record.data' failed";
    fixture.check_refused("PutRecord", one(1_024_001), want).await;
    let four_mib = [1_024_000, 1_024_000, 1_024_000, 1_024_000, 98_304];
    fixture.call("PutRecordBatch", many(four_mib)).await.unwrap();
    let more = many(four_mib.into_iter().chain([1]));
    let want = "InvalidArgumentException: Records size of 4194305 bytes exceeds the 4 MiB limit";
    fixture.check_refused("PutRecordBatch", more, want).await;
    fixture.call("PutRecordBatch", many([1; 500])).await.unwrap();
    let want = "ValidationException: 1 validation error detected: Value '[501 members]' at 'records' failed to satisfy constraint: Member must have length less than or equal to 500";
    fixture.check_refused("PutRecordBatch", many([1; 501]), want).await;
    let want = "ValidationException: 1 validation error detected: Value '[0 members]' at 'records'";
    fixture.check_refused("PutRecordBatch", many([]), want).await;
    let null = json!({"DeliveryStreamName": "s", "Records": [record(1), {}]});
    let want = "ValidationException: 1 validation error detected: Value null at 'records.2.member.data' failed to satisfy constraint: Member must not be null";
    fixture.check_refused("PutRecordBatch", null, want).await;
}

#[tokio::test]
async fn each_record_of_a_batch_has_its_own_answer() {
    let fixture = Fixture::with(to_bucket()).await;
    let busy = || Err(PutError::Unavailable("busy".to_owned()));
    let no_key = || Err(PutError::Key("no key".to_owned()));
    let broken = || Err(PutError::Failed("inside".to_owned()));
    let answer = |answers: &[fn() -> _]| {
        fixture.intake.answers.lock().unwrap().extend(answers.iter().map(|answer| answer()));
    };
    answer(&[busy, broken]);
    let put = fixture.call("PutRecordBatch", many([1, 1, 1])).await;
    let responses = json!([
        {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "busy"},
        {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."},
        {"RecordId": "s-3"},
    ]);
    let want = json!({"FailedPutCount": 2, "Encrypted": false, "RequestResponses": responses});
    assert_eq!(put, Ok(want));
    answer(&[no_key, no_key]);
    let want = "InvalidKMSResourceException: no key";
    fixture.check_refused("PutRecordBatch", many([1, 1]), want).await;
    for (error, want) in [
        (busy as fn() -> _, "ServiceUnavailableException: busy"),
        (no_key, "InvalidKMSResourceException: no key"),
        (broken, "InternalFailure: Internal service failure."),
    ] {
        answer(&[error]);
        fixture.check_refused("PutRecord", one(1), want).await;
    }
}

#[tokio::test]
async fn only_active_delivery_streams_of_producers_take_records() {
    let source = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/clicks",
            "RoleARN": ROLE,
        },
    });
    let fixture = Fixture::with(with(to_bucket(), source)).await;
    let want = "InvalidArgumentException: This operation is not permitted on KinesisStreamAsSource delivery stream type.";
    fixture.check_refused("PutRecord", one(1), want).await;
    fixture.check_refused("PutRecordBatch", many([1]), want).await;
    let fixture = Fixture::with(to_bucket()).await;
    for phase in [DeliveryPhase::Creating, DeliveryPhase::Deleting] {
        fixture.edit("s", |stream| stream.phase = phase);
        let want = "ResourceNotFoundException: Firehose s under account 000000000000 not found.";
        fixture.check_refused("PutRecord", one(1), want).await;
        fixture.check_refused("PutRecordBatch", many([1]), want).await;
    }
    assert_eq!(fixture.intake.records.lock().unwrap().len(), 0);
}
