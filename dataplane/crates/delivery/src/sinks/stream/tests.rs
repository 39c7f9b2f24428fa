use model::Offset;

use super::testing::TestStreams;
use super::*;
use crate::sinks::testing::{batch, outline, record};
use crate::sinks::{BatchId, Sink};

async fn deliver(streams: TestStreams, batch: &Batch) -> (String, String) {
    let streams = Arc::new(streams);
    let sink = StreamSink::new("target".into(), Arc::clone(&streams) as Arc<dyn Streams>);
    let attempt = sink.deliver(batch).await;
    (outline(&attempt), streams.taken())
}

fn busy() -> StreamError {
    StreamError::Busy("wait".into())
}

fn away() -> StreamError {
    StreamError::Unavailable("away".into())
}

#[tokio::test]
async fn records_are_put_by_their_partition_keys() {
    let (attempt, taken) = deliver(TestStreams::scripted(vec![]), &batch(&["a", "b"])).await;
    assert_eq!((attempt.as_str(), taken.as_str()), ("delivered", "key:a key:b"));
}

#[tokio::test(start_paused = true)]
async fn a_busy_shard_is_waited_for() {
    let streams =
        TestStreams::scripted(vec![|data| if data == "b" { Err(busy()) } else { Ok(()) }, |_| {
            Err(busy())
        }]);
    let (attempt, taken) = deliver(streams, &batch(&["a", "b", "c"])).await;
    assert_eq!((attempt.as_str(), taken.as_str()), ("delivered", "key:a key:c key:b"));
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_busy_is_reported() {
    let streams = TestStreams::scripted(vec![|_| Err(busy()); BUSY_TIMES_MAX as usize + 1]);
    let (attempt, _) = deliver(streams, &batch(&["a"])).await;
    assert_eq!(attempt, "again 0 Stream.Busy");
}

#[tokio::test]
async fn what_a_stream_that_is_away_did_not_take_comes_again_in_order() {
    let streams = TestStreams::scripted(vec![|data| match data {
        "a" => Err(away()),
        "c" => Err(busy()),
        _ => Ok(()),
    }]);
    let (attempt, taken) = deliver(streams, &batch(&["a", "b", "c"])).await;
    assert_eq!(attempt, "again 2 Stream.Busy; again 0 Stream.Unavailable");
    assert_eq!(taken, "key:b");
}

#[tokio::test]
async fn nothing_overtakes_what_was_not_taken() {
    let large = "x".repeat(PUT_BYTES_MAX);
    let streams = TestStreams::scripted(vec![|_| Ok(()), |_| Err(away())]);
    let (attempt, taken) = deliver(streams, &batch(&["a", &large, "b"])).await;
    assert_eq!(attempt, "again 1 2 Stream.Unavailable");
    assert_eq!(taken, "key:a");
}

#[tokio::test]
async fn what_no_stream_takes_is_refused() {
    let streams = TestStreams::scripted(vec![|data| match data {
        "large" => Err(StreamError::TooLarge("large".into())),
        _ => Ok(()),
    }]);
    let mut batch = batch(&["a", "large", "b"]);
    batch.records[2].partition_key = "k".repeat(257).into();
    let (attempt, taken) = deliver(streams, &batch).await;
    let refused = "refused 2 Stream.InvalidPartitionKey; refused 1 Stream.RecordTooLarge";
    assert_eq!((attempt.as_str(), taken.as_str()), (refused, "key:a"));
}

#[tokio::test]
async fn a_record_without_a_key_has_the_same_one_each_time() {
    let mut without = record(7, "a");
    without.partition_key = Bytes::new();
    let batch =
        Batch { id: BatchId(1), records: vec![without.clone(), record(8, "b")], ..batch(&[]) };
    let first = deliver(TestStreams::scripted(vec![]), &batch).await;
    assert_eq!(first, deliver(TestStreams::scripted(vec![]), &batch).await);
    without.origin.offset = Offset(9);
    assert!(first.1.starts_with(&format!("{}:a", partition_key(&batch.records[0]))), "{first:?}");
}

#[test]
fn parts_hold_what_a_shard_takes_in_a_second() {
    let check = |sizes: &[usize], want: &str| {
        let records = sizes.iter().zip(0..).map(|(size, at)| record(at, vec![b'x'; *size]));
        let records: Vec<_> = records.collect();
        let found: Vec<String> = parts(&records).map(|part| format!("{part:?}")).collect();
        assert_eq!(found.join(" "), want);
    };
    check(&[], "");
    check(&[0; 2_500], "0..1000 1000..2000 2000..2500");
    check(&[3 << 20, 1, 1 << 19, 1 << 19, 1], "0..1 1..3 3..5");
}
