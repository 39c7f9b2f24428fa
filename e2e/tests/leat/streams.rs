//! Streams that people make and change, by resource and by AWS client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, ShardIteratorType, StartingPosition,
};
use e2e::cluster::{leat, wait};

use crate::load::{Load, Reader, read_all};
use crate::{Fixture, READY_MAX, installed, stream};

#[tokio::test(flavor = "multi_thread")]
async fn helm_install_and_first_record() {
    let fixture = Fixture::new("first");
    let started = Instant::now();
    fixture.apply("clicks", "{shardCount: 2}");
    fixture.wait_for_put("clicks").await;
    let put = fixture.client.put_record().stream_name("clicks").partition_key("alice");
    put.data(Blob::new("hello")).send().await.unwrap();
    println!("from kubectl apply to an acknowledged record: {:?}", started.elapsed());
    let mut records = read_all(&fixture.client, "clicks").await;
    records.retain(|record| !record.starts_with("probe"));
    assert_eq!(records, ["hello"]);
    let columns = fixture.kubectl(&["get", "kds", "clicks", "--no-headers"]);
    assert!(columns.contains("ACTIVE") && columns.contains("True"), "{columns}");
    fixture.kubectl(&["delete", "stream", "clicks"]);
    // The gateways hear of it a moment later.
    let deadline = Instant::now() + Duration::from_secs(10);
    let describe = || fixture.client.describe_stream_summary().stream_name("clicks").send();
    let gone = loop {
        match describe().await {
            Ok(_) => assert!(Instant::now() < deadline, "it is still there"),
            Err(error) => break error.into_service_error(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(gone.is_resource_not_found_exception(), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_the_first_to_read_through_a_gateway() {
    let fixture = Fixture::with_clicks("subscriber", 1, "{}").await;
    let client = &fixture.client;
    let summary = client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    let arn = summary.stream_description_summary.unwrap().stream_arn;
    let shards = client.list_shards().stream_arn(&arn).send().await.unwrap().shards.unwrap();
    let register = client.register_stream_consumer().stream_arn(&arn).consumer_name("c");
    let consumer = register.send().await.unwrap().consumer.unwrap().consumer_arn;
    // The shard's first number is known without asking its pod.
    let range = shards[0].sequence_number_range.as_ref().unwrap();
    let start = StartingPosition::builder().r#type(ShardIteratorType::AtSequenceNumber);
    let start = start.sequence_number(&range.starting_sequence_number).build().unwrap();
    let subscribe = client.subscribe_to_shard().consumer_arn(consumer).starting_position(start);
    let mut events = subscribe.shard_id(&shards[0].shard_id).send().await.unwrap().event_stream;
    let first = async {
        loop {
            let event = events.recv().await.unwrap().expect("it goes on");
            let event = event.as_subscribe_to_shard_event().unwrap().clone();
            if let Some(record) = event.records.first() {
                return record.data.clone();
            }
        }
    };
    let first = tokio::time::timeout(Duration::from_secs(30), first).await.unwrap();
    assert_eq!(first, Blob::new("probe:0"));
}

#[test]
fn the_charts_own_test_passes() {
    let test = ["test", "leat", "-n", leat::NAMESPACE, "--logs", "--timeout", "180s"];
    let said = installed().cluster.helm(&test).unwrap();
    // With default values: the endpoint. With a key: records, too.
    for part in [
        "GET http://leat.leat-system:4567/readyz : 200 OK: ok",
        "Kinesis_20131202.ListStreams: 400 Bad Request: ",
        "MissingAuthenticationTokenException",
        "1000 records",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_by_sdk_is_a_resource() {
    let fixture = Fixture::new("sdk");
    // The access key is on its way to the gateways.
    fixture.apply("probe", "{}");
    fixture.wait_for_put("probe").await;
    let client = &fixture.client;
    client.create_stream().stream_name("My_Clicks").shard_count(2).send().await.unwrap();
    fixture.wait_for_put("My_Clicks").await;
    let path = "jsonpath={.items[*].spec.streamName}";
    assert_eq!(fixture.kubectl(&["get", "streams", "-o", path]), "My_Clicks");
    client.add_tags_to_stream().stream_name("My_Clicks").tags("team", "data").send().await.unwrap();
    let path = "jsonpath={.items[*].spec.tags.team}";
    assert_eq!(fixture.kubectl(&["get", "streams", "-o", path]), "data");
    client.delete_stream().stream_name("My_Clicks").send().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while 1 < fixture.kubectl(&["get", "streams", "-o", "name"]).lines().count() {
        assert!(Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scale_shards_by_resource_edit_under_load() {
    let fixture = Fixture::with_clicks("scale", 4, "{shardCount: 4, shardsPerPod: 4}").await;
    let load = Load::start(&fixture.client, "clicks", 8);
    let reader = Reader::start(&fixture.client, "clicks");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let started = Instant::now();
    fixture.kubectl(&["scale", "stream/clicks", "--replicas=8"]);
    fixture.wait_for_shards("clicks", 8);
    println!("resharded 4 to 8 under load in {:?}", started.elapsed());
    fixture.kubectl(&["scale", "stream/clicks", "--replicas=3"]);
    fixture.wait_for_shards("clicks", 3);
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    println!("PutRecord p50 {:?}, p99 {:?}", report.percentile(50), report.percentile(99));
    assert!(100 < report.total(), "{report:?}");
    report.check_read(&reader.finish().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn split_shard_by_sdk_shows_in_kubectl() {
    let fixture = Fixture::new("split");
    fixture.apply("clicks", "{shardCount: 1}");
    fixture.wait_for_put("clicks").await;
    let split = fixture.client.split_shard().stream_name("clicks");
    let split = split.shard_to_split("shardId-000000000000").new_starting_hash_key("1000");
    split.send().await.unwrap();
    fixture.wait_for_shards("clicks", 2);
    let path = "jsonpath={.spec.shardCount} {.spec.shardBoundaries}";
    let spec = fixture.kubectl(&["get", "stream", "clicks", "-o", path]);
    assert_eq!(spec, r#"2 ["0","1000"]"#);
    let merge = fixture.client.merge_shards().stream_name("clicks");
    let merge = merge.shard_to_merge("shardId-000000000001");
    merge.adjacent_shard_to_merge("shardId-000000000002").send().await.unwrap();
    fixture.wait_for_shards("clicks", 1);
    let scale = fixture.client.update_shard_count().stream_name("clicks").target_shard_count(2);
    scale.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
    fixture.wait_for_shards("clicks", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_resource_says_why() {
    let fixture = Fixture::new("invalid");
    let refused = |spec: &str| {
        let error = fixture.namespace.apply(&stream("wrong", spec)).unwrap_err();
        format!("{error:#}")
    };
    for (spec, why) in [
        ("{minShards: 3, maxShards: 2, mode: OnDemand}", "minShards is more than maxShards"),
        ("{shardBoundaries: ['5']}", "must begin with \"0\""),
        (
            "{shardBoundaries: ['0', '340282366920938463463374607431768211456']}",
            "must lie in the ring",
        ),
        ("{pool: small, storage: {deletionPolicy: Retain}}", "belong to the pool"),
        ("{pool: small, shardsPerPod: 3}", "pods and shardsPerPod belong to the pool"),
        ("{minShards: 3}", "are for mode OnDemand"),
        ("{shardsCount: 2}", "shardsCount"),
    ] {
        let said = refused(spec);
        assert!(said.contains(why), "{spec}: {said}");
    }
    // What a schema cannot say, the operator does, and nothing runs for it. (That boundaries increase
    // would take more than a rule may cost.)
    fixture.apply("wrong", "{replicas: 3, shardBoundaries: ['0', '20', '10']}");
    let path = r#"jsonpath={.status.conditions[?(@.type=="Accepted")].message}"#;
    wait("the operator's word", Duration::from_secs(30), || {
        let message = fixture.kubectl(&["get", "stream", "wrong", "-o", path]);
        let is_told = message.contains("set 1") && message.contains("boundaries increase");
        Ok(is_told.then_some(()))
    })
    .unwrap();
    assert_eq!(fixture.kubectl(&["get", "statefulsets", "-o", "name"]), "");
    fixture.apply("wrong", "{replicas: 1}");
    fixture.wait_for_put("wrong").await;
    for (spec, why) in [
        ("{pool: other}", "cannot be moved into or out of a pool"),
        ("{streamName: other}", "streamName cannot be changed"),
        ("{storage: {className: other}}", "className cannot be changed"),
        ("{storage: {size: 20Gi}}", "size cannot be changed"),
    ] {
        let said = refused(spec);
        assert!(said.contains(why), "{spec}: {said}");
    }

    // What only the API server knows to be wrong, as it says it; the stream goes on.
    let wrong = "{pods: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}}";
    fixture.apply("wrong", wrong);
    let path = r#"jsonpath={.status.conditions[?(@.type=="Accepted")]}"#;
    wait("the API server's word", READY_MAX, || {
        let accepted = fixture.kubectl(&["get", "stream", "wrong", "-o", path]);
        let is_told = accepted.contains("Refused") && accepted.contains("less than or equal to");
        Ok(is_told.then_some(()))
    })
    .unwrap();
    fixture.wait_for_put("wrong").await;
    // A second stream of the same name in the AWS API.
    fixture.apply("second", "{streamName: wrong}");
    wait("the second to be refused", READY_MAX, || {
        let accepted = fixture.kubectl(&["get", "stream", "second", "-o", path]);
        Ok(accepted.contains("Stream wrong has the name wrong").then_some(()))
    })
    .unwrap();
    let put = fixture.client.put_record().stream_name("wrong").partition_key("k");
    put.data(Blob::new("x")).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_kubernetes_gives_to_nothing_else_are_names_of_streams() {
    let fixture = Fixture::new("names");
    let names =
        ["2024-clicks", "a.b", "x.very-long.name-of-a-stream.that-no-label.would-ever-take"];
    for name in names {
        fixture.apply(name, "{pods: {resources: {requests: {cpu: 10m}}}}");
    }
    for name in names {
        fixture.wait_for_put(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_on_demand_stream_is_split_where_its_load_is_and_merged_when_it_is_quiet() {
    let fixture = Fixture::new("demand");
    fixture.apply("clicks", "{mode: OnDemand, minShards: 2, maxShards: 3}");
    // As many as AWS makes, within the limits.
    fixture.wait_for_shards("clicks", 3);
    fixture.apply("clicks", "{mode: OnDemand, minShards: 2, maxShards: 6}");
    fixture.wait_for_put("clicks").await;
    let stop = Arc::new(AtomicBool::new(false));
    let (client, stopped) = (fixture.client.clone(), Arc::clone(&stop));
    // On two keys of the first shard, chosen without a partition key's hash.
    let load = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let entry = |number: u32| {
                let entry = PutRecordsRequestEntry::builder().partition_key("k");
                let entry = entry.explicit_hash_key((1_000 * (number % 2)).to_string());
                entry.data(Blob::new(vec![b'x'; 20_000])).build().unwrap()
            };
            let put = client.put_records().stream_name("clicks");
            // Some of it is throttled until there are more shards.
            let _ = put.set_records(Some((0..20).map(entry).collect())).send().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let starting = || {
        let path = "jsonpath={.status.shards[?(@.state==\"Open\")].startingHashKey}";
        fixture.kubectl(&["get", "stream", "clicks", "-o", path])
    };
    wait("a split where the load is", READY_MAX, || {
        Ok(starting().split(' ').any(|key| key == "1000").then_some(()))
    })
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    fixture.wait_for_shards("clicks", 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_streams_share_the_pods_of_a_pool() {
    let fixture = Fixture::new("pool");
    let count = 200;
    let all: String =
        (0..count).map(|n| stream(&format!("s{n}"), "{pool: small}") + "---\n").collect();
    fixture.namespace.apply(&all).unwrap();
    fixture.wait_for_put("s0").await;
    for number in 0..count {
        fixture.wait_for_put(&format!("s{number}")).await;
    }
    let sets = fixture.kubectl(&["get", "statefulsets", "-o", "name"]);
    assert_eq!(sets.trim(), "statefulset.apps/small-pool");
    let path = "jsonpath={.status.readyReplicas}";
    assert_eq!(fixture.kubectl(&["get", "statefulset", "small-pool", "-o", path]), "3");
    fixture.kubectl(&["delete", "stream", "s1"]);
    fixture.wait_for_put("s2").await;
    assert_eq!(read_all(&fixture.client, "s3").await, ["probe:0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hpa_scales_stream() {
    let fixture = Fixture::new("hpa");
    installed().cluster.start_metrics().unwrap();
    fixture.apply("clicks", "{shardCount: 1}");
    fixture.wait_for_put("clicks").await;
    let autoscaler = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: clicks}
spec:
  scaleTargetRef: {apiVersion: leat.dev/v1alpha1, kind: Stream, name: clicks}
  minReplicas: 1
  maxReplicas: 4
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 20}}
  behavior: {scaleUp: {stabilizationWindowSeconds: 0}}
";
    fixture.namespace.apply(autoscaler).unwrap();
    let load = Load::start(&fixture.client, "clicks", 16);
    wait("more shards", Duration::from_secs(240), || {
        let path = "jsonpath={.status.openShardCount}";
        let open = fixture.kubectl(&["get", "stream", "clicks", "-o", path]);
        Ok((1 < open.parse::<u32>().unwrap_or_default()).then_some(()))
    })
    .unwrap();
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    report.check(&fixture.client, "clicks").await;
}
