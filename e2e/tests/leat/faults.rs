//! Pods, operators and API servers that fail under load.

use std::time::Duration;

use e2e::cluster::{leat, wait};

use crate::load::{Load, read_all};
use crate::{Fixture, READY_MAX, installed};

#[tokio::test(flavor = "multi_thread")]
async fn pod_killed_under_load_loses_nothing_acknowledged() {
    let fixture = Fixture::new("killed");
    fixture.apply("clicks", "{shardCount: 4, shardsPerPod: 2}");
    fixture.wait_for_shards("clicks", 4);
    fixture.wait_for_put("clicks").await;
    let load = Load::start(&fixture.client, "clicks", 8);
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
    let fixture = Fixture::new("operator");
    fixture.apply("clicks", "{shardCount: 2}");
    fixture.wait_for_shards("clicks", 2);
    fixture.wait_for_put("clicks").await;
    let load = Load::start(&fixture.client, "clicks", 4);
    for count in ["6", "2", "5"] {
        fixture.kubectl(&["scale", "stream/clicks", &format!("--replicas={count}")]);
        let operators = ["delete", "pods", "-n", leat::NAMESPACE, "-l"];
        let label = ["app.kubernetes.io/component=operator", "--grace-period=0", "--force"];
        installed().cluster.kubectl(&[&operators[..], &label].concat()).unwrap();
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
    fixture.wait_for_put("kept").await;
    fixture.wait_for_put("dropped").await;
    fixture.kubectl(&["delete", "stream", "kept", "dropped"]);
    wait("the volumes that go", READY_MAX, || {
        let claims = fixture.kubectl(&["get", "persistentvolumeclaims", "-o", "name"]);
        Ok((claims.trim() == "persistentvolumeclaim/data-kept-stream-0").then_some(()))
    })
    .unwrap();
}

/// Alone: it takes the API server away from everybody. Run by its name, see e2e/cluster-tests.sh.
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
