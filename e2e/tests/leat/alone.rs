//! What takes something away from all of the cluster, and so from all other tests: run after them, one
//! at a time (see e2e/test.sh).

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use e2e::cluster::wait;

use crate::load::{Load, read_all};
use crate::{Fixture, READY_MAX, client, installed};

/// The API server is away while this is there: also when a test fails, for the others need it.
struct Away;

impl Away {
    fn new() -> Away {
        installed().cluster.stop_api_server().unwrap();
        Away
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        installed().cluster.start_api_server().unwrap();
    }
}

async fn put_by(client: &Client, stream: &str) {
    let put = client.put_record().stream_name(stream).partition_key("k");
    put.data(Blob::new("probe:0")).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_down_data_keeps_flowing() {
    let fixture = Fixture::with_clicks("away", 2, "{shardCount: 2}").await;
    // Every gateway finds out what this user may do: what nobody has asked before, nobody can be told
    // without the API server.
    for _ in 0..20 {
        read_all(&client(&fixture.key), "clicks").await;
        put_by(&client(&fixture.key), "clicks").await;
    }
    let load = Load::start(&fixture.client, "clicks", 4);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let away = Away::new();
    let meanwhile = Load::of(&fixture.client, "clicks", 4..5);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let meanwhile = meanwhile.finish().await;
    let read = read_all(&fixture.client, "clicks").await.len();
    drop(away);
    let report = load.finish().await;
    println!("{} put, {} of them without the API server", report.total(), meanwhile.total());
    assert!(100 < meanwhile.total() && 100 < read, "{meanwhile:?}");
    assert_eq!((meanwhile.refused, report.refused), (0, 0));
    report.check(&fixture.client, "clicks").await;
    meanwhile.check(&fixture.client, "clicks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_restarted_under_load_lose_no_request() {
    let fixture = Fixture::with_clicks("gateways", 2, "{shardCount: 2}").await;
    let load = Load::start(&fixture.client, "clicks", 8);
    restart_gateways();
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    assert!(100 < report.total(), "{report:?}");
    assert_eq!(report.refused, 0, "the client's own retries are enough");
    report.check(&fixture.client, "clicks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_restarted_know_where_the_end_of_a_shard_is() {
    let fixture = Fixture::with_clicks("tip", 1, "{shardCount: 1}").await;
    restart_gateways();
    for _ in 0..10 {
        let client = client(&fixture.key);
        let iterator = client.get_shard_iterator().stream_name("clicks");
        let iterator = iterator.shard_id("shardId-000000000000");
        let iterator = iterator.shard_iterator_type(ShardIteratorType::Latest).send().await;
        let iterator = iterator.unwrap().shard_iterator.unwrap();
        let got = client.get_records().shard_iterator(iterator).send().await.unwrap();
        assert_eq!(got.records.len(), 0, "what was put before is not LATEST");
    }
}

fn restart_gateways() {
    let cluster = &installed().cluster;
    let gateway = ["deployment/leat-gateway", "-n", e2e::cluster::leat::NAMESPACE];
    cluster.kubectl(&[&["rollout", "restart"], &gateway[..]].concat()).unwrap();
    let status = [&["rollout", "status", "--timeout=120s"], &gateway[..]].concat();
    cluster.kubectl(&status).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn node_drain() {
    let fixture = Fixture::with_clicks("drain", 4, "{shardCount: 4, shardsPerPod: 2}").await;
    let path = "jsonpath={.items[*].spec.nodeName}";
    let nodes = fixture.kubectl(&["get", "pods", "-o", path]);
    assert!(nodes.contains("node-2"), "no pod of it is where the drain is: {nodes}");
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
