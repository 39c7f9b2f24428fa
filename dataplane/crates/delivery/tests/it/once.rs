//! However often a delivery is killed and changed, each record is in one object, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery_catalog::DeliveryStream;
use rand::RngExt;

use crate::home::{Home, line};

/// Deliveries that are killed.
const KILLS: u32 = 16;
const RECORDS_OF_A_LIFE: u32 = 150;
const DELIVERED_MAX: Duration = Duration::from_secs(60);

async fn check(spec: &str) {
    let home = Home::new(2).await;
    // As after an edit.
    let changed = |stream: &Arc<DeliveryStream>, version: u32| {
        Arc::new(DeliveryStream { destination_version: version.into(), ..(**stream).clone() })
    };
    // Windows of one last a second, those of the other end at once, and for want of memory after a few
    // records: what the first had begun, it would cut short if it did not know how far it was to go.
    let [slow, fast] = [1, 0].map(|seconds| {
        let buffering = format!(r#""buffering": {{"sizeMiB": 1, "intervalSeconds": {seconds}}}"#);
        home.delivery_stream(&format!("{buffering}, {spec}"))
    });
    let (much, little) = (64 << 20, 0);
    *home.stores.one_fails_of.lock().unwrap() = 20;
    for life in 0..KILLS {
        let is_slow = life % 2 == 0;
        let (stream, memory) = if is_slow { (&slow, much) } else { (&fast, little) };
        let group = home.deliver(&changed(stream, 1 + life), memory);
        home.put(life * RECORDS_OF_A_LIFE..(life + 1) * RECORDS_OF_A_LIFE).await;
        let killed_after = if is_slow { 950 } else { 0 } + rand::rng().random_range(0..250);
        tokio::time::sleep(Duration::from_millis(killed_after)).await;
        drop(group);
    }
    *home.stores.one_fails_of.lock().unwrap() = 0;
    let group = home.deliver(&changed(&fast, 1 + KILLS), little);
    let count = (KILLS * RECORDS_OF_A_LIFE) as usize;
    let all = async {
        while home.stores.lines("lake", "").len() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let _ = tokio::time::timeout(DELIVERED_MAX, all).await;
    group.stop(Duration::from_secs(20)).await;
    let mut times = BTreeMap::new();
    for line in home.stores.lines("lake", "") {
        *times.entry(format!("{line}\n")).or_insert(0_u32) += 1;
    }
    let missing = (0..count as u32).filter(|number| !times.contains_key(&line(*number))).count();
    let repeated: u32 = times.values().map(|times| times - 1).sum();
    let objects = home.stores.keys("lake").len();
    assert_eq!((missing, repeated), (0, 0), "of {count} records in {objects} objects");
    home.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_deliveries_put_each_record_into_one_object_once() {
    check(r#""destination": {"s3": {"bucket": "lake"}}"#).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_deliveries_by_partition_put_each_record_into_one_object_once() {
    check(
        r#""processing": {"metadataExtraction": {"query": "{kind: .kind}"}},
            "dynamicPartitioning": {"enabled": true},
            "destination": {"s3": {"bucket": "lake",
                "prefix": "kind=!{partitionKeyFromQuery:kind}/",
                "errorOutputPrefix": "errors/!{firehose:error-output-type}/"}}"#,
    )
    .await;
}
