//! What takes something away from all of the cluster, and so from all other tests: run after them, one
//! at a time (`-- alone:: --test-threads=1`).

use std::time::Duration;

use e2e::cluster::wait;

use crate::load::{Load, read_all};
use crate::{Fixture, READY_MAX, installed};

#[tokio::test(flavor = "multi_thread")]
async fn api_server_down_data_keeps_flowing() {
    let fixture = Fixture::new("away");
    fixture.apply("clicks", "{shardCount: 2}");
    fixture.wait_for_shards("clicks", 2);
    fixture.wait_for_put("clicks").await;
    let load = Load::start(&fixture.client, "clicks", 4);
    tokio::time::sleep(Duration::from_secs(2)).await;
    installed().cluster.stop_api_server().unwrap();
    let meanwhile = Load::start(&fixture.client, "clicks", 1);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let meanwhile = meanwhile.finish().await;
    let read = read_all(&fixture.client, "clicks").await.len();
    installed().cluster.start_api_server().unwrap();
    let report = load.finish().await;
    println!("{} put, {} of them without the API server", report.total(), meanwhile.total());
    assert!(100 < meanwhile.total() && 100 < read, "{meanwhile:?}");
    assert_eq!((meanwhile.refused, report.refused), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn node_drain() {
    let fixture = Fixture::new("drain");
    fixture.apply("clicks", "{shardCount: 4, shardsPerPod: 2}");
    fixture.wait_for_shards("clicks", 4);
    fixture.wait_for_put("clicks").await;
    let load = Load::start(&fixture.client, "clicks", 4);
    let cluster = &installed().cluster;
    let drain = ["drain", "node-2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout"];
    cluster.kubectl(&[&drain[..], &["120s"]].concat()).unwrap();
    // Its volume is there, so its shards come back with the node.
    cluster.kubectl(&["uncordon", "node-2"]).unwrap();
    fixture.wait_for_shards("clicks", 4);
    wait("all pods", READY_MAX, || {
        let path = "jsonpath={.status.readyReplicas}";
        let ready = fixture.kubectl(&["get", "statefulset", "clicks-stream", "-o", path]);
        Ok((ready == "2").then_some(()))
    })
    .unwrap();
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    assert!(100 < report.total(), "{report:?}");
    report.check(&fixture.client, "clicks").await;
}
