//! However often a delivery is killed and changed, each record is in one object, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery_catalog::DeliveryStream;
use rand::RngExt;

use crate::home::{Home, LATEST, line};

/// Deliveries that are killed.
const KILLS: u32 = 16;
const RECORDS_OF_A_LIFE: u32 = 150;
const DELIVERED_MAX: Duration = Duration::from_secs(60);

/// `sizes_mib` are those of objects, by turns.
async fn check(sizes_mib: [u32; 2], spec: &str) {
    let home = Home::new(2).await;
    // As after an edit.
    let changed = |stream: &Arc<DeliveryStream>, version: u32| {
        Arc::new(DeliveryStream { destination_version: version.into(), ..(**stream).clone() })
    };
    // Windows of one last a second, those of the other end at once, and for want of memory after a few
    // records: what the first had begun, it would cut short if it did not know how far it was to go.
    let [slow, fast] = [(sizes_mib[0], 1), (sizes_mib[1], 0)].map(|(size, seconds)| {
        let buffering = format!(r#"{{"sizeMiB": {size}, "intervalSeconds": {seconds}}}"#);
        home.delivery_stream(&format!(r#""buffering": {buffering}, {spec}"#))
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
    let count = KILLS * RECORDS_OF_A_LIFE;
    let missing_and_repeated = || {
        let mut times = BTreeMap::new();
        for line in home.stores.lines("lake", "") {
            *times.entry(format!("{line}\n")).or_insert(0_u32) += 1;
        }
        let missing = (0..count).filter(|number| !times.contains_key(&line(*number))).count();
        (missing, times.values().map(|times| times - 1).sum::<u32>())
    };
    let all = async {
        while 0 < missing_and_repeated().0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let _ = tokio::time::timeout(DELIVERED_MAX, all).await;
    group.stop(Duration::from_secs(20)).await;
    tokio::time::sleep(LATEST).await;
    let (missing, repeated) = missing_and_repeated();
    let objects = home.stores.keys("lake").len();
    let told = format!("missing {missing}, repeated {repeated}, of {count} in {objects} objects");
    assert_eq!(missing, 0, "{told}");
    assert!(repeated == 0 || sizes_mib[0] != sizes_mib[1], "{told}");
    home.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_deliveries_put_each_record_into_one_object_once() {
    check([1, 1], r#""destination": {"s3": {"bucket": "lake"}}"#).await;
}

/// What arrives late, of who was killed, is not what is in the object that has taken its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_where_objects_end_lose_nothing() {
    check([1, 2], r#""destination": {"s3": {"bucket": "lake"}}"#).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_deliveries_by_partition_put_each_record_into_one_object_once() {
    check(
        [1, 1],
        r#""processing": {"metadataExtraction": {"query": "{kind: .kind}"}},
            "dynamicPartitioning": {"enabled": true},
            "destination": {"s3": {"bucket": "lake",
                "prefix": "kind=!{partitionKeyFromQuery:kind}/",
                "errorOutputPrefix": "errors/!{firehose:error-output-type}/"}}"#,
    )
    .await;
}
