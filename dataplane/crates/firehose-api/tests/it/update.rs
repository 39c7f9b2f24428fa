//! Changing destinations: what is merged, what is replaced, what is refused.

use std::sync::atomic::Ordering;

use operator_api::delivery_stream::RedshiftDataApi;
use serde_json::{Value, json};

use crate::fixture::{Fixture, ROLE, bucket, to_bucket, with};

const ID: &str = "destinationId-000000000001";

fn update(version: &str, members: Value) -> Value {
    let named = json!({
        "DeliveryStreamName": "s", "CurrentDeliveryStreamVersionId": version, "DestinationId": ID,
    });
    with(named, members)
}

fn splunk() -> Value {
    json!({
        "HECEndpoint": "https://splunk:8088", "HECEndpointType": "Raw", "HECToken": "secret-token",
        "S3Configuration": bucket(),
    })
}

fn search() -> Value {
    json!({
        "RoleARN": ROLE, "ClusterEndpoint": "https://search:9200", "IndexName": "logs",
        "S3Configuration": bucket(),
    })
}

#[tokio::test]
async fn members_are_merged_with_what_is_there() {
    let more = json!({"Prefix": "a/", "CompressionFormat": "GZIP"});
    let to = json!({"ExtendedS3DestinationConfiguration": with(bucket(), more)});
    let fixture = Fixture::with(to).await;
    // What AWS has no words for stays, too.
    fixture.edit("s", |stream| {
        stream.spec.destination.s3.as_mut().unwrap().endpoint = Some("http://minio:9000".into());
    });
    let change = json!({"ExtendedS3DestinationUpdate": {
        "BucketARN": "arn:aws:s3:::other", "BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 99},
    }});
    assert_eq!(fixture.call("UpdateDestination", update("1", change)).await, Ok(json!({})));
    let stream = fixture.stream("s");
    let spec = serde_json::to_value(&stream.spec).unwrap();
    let want = json!({
        "destination": {"s3": {
            "bucket": "other", "endpoint": "http://minio:9000", "prefix": "a/", "compression": "GZIP",
        }},
        "buffering": {"sizeMiB": 9, "intervalSeconds": 99},
    });
    assert_eq!(spec, want);
    let told = fixture.describe("s").await;
    assert_eq!(
        (&told["VersionId"], &told["LastUpdateTimestamp"]),
        (&json!("2"), &json!(1_700_000_001.0))
    );
    assert_eq!(told["Destinations"][0]["ExtendedS3DestinationDescription"]["RoleARN"], ROLE);
    // Clients of the old kind name the same bucket otherwise.
    let old = json!({"S3DestinationUpdate": {"Prefix": "b/"}});
    fixture.call("UpdateDestination", update("2", old)).await.unwrap();
    let told = fixture.describe("s").await;
    assert_eq!(told["Destinations"][0]["ExtendedS3DestinationDescription"]["Prefix"], "b/");
}

#[tokio::test]
async fn another_kind_leaves_nothing_of_what_was() {
    let tags = json!([{"Key": "team", "Value": "lake"}]);
    let splunk = json!({"SplunkDestinationConfiguration": splunk(), "Tags": tags});
    let fixture = Fixture::with(splunk).await;
    assert_eq!(fixture.stream("s").secrets["splunk-hec-token"], "secret-token");
    fixture.edit("s", |stream| stream.spec.delivery_stream_name = Some("S".to_owned()));
    let missing = json!({"ExtendedS3DestinationUpdate": {"BucketARN": "arn:aws:s3:::other"}});
    let want = "ValidationException: 1 validation error detected: Value null at 'extendedS3DestinationUpdate.roleARN' failed to satisfy constraint: Member must not be null";
    fixture.check_refused("UpdateDestination", update("1", missing), want).await;
    let change = json!({"ExtendedS3DestinationUpdate": bucket()});
    fixture.call("UpdateDestination", update("1", change)).await.unwrap();
    let stream = fixture.stream("s");
    let spec = serde_json::to_value(&stream.spec).unwrap();
    // These are not the destination's.
    let want = json!({
        "destination": {"s3": {"bucket": "lake"}},
        "deliveryStreamName": "S",
        "tags": {"team": "lake"},
    });
    assert_eq!(spec, want);
    assert!(stream.secrets.is_empty(), "{:?}", stream.secrets);
    let kept: Vec<&String> = stream.aws_only.keys().collect();
    assert_eq!(kept, ["ExtendedS3DestinationConfiguration.RoleARN"]);
}

