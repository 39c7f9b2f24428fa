//! Pods, operators and API servers that fail under load.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use e2e::cluster::{leat, wait};

use crate::load::{Load, read_all};
use crate::{Fixture, READY_MAX, installed};

#[tokio::test(flavor = "multi_thread")]
async fn pod_killed_under_load_loses_nothing_acknowledged() {
    let fixture = Fixture::with_clicks("killed", 4, "{shardCount: 4, shardsPerPod: 2}").await;
    let load = Load::start(&fixture.client, "clicks", 8);
    for pod in ["clicks-stream-0", "clicks-stream-1"] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        installed().cluster.kill_pod(fixture.namespace.name(), pod).unwrap();
        wait("the pod's process again", READY_MAX, || {
            let path = "jsonpath={.status.containerStatuses[0]['restartCount', 'ready']}";
            let is = fixture.namespace.kubectl(&["get", "pod", pod, "-o", path])?;
            Ok((is == "1 true").then_some(()))
        })
        .unwrap();
    }
    for pod in ["clicks-stream-0", "clicks-stream-1", "clicks-stream-0"] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        fixture.kubectl(&["delete", "pod", pod, "--grace-period=0", "--force"]);
        wait("the pod again", READY_MAX, || {
            let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            let ready = fixture.namespace.kubectl(&["get", "pod", pod, "-o", path]);
            Ok(ready.is_ok_and(|ready| ready == "True").then_some(()))
        })
        .unwrap();
    }
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    assert!(100 < report.total(), "{report:?}");
    report.check(&fixture.client, "clicks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_killed_mid_reshard_resumes() {
    let fixture = Fixture::with_clicks("operator", 2, "{shardCount: 2, shardsPerPod: 2}").await;
    let load = Load::start(&fixture.client, "clicks", 4);
    let path = "jsonpath={.status.shards[*].state}";
    let is_under_way = || {
        let states = fixture.kubectl(&["get", "stream", "clicks", "-o", path]);
        states.contains("Pending") && states.contains("Closing")
    };
    let label = "app.kubernetes.io/component=operator";
    let get = ["get", "pods", "-n", leat::NAMESPACE, "-l", label];
    // Each takes one pod more, which a quota keeps out until the operators have been killed.
    let pods_max = |pods: u32| {
        let hard = format!("{{hard: {{pods: '{pods}'}}}}");
        let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: pods}\nspec: ";
        fixture.namespace.apply(&format!("{quota}{hard}\n")).unwrap();
        wait("the quota", READY_MAX, || {
            let path = "jsonpath={.status.hard.pods}";
            let hard = fixture.kubectl(&["get", "resourcequota", "pods", "-o", path]);
            Ok((hard == pods.to_string()).then_some(()))
        })
        .unwrap();
    };
    for (pods, count) in [(1, "4"), (2, "6")] {
        pods_max(pods);
        fixture.kubectl(&["scale", "stream/clicks", &format!("--replicas={count}")]);
        wait("a reshard", READY_MAX, || Ok(is_under_way().then_some(()))).unwrap();
        let names = "jsonpath={.items[*].metadata.name}";
        let operators = installed().cluster.kubectl(&[&get[..], &["-o", names]].concat()).unwrap();
        let operators: Vec<&str> = operators.split_whitespace().collect();
        assert_eq!(operators.len(), 2, "{operators:?}");
        for operator in operators {
            installed().cluster.kill_pod(leat::NAMESPACE, operator).unwrap();
        }
        assert!(is_under_way(), "it ended before its operator did");
        pods_max(pods + 1);
        fixture.wait_for_shards("clicks", count.parse().unwrap());
    }
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    report.check(&fixture.client, "clicks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_with_retain_keeps_data() {
    let fixture = Fixture::new("retain");
    fixture.apply("kept", "{storage: {deletionPolicy: Retain}}");
    fixture.apply("dropped", "{}");
    for stream in ["kept", "dropped"] {
        fixture.wait_for_put(stream).await;
        let put = fixture.client.put_record().stream_name(stream).partition_key("k");
        put.data(Blob::new(format!("what was {stream}"))).send().await.unwrap();
    }
    let path = r#"jsonpath={.items[?(@.metadata.name=="data-kept-stream-0")].spec.volumeName}"#;
    let volume = fixture.kubectl(&["get", "persistentvolumeclaims", "-o", path]);
    let path = "jsonpath={.spec.local.path}";
    let folder = fixture.kubectl(&["get", "persistentvolume", &volume, "-o", path]);
    fixture.kubectl(&["delete", "stream", "kept", "dropped"]);
    wait("the volumes that go", READY_MAX, || {
        let claims = fixture.kubectl(&["get", "persistentvolumeclaims", "-o", "name"]);
        Ok((claims.trim() == "persistentvolumeclaim/data-kept-stream-0").then_some(()))
    })
    .unwrap();
    wait("the pods to go", READY_MAX, || {
        Ok(fixture.kubectl(&["get", "pods", "-o", "name"]).is_empty().then_some(()))
    })
    .unwrap();
    let found = std::process::Command::new("grep").args(["-rq", "what was kept", &folder]).status();
    assert!(found.unwrap().success(), "the record is not in {folder}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_deleted_and_made_again_at_once_keeps_its_records() {
    let fixture = Fixture::new("again");
    fixture.apply("clicks", "{}");
    fixture.wait_for_put("clicks").await;
    let claim = ["get", "persistentvolumeclaim", "data-clicks-stream-0", "-o"];
    let uid = || fixture.kubectl(&[&claim[..], &["jsonpath={.metadata.uid}"]].concat());
    let before = uid();
    fixture.kubectl(&["delete", "stream", "clicks", "--timeout=90s"]);
    fixture.apply("clicks", "{}");
    fixture.wait_for_put("clicks").await;
    assert_ne!(uid(), before, "it writes to the volume of the stream before it");
    let path = [&claim[..], &["jsonpath={.metadata.deletionTimestamp}"]].concat();
    assert_eq!(fixture.kubectl(&path), "");
    fixture.kubectl(&["delete", "pod", "clicks-stream-0"]);
    fixture.wait_for_put("clicks").await;
    let records = read_all(&fixture.client, "clicks").await;
    assert!(2 <= records.len(), "what was put before is there: {records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_deleted_by_mistake_comes_back_with_its_records() {
    let fixture = Fixture::new("mistake");
    fixture.apply("clicks", "{}");
    fixture.wait_for_put("clicks").await;
    fixture.kubectl(&["delete", "statefulset", "clicks-stream", "--wait=true"]);
    wait("the set and its pod", READY_MAX, || {
        let path = "jsonpath={.status.readyReplicas}";
        let set = fixture.namespace.kubectl(&["get", "statefulset", "clicks-stream", "-o", path]);
        Ok((set? == "1").then_some(()))
    })
    .unwrap();
    fixture.wait_for_put("clicks").await;
    let records = read_all(&fixture.client, "clicks").await;
    assert!(2 <= records.len(), "what was put before is there: {records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_rolls_pods_one_by_one() {
    let fixture = Fixture::with_clicks("upgrade", 3, "{shardCount: 3, shardsPerPod: 1}").await;
    let load = Load::start(&fixture.client, "clicks", 6);
    // Whatever changes the pods' template rolls them: an image, a resource, a profile.
    let spec = "{shardCount: 3, shardsPerPod: 1, pods: {resources: {requests: {cpu: 60m}}}}";
    fixture.apply("clicks", spec);
    let mut fewest = 3;
    wait("new pods", READY_MAX * 2, || {
        let path = "jsonpath={.status.updatedReplicas} {.status.readyReplicas}";
        let set = fixture.kubectl(&["get", "statefulset", "clicks-stream", "-o", path]);
        let (updated, ready) = set.split_once(' ').unwrap_or_default();
        let ready: u32 = ready.parse().unwrap_or_default();
        fewest = fewest.min(ready);
        Ok((updated == "3" && ready == 3 && fewest < 3).then_some(()))
    })
    .unwrap();
    assert_eq!(fewest, 2, "more than one was away at a time");
    let report = load.finish().await;
    println!("{} put, {} refused", report.total(), report.refused);
    report.check(&fixture.client, "clicks").await;
}

/// As the runtime's default profile does where it is strict.
const NO_IO_URING: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{
    "names": ["io_uring_setup", "io_uring_enter", "io_uring_register"],
    "action": "SCMP_ACT_ERRNO", "errnoRet": 1
}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn io_uring_refused_falls_back() {
    let fixture = Fixture::new("uring");
    installed().cluster.install_seccomp("no-io-uring.json", NO_IO_URING).unwrap();
    fixture.apply("clicks", "{pods: {seccompProfile: Localhost/no-io-uring.json}}");
    fixture.wait_for_put("clicks").await;
    let log = fixture.kubectl(&["logs", "clicks-stream-0"]);
    assert!(log.contains("using blocking calls instead"), "{log}");
    assert_eq!(read_all(&fixture.client, "clicks").await, ["probe:0"]);
    let path = r#"jsonpath={.status.conditions[?(@.type=="Degraded")].reason}"#;
    wait("the condition that says so", READY_MAX, || {
        let reason = fixture.kubectl(&["get", "stream", "clicks", "-o", path]);
        Ok((reason == "IoUringRefused").then_some(()))
    })
    .unwrap();
}
