//! What is told of delivery streams: AWS's defaults, and what `kubectl` made.

use delivery_catalog::DeliveryPhase;
use operator_api::delivery_stream::DeliveryStreamSpec;
use serde_json::{Value, json};

use crate::fixture::{ACCOUNT, Fixture, bucket, to_bucket, with};

#[tokio::test]
async fn a_bucket_has_the_defaults_of_aws() {
    let fixture = Fixture::with(to_bucket()).await;
    let told = fixture.describe("s").await;
    let plain = with(
        bucket(),
        json!({
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
            "CompressionFormat": "UNCOMPRESSED",
            "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
            "CloudWatchLoggingOptions": {"Enabled": false},
        }),
    );
    let want = json!({
        "DeliveryStreamName": "s",
        "DeliveryStreamARN": format!("arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/s"),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
        "DeliveryStreamType": "DirectPut",
        "VersionId": "1",
        "CreateTimestamp": 1_700_000_000.0,
        "Destinations": [{
            "DestinationId": "destinationId-000000000001",
            "S3DestinationDescription": plain.clone(),
            "ExtendedS3DestinationDescription": with(plain, json!({"S3BackupMode": "Disabled"})),
        }],
        "HasMoreDestinations": false,
    });
    assert_eq!(told, want);
    let after = json!({
        "DeliveryStreamName": "s", "ExclusiveStartDestinationId": "destinationId-000000000001",
    });
    let rest = fixture.call("DescribeDeliveryStream", after).await.unwrap();
    assert_eq!(rest["DeliveryStreamDescription"]["Destinations"], json!([]));
}

/// What is told of the destination of a resource that nobody made here.
async fn check(spec: Value, path: &str, want: Value) {
    let fixture = Fixture::with(to_bucket()).await;
    let spec: DeliveryStreamSpec = serde_json::from_value(spec).unwrap();
    fixture.edit("s", |stream| {
        stream.spec = spec;
        stream.aws_only.clear();
        stream.phase = DeliveryPhase::Active;
    });
    let told = fixture.describe("s").await;
    assert_eq!(told["Destinations"][0].pointer(path).unwrap_or(&Value::Null), &want, "{told}");
}

#[tokio::test]
async fn what_aws_has_no_shape_for_is_told_by_its_id() {
    let id = || json!({"DestinationId": "destinationId-000000000001"});
    let azure = json!({"account": "abc", "container": "def"});
    let kafka = json!({"bootstrapServers": ["k:9092"], "topic": "t"});
    for (kind, destination) in [
        ("gcs", json!({"bucket": "lake"})),
        ("azureBlob", azure),
        ("kafka", kafka),
        ("stream", json!({"name": "other"})),
    ] {
        check(json!({"destination": {kind: destination}}), "", id()).await;
    }
}

#[tokio::test]
async fn what_aws_has_a_shape_for_is_told_as_far_as_it_goes() {
    let s3 = json!({"s3": {"bucket": "lake", "endpoint": "http://minio:9000"}});
    let extended = "/ExtendedS3DestinationDescription";
    let program = json!({
        "destination": s3.clone(),
        "processing": {"transform": {"vrl": {"program": "."}}, "appendDelimiter": "\n"},
    });
    let delimiter = json!([{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]);
    let append = json!({"Type": "AppendDelimiterToRecord", "Parameters": delimiter});
    let processors = format!("{extended}/ProcessingConfiguration/Processors");
    check(program, &processors, json!([append])).await;
    let columns = json!({
        "destination": s3,
        "formatConversion": {"schema": {"columns": [{"name": "a", "type": "int"}]}},
    });
    let conversion = format!("{extended}/DataFormatConversionConfiguration");
    check(columns.clone(), &format!("{conversion}/SchemaConfiguration"), json!({})).await;
    let serializer = format!("{conversion}/OutputFormatConfiguration/Serializer");
    check(columns.clone(), &serializer, json!({"ParquetSerDe": {}})).await;
    let mib = format!("{extended}/BufferingHints/SizeInMBs");
    check(columns, &mib, json!(128)).await;
    let s3 = json!({"s3": {"bucket": "lake"}});
    let glue = json!({
        "destination": s3, "formatConversion": {"schema": {"glue": {
            "database": "d", "table": "t", "region": "eu-west-1", "endpoint": "http://glue:5000",
        }}},
    });
    let latest = json!({
        "DatabaseName": "d", "TableName": "t", "Region": "eu-west-1", "VersionId": "LATEST",
    });
    check(glue, &format!("{conversion}/SchemaConfiguration"), latest).await;
    let redshift = json!({
        "destination": {"redshift": {
            "dataApi": {"workgroupName": "group", "database": "d", "region": "eu-west-1"},
            "copyCommand": {"dataTableName": "t", "copyOptions": "IAM_ROLE default"},
            "s3": {"bucket": "way"},
        }},
        "backup": {"s3": {"bucket": "back"}},
    });
    let member = "/RedshiftDestinationDescription";
    let table = json!({"DataTableName": "t", "CopyOptions": "IAM_ROLE default"});
    check(redshift.clone(), &format!("{member}/CopyCommand"), table).await;
    check(redshift, &format!("{member}/ClusterJDBCURL"), Value::Null).await;
    let iceberg = json!({
        "destination": {"iceberg": {
            "catalog": {"rest": {"uri": "http://catalog:8181", "warehouse": "s3://lake/w"}},
            "routing": {"table": ".t"},
        }},
        "backup": {"s3": {"bucket": "back"}},
    });
    let member = "/IcebergDestinationDescription/CatalogConfiguration";
    check(iceberg.clone(), member, json!({"WarehouseLocation": "s3://lake/w"})).await;
    let query = "/IcebergDestinationDescription/ProcessingConfiguration/Processors/0/Parameters/0/ParameterValue";
    check(iceberg, query, json!("{destinationTableName: (.t)}")).await;
    let splunk = json!({
        "destination": {"splunk": {
            "hecEndpoint": "https://splunk:8088", "hecTokenRef": {"name": "theirs", "key": "token"},
        }},
        "backup": {"s3": {"bucket": "back"}},
    });
    let member = "/SplunkDestinationDescription/SecretsManagerConfiguration";
    let arn = format!("arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:theirs");
    check(splunk, member, json!({"Enabled": true, "SecretARN": arn})).await;
}

#[tokio::test]
async fn a_source_is_told() {
    let arn = "arn:aws:kinesis:us-west-2:111111111111:stream/clicks";
    let role = "arn:aws:iam::000000000000:role/reader";
    let source = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": arn, "RoleARN": role},
    });
    let fixture = Fixture::with(with(to_bucket(), source)).await;
    let told = fixture.describe("s").await;
    assert_eq!(told["DeliveryStreamType"], "KinesisStreamAsSource");
    let want = json!({"KinesisStreamSourceDescription": {
        "KinesisStreamARN": arn, "RoleARN": role, "DeliveryStartTimestamp": 1_700_000_000.0,
    }});
    assert_eq!(told["Source"], want);
    let spec = serde_json::to_value(&fixture.stream("s").spec.source).unwrap();
    assert_eq!(spec, json!({"stream": {"name": "clicks"}}));

    let hint = json!({"DirectPutSourceConfiguration": {"ThroughputHintInMBs": 3}});
    let told = Fixture::with(with(to_bucket(), hint)).await.describe("s").await;
    let want = json!({"DirectPutSourceDescription": {"ThroughputHintInMBs": 3}});
    assert_eq!(told["Source"], want);
}