#[tokio::test]
async fn updates_are_about_the_version_they_name() {
    let fixture = Fixture::with(to_bucket()).await;
    let change = || json!({"ExtendedS3DestinationUpdate": {"Prefix": "b/"}});
    for version in ["2", "0", "99999999999999999999999999"] {
        let want = "ConcurrentModificationException: Cannot update firehose: s since the current version id: 1 and";
        fixture.check_refused("UpdateDestination", update(version, change()), want).await;
    }
    let elsewhere = with(update("1", change()), json!({"DestinationId": "destinationId-2"}));
    let want = "InvalidArgumentException: Destination destinationId-2 of Firehose s not found.";
    fixture.check_refused("UpdateDestination", elsewhere, want).await;
    // Somebody who changes something else does not matter.
    fixture.catalog.conflicts.store(3, Ordering::Relaxed);
    fixture.call("UpdateDestination", update("1", change())).await.unwrap();
    fixture.catalog.conflicts.store(100, Ordering::Relaxed);
    let want = "ResourceInUseException: Firehose s under account 000000000000 is being changed";
    fixture.check_refused("UpdateDestination", update("2", change()), want).await;
}

async fn check_refused(created: Value, change: Value, want: &str) {
    let fixture = Fixture::with(created).await;
    let before = fixture.stream("s");
    fixture.check_refused("UpdateDestination", update("1", change), want).await;
    assert_eq!(before, fixture.stream("s"), "a change that was refused was made");
}

