//! Who may do what: Kubernetes says.

use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use e2e::cluster::leat::{AccessKey, access_key};

use crate::{Fixture, client};

async fn put(client: &Client, stream: &str) -> Result<(), String> {
    let put = client.put_record().stream_name(stream).partition_key("k").data(Blob::new("x"));
    let put = put.send().await.map(drop);
    put.map_err(|error| error.into_service_error().code().unwrap_or("none").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn rbac_denies_and_allows() {
    let fixture = Fixture::new("rbac");
    fixture.apply("clicks", "{}");
    fixture.apply("orders", "{}");
    fixture.wait_for_put("clicks").await;
    fixture.wait_for_put("orders").await;
    let producer = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: producer}
rules:
- {apiGroups: [leat.dev], resources: [streams/records], verbs: [create], resourceNames: [clicks]}
";
    fixture.namespace.apply(producer).unwrap();
    let key = access_key(&fixture.namespace, "producer", "Role/producer").unwrap();
    let producer = client(&key);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(code) = put(&producer, "clicks").await {
        assert!(Instant::now() < deadline, "{code}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(put(&producer, "orders").await, Err("AccessDeniedException".to_owned()));
    let described = producer.describe_stream_summary().stream_name("clicks").send().await;
    let denied = described.unwrap_err().into_service_error();
    assert!(denied.is_access_denied_exception(), "{denied:?}");
    assert!(producer.list_streams().send().await.is_err());

    // What is taken away is gone within seconds.
    fixture.kubectl(&["delete", "rolebinding", "producer"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while put(&producer, "clicks").await.is_ok() {
        assert!(Instant::now() < deadline, "it may still put");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_is_refused() {
    let fixture = Fixture::new("keys");
    fixture.apply("clicks", "{}");
    fixture.wait_for_put("clicks").await;
    let key = access_key(&fixture.namespace, "other", "ClusterRole/leat-edit").unwrap();
    let right = client(&key);
    let deadline = Instant::now() + Duration::from_secs(30);
    while put(&right, "clicks").await.is_err() {
        assert!(Instant::now() < deadline, "the key is not known");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let wrong = AccessKey { id: key.id.clone(), secret: "wrong".to_owned() };
    let wrong = put(&client(&wrong), "clicks").await;
    assert_eq!(wrong, Err("InvalidSignatureException".to_owned()));
    let unknown = AccessKey { id: "AKIANOBODY".to_owned(), secret: key.secret.clone() };
    let unknown = put(&client(&unknown), "clicks").await;
    assert_eq!(unknown, Err("UnrecognizedClientException".to_owned()));
    // A namespace is an account: the streams of others are not there.
    let elsewhere = Fixture::new("elsewhere");
    elsewhere.apply("mine", "{}");
    elsewhere.wait_for_put("mine").await;
    let found = put(&elsewhere.client, "clicks").await;
    assert_eq!(found, Err("ResourceNotFoundException".to_owned()));
    fixture.kubectl(&["delete", "secret", "other"]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while put(&right, "clicks").await.is_ok() {
        assert!(Instant::now() < deadline, "a deleted key is let in");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The same name in two namespaces: an ARN says which of the two is meant.
#[tokio::test(flavor = "multi_thread")]
async fn another_namespace_gets_in_by_arn_where_a_policy_says_so() {
    let (ours, theirs) = (Fixture::new("ours"), Fixture::new("theirs"));
    for fixture in [&ours, &theirs] {
        fixture.apply("clicks", "{}");
        fixture.wait_for_put("clicks").await;
    }
    let summary = ours.client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    let arn = summary.stream_description_summary.unwrap().stream_arn;
    let summary =
        theirs.client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    let their_arn = summary.stream_description_summary.unwrap().stream_arn;
    let their_account = their_arn.split(':').nth(4).unwrap();
    let put = || {
        let put = theirs.client.put_record().stream_arn(&arn).partition_key("k");
        put.data(Blob::new("from them")).send()
    };
    let denied = put().await.unwrap_err().into_service_error();
    assert!(denied.is_access_denied_exception(), "{denied:?}");
    let nobody = arn.replace(arn.split(':').nth(4).unwrap(), "000000000000");
    let nobody = theirs.client.describe_stream_summary().stream_arn(nobody).send().await;
    let nobody = nobody.unwrap_err().into_service_error();
    assert!(nobody.is_access_denied_exception(), "{nobody:?}");

    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{their_account}"}},"Action":["kinesis:PutRecord"],"Resource":"{arn}"}}]}}"#
    );
    ours.client.put_resource_policy().resource_arn(&arn).policy(policy).send().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while put().await.is_err() {
        assert!(Instant::now() < deadline, "the policy does not count");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let describe = theirs.client.describe_stream_summary().stream_arn(&arn).send().await;
    let denied = describe.unwrap_err().into_service_error();
    assert!(denied.is_access_denied_exception(), "only what the policy says: {denied:?}");
    let found = |records: Vec<String>| records.iter().any(|record| record == "from them");
    assert!(found(records(&ours.client).await) && !found(records(&theirs.client).await));
}

async fn records(client: &Client) -> Vec<String> {
    let iterator = client.get_shard_iterator().stream_name("clicks");
    let iterator = iterator.shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    let got =
        client.get_records().set_shard_iterator(iterator.unwrap().shard_iterator).send().await;
    let data = got.unwrap().records.into_iter().map(|record| record.data.into_inner());
    data.map(|data| String::from_utf8(data).unwrap()).collect()
}
