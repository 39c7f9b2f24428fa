//! What takes something away from all of the cluster, and so from all other tests: run after them, one
//! at a time (see e2e/cluster-tests.sh).

mod deliveries;

use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use e2e::cluster::wait;

use crate::load::{Load, read_all};
use crate::{Fixture, READY_MAX, client, config, installed};

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

/// With a pod of `clicks` on each of the two nodes. The scheduler only prefers that: one that is said to
/// be away, as after the API server was, gets none.
async fn on_both_nodes(name: &str, shards: usize, spec: &str) -> Fixture {
    let deadline = Instant::now() + READY_MAX;
    loop {
        let fixture = Fixture::with_clicks(name, shards, spec).await;
        let path = "jsonpath={.items[*].spec.nodeName}";
        let nodes = fixture.kubectl(&["get", "pods", "-o", path]);
        if nodes.contains("node-1") && nodes.contains("node-2") {
            return fixture;
        }
        assert!(Instant::now() < deadline, "not one on each node: {nodes}");
    }
}

async fn put_by(client: &Client, stream: &str) {
    let put = client.put_record().stream_name(stream).partition_key("k");
    put.data(Blob::new("probe:0")).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_down_data_keeps_flowing() {
    let fixture = Fixture::with_clicks("away", 2, "{shardCount: 2}").await;
    ask_for_rights(&fixture).await;
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

/// Every gateway finds out what this user may do: what nobody has asked before, nobody can be told
/// without the API server.
async fn ask_for_rights(fixture: &Fixture) {
    for _ in 0..20 {
        read_all(&client(&fixture.key), "clicks").await;
        put_by(&client(&fixture.key), "clicks").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_down_a_killed_pod_comes_back() {
    let fixture = Fixture::with_clicks("copy", 2, "{shardCount: 2}").await;
    ask_for_rights(&fixture).await;
    let put = fixture.client.put_record().stream_name("clicks").partition_key("k");
    put.data(Blob::new("before")).send().await.unwrap();
    let _away = Away::new();
    installed().cluster.kill_pod(fixture.namespace.name(), "clicks-stream-0").unwrap();
    // It knows its shards by the copy on its disk.
    let deadline = Instant::now() + READY_MAX;
    loop {
        let put = fixture.client.put_record().stream_name("clicks").partition_key("k");
        match put.data(Blob::new("after")).send().await {
            Ok(_) => break,
            Err(error) => assert!(Instant::now() < deadline, "{:?}", error.into_service_error()),
        }
    }
    let read = read_all(&fixture.client, "clicks").await;
    assert!(read.iter().any(|record| record == "before"), "{read:?}");
    assert!(read.iter().any(|record| record == "after"), "{read:?}");
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
    let fixture = on_both_nodes("drain", 4, "{shardCount: 4, shardsPerPod: 2}").await;
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

/// node-2 is off the network while this is there.
struct Cut;

impl Cut {
    fn new() -> Cut {
        installed().cluster.cut_node("node-2").unwrap();
        Cut
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        installed().cluster.heal_node("node-2").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_node_that_vanished_end_in_seconds() {
    const ANSWER_MAX: Duration = Duration::from_secs(20);
    let fixture = on_both_nodes("vanished", 2, "{shardCount: 2, shardsPerPod: 1}").await;
    // A gateway that is not cut off itself, and no retries: what is seen is what it answers.
    let gateways = ["-n", e2e::cluster::leat::NAMESPACE, "get", "pods", "-o"];
    let path = r#"jsonpath={range .items[?(@.spec.nodeName=="node-1")]}{.metadata.name} {.status.podIP}{"\n"}{end}"#;
    let pods = installed().cluster.kubectl(&[&gateways[..], &[path]].concat()).unwrap();
    let gateway = pods.lines().find(|line| line.starts_with("leat-gateway")).unwrap();
    let endpoint = format!("http://{}:4567", gateway.split_whitespace().nth(1).unwrap());
    let config = config(&fixture.key, &endpoint).retry_config(RetryConfig::disabled());
    let client = Client::from_conf(config.build());
    let put = |key: usize| {
        let put = client.put_record().stream_name("clicks").partition_key(key.to_string());
        put.data(Blob::new("x")).send()
    };
    for key in 0..8 {
        put(key).await.unwrap();
    }
    let cut = Cut::new();
    let (mut refused, mut taken) = (0, 0);
    for key in 0..8 {
        let started = Instant::now();
        match put(key).await {
            Ok(_) => taken += 1,
            Err(error) => {
                let error = error.into_service_error();
                let code = error.meta().code();
                assert!(
                    matches!(code, Some("InternalFailure" | "ServiceUnavailable")),
                    "{error:?}"
                );
                refused += 1;
            }
        }
        assert!(started.elapsed() < ANSWER_MAX, "{:?}", started.elapsed());
    }
    assert!(0 < refused && 0 < taken, "{refused} refused, {taken} taken");
    drop(cut);
    let deadline = Instant::now() + READY_MAX;
    for key in 0..8 {
        while let Err(error) = put(key).await {
            assert!(Instant::now() < deadline, "{error:?}");
        }
    }
}