#[tokio::test]
async fn some_changes_are_not_for_aws_either() {
    let want = "InvalidArgumentException: Switching between Amazon OpenSearch Service and other";
    let to_search = || json!({"AmazonopensearchserviceDestinationUpdate": search()});
    check_refused(to_bucket(), to_search(), want).await;
    let elastic = json!({"ElasticsearchDestinationConfiguration": search()});
    check_refused(elastic, to_search(), want).await;

    let all = json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": bucket()});
    let backed_up = json!({"ExtendedS3DestinationConfiguration": with(bucket(), all)});
    let off = json!({"ExtendedS3DestinationUpdate": {"S3BackupMode": "Disabled"}});
    let want = "InvalidArgumentException: S3BackupMode cannot be changed from Enabled to Disabled.";
    check_refused(backed_up, off, want).await;

    let all = with(splunk(), json!({"S3BackupMode": "AllEvents"}));
    let all = json!({"SplunkDestinationConfiguration": all});
    let fewer = json!({"SplunkDestinationUpdate": {"S3BackupMode": "FailedEventsOnly"}});
    let want = "InvalidArgumentException: S3BackupMode cannot be changed from AllEvents to FailedEventsOnly.";
    check_refused(all, fewer, want).await;

    let switch = |on: bool| json!({"DynamicPartitioningConfiguration": {"Enabled": on}});
    let query = json!([
        {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{a: .a}"},
        {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
    ]);
    let keys = json!({
        "Prefix": "!{partitionKeyFromQuery:a}/",
        "ErrorOutputPrefix": "bad/",
        "ProcessingConfiguration": {
            "Enabled": true, "Processors": [{"Type": "MetadataExtraction", "Parameters": query}],
        },
    });
    let partitioned = with(with(bucket(), switch(true)), keys.clone());
    let partitioned = json!({"ExtendedS3DestinationConfiguration": partitioned});
    let want = "InvalidArgumentException: Dynamic partitioning can only be enabled when";
    let on = json!({"ExtendedS3DestinationUpdate": with(keys, switch(true))});
    check_refused(to_bucket(), on, want).await;
    let want = "InvalidArgumentException: Dynamic partitioning cannot be disabled.";
    check_refused(partitioned, json!({"ExtendedS3DestinationUpdate": switch(false)}), want).await;

    let want = "InvalidArgumentException: Exactly one destination configuration is supported";
    check_refused(to_bucket(), json!({}), want).await;
    let want = "InvalidArgumentException: spec.destination.s3.errorOutputPrefix: is required";
    let prefix = json!({"ExtendedS3DestinationUpdate": {"Prefix": "!{timestamp:yyyy}/"}});
    check_refused(to_bucket(), prefix, want).await;
}

#[tokio::test]
async fn secrets_follow_the_calls() {
    let fixture = Fixture::with(json!({"SplunkDestinationConfiguration": splunk()})).await;
    let token = |stream: &str| {
        let secret = fixture.stream(stream).spec.destination.splunk.clone().unwrap().hec_token_ref;
        (secret.name, secret.key)
    };
    let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    assert_eq!(token("s"), pair("s-delivery", "splunk-hec-token"));
    let arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:theirs";
    let manager = json!({"Enabled": true, "SecretARN": arn, "RoleARN": ROLE});
    let change = json!({"SplunkDestinationUpdate": {"SecretsManagerConfiguration": manager}});
    fixture.call("UpdateDestination", update("1", change)).await.unwrap();
    assert_eq!(token("s"), pair("theirs", "hec_token"));
    assert!(fixture.stream("s").secrets.is_empty());
    let back = json!({"SplunkDestinationUpdate": {
        "SecretsManagerConfiguration": {"Enabled": false}, "HECToken": "another",
    }});
    fixture.call("UpdateDestination", update("2", back)).await.unwrap();
    assert_eq!(token("s"), pair("s-delivery", "splunk-hec-token"));
    assert_eq!(fixture.stream("s").secrets["splunk-hec-token"], "another");
    let told = fixture.describe("s").await.to_string();
    assert!(!told.contains("another"), "{told}");
}

#[tokio::test]
async fn the_bucket_of_refused_rows_follows_the_bucket_on_the_way() {
    let redshift = json!({"RedshiftDestinationConfiguration": {
        "RoleARN": ROLE, "ClusterJDBCURL": "jdbc:postgresql://db:5432/x",
        "CopyCommand": {"DataTableName": "t"}, "Username": "u", "Password": "hunter2!",
        "S3Configuration": bucket(),
    }});
    let fixture = Fixture::with(redshift).await;
    let buckets = || {
        let spec = fixture.stream("s").spec.clone();
        let backup = spec.backup.unwrap().s3.unwrap().bucket;
        (spec.destination.redshift.unwrap().s3.bucket, backup)
    };
    assert_eq!(buckets(), ("lake".to_owned(), "lake".to_owned()));
    let change =
        json!({"RedshiftDestinationUpdate": {"S3Update": {"BucketARN": "arn:aws:s3:::way"}}});
    fixture.call("UpdateDestination", update("1", change)).await.unwrap();
    assert_eq!(buckets(), ("way".to_owned(), "way".to_owned()));
    let on = || json!({"S3BackupMode": "Enabled"});
    let want = "InvalidArgumentException: S3BackupConfiguration is required";
    let change = json!({"RedshiftDestinationUpdate": on()});
    fixture.check_refused("UpdateDestination", update("2", change), want).await;
    let backup = json!({"S3BackupUpdate": {"BucketARN": "arn:aws:s3:::back"}});
    let change = json!({"RedshiftDestinationUpdate": with(on(), backup)});
    fixture.call("UpdateDestination", update("2", change)).await.unwrap();
    assert_eq!(buckets(), ("way".to_owned(), "back".to_owned()));
    let change =
        json!({"RedshiftDestinationUpdate": {"S3Update": {"BucketARN": "arn:aws:s3:::new"}}});
    fixture.call("UpdateDestination", update("3", change)).await.unwrap();
    assert_eq!(buckets(), ("new".to_owned(), "back".to_owned()));
}

#[tokio::test]
async fn a_call_that_gives_an_address_ends_the_data_api() {
    let redshift = || {
        json!({"RedshiftDestinationConfiguration": {
            "RoleARN": ROLE, "ClusterJDBCURL": "jdbc:redshift://db:5439/x",
            "CopyCommand": {"DataTableName": "t"}, "Username": "u", "Password": "hunter2!",
            "S3Configuration": bucket(),
        }})
    };
    let fixture = Fixture::with(redshift()).await;
    fixture.edit("s", |stream| {
        let redshift = stream.spec.destination.redshift.as_mut().unwrap();
        (redshift.cluster_jdbc_url, redshift.credentials) = (None, None);
        redshift.data_api = Some(RedshiftDataApi {
            workgroup_name: Some("group".to_owned()),
            database: "x".to_owned(),
            region: "eu-west-1".to_owned(),
            ..RedshiftDataApi::default()
        });
    });
    let change = |members: Value| json!({"RedshiftDestinationUpdate": members});
    let table = change(json!({"CopyCommand": {"DataTableName": "other"}}));
    fixture.call("UpdateDestination", update("1", table)).await.unwrap();
    let now = || fixture.stream("s").spec.destination.redshift.clone().unwrap();
    assert!(now().data_api.is_some() && now().credentials.is_none());
    let user = || json!({"Username": "u", "Password": "hunter2!"});
    let want = "InvalidArgumentException: ClusterJDBCURL is required with credentials";
    fixture.check_refused("UpdateDestination", update("2", change(user())), want).await;
    let address = json!({"ClusterJDBCURL": "jdbc:redshift://db:5439/x"});
    let both = change(with(user(), address));
    fixture.call("UpdateDestination", update("2", both)).await.unwrap();
    assert!(now().data_api.is_none() && now().credentials.is_some());
}
