//! What is wrong with requests, in AWS's words.

use serde_json::{Value, json};

use crate::fixture::{Fixture, ROLE, bucket, to_bucket, with};

/// Creating with these members is refused, and nothing is made.
async fn check(members: Value, want: &str) {
    let fixture = Fixture::new();
    let body = with(json!({"DeliveryStreamName": "s"}), members);
    fixture.check_refused("CreateDeliveryStream", body, want).await;
    let listed = fixture.call("ListDeliveryStreams", json!({})).await.unwrap();
    assert_eq!(listed["DeliveryStreamNames"], json!([]));
}

/// As [`check`], for one violation: where, and the end of its text.
async fn check_violation(members: Value, path: &str, constraint: &str) {
    let fixture = Fixture::new();
    let body = with(json!({"DeliveryStreamName": "s"}), members);
    let got = fixture.call("CreateDeliveryStream", body.clone()).await.unwrap_err();
    let start = "ValidationException: 1 validation error detected: Value ";
    let end = format!(" at '{path}' failed to satisfy constraint: {constraint}");
    assert!(got.starts_with(start) && got.ends_with(&end), "{body}:\n want {end}\n  got {got}");
}

/// The shapes that hold the most members, each with all that it needs.
fn whole(kind: &str) -> Value {
    match kind {
        "ExtendedS3" => bucket(),
        "Redshift" => json!({
            "RoleARN": ROLE, "ClusterJDBCURL": "jdbc:postgresql://db:5432/x", "Username": "u",
            "CopyCommand": {"DataTableName": "t"}, "Password": "hunter2!", "S3Configuration": bucket(),
        }),
        "Amazonopensearchservice" => json!({
            "RoleARN": ROLE, "ClusterEndpoint": "https://search:9200", "IndexName": "logs",
            "S3Configuration": bucket(),
        }),
        "Splunk" => json!({
            "HECEndpoint": "https://splunk:8088", "HECEndpointType": "Raw", "HECToken": "t",
            "S3Configuration": bucket(),
        }),
        "HttpEndpoint" => json!({
            "EndpointConfiguration": {"Url": "https://x"}, "S3Configuration": bucket(),
        }),
        "Iceberg" => json!({
            "RoleARN": ROLE, "S3Configuration": bucket(),
            "CatalogConfiguration": {"CatalogARN": "arn:aws:glue:eu-west-1:000000000000:catalog"},
            "DestinationTableConfigurationList": [
                {"DestinationDatabaseName": "d", "DestinationTableName": "t"},
            ],
        }),
        _ => json!({
            "AccountUrl": "https://org-acme.snowflakecomputing.com", "User": "u", "Database": "d",
            "Schema": "s", "Table": "t", "RoleARN": ROLE, "S3Configuration": bucket(),
            "SecretsManagerConfiguration": {
                "Enabled": true, "SecretARN": "arn:aws:secretsmanager:r:000000000000:secret:k",
            },
        }),
    }
}

fn of(kind: &str, more: Value) -> Value {
    json!({format!("{kind}DestinationConfiguration"): with(whole(kind), more)})
}

const KINDS: [&str; 7] = [
    "ExtendedS3",
    "Redshift",
    "Amazonopensearchservice",
    "Splunk",
    "HttpEndpoint",
    "Snowflake",
    "Iceberg",
];

#[tokio::test]
async fn what_a_destination_needs_must_be_there() {
    for kind in KINDS {
        Fixture::with(of(kind, json!({}))).await;
        for member in whole(kind).as_object().unwrap().keys() {
            // The service says these in words of its own, for each can stand for another.
            if [
                "Username",
                "Password",
                "ClusterEndpoint",
                "HECToken",
                "User",
                "SecretsManagerConfiguration",
                "DestinationTableConfigurationList",
            ]
            .contains(&member.as_str())
            {
                check(of(kind, json!({member: null})), "InvalidArgumentException: ").await;
                continue;
            }
            let kind_path = format!("{}{}", kind[..1].to_ascii_lowercase(), &kind[1..]);
            let name = format!("{}{}", member[..1].to_ascii_lowercase(), &member[1..]);
            let path = format!("{kind_path}DestinationConfiguration.{name}");
            check_violation(of(kind, json!({member: null})), &path, "Member must not be null")
                .await;
        }
    }
}

#[tokio::test]
async fn constraints_of_the_model_hold() {
    let s3 = "extendedS3DestinationConfiguration";
    let search = "amazonopensearchserviceDestinationConfiguration";
    for (members, path, constraint) in [
        (
            of("ExtendedS3", json!({"RoleARN": "firehose"})),
            format!("{s3}.roleARN"),
            r"Member must satisfy regular expression pattern: arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+",
        ),
        (
            of("ExtendedS3", json!({"BucketARN": "lake"})),
            format!("{s3}.bucketARN"),
            r"Member must satisfy regular expression pattern: arn:.*:s3:::[\w\.\-]{1,255}",
        ),
        (
            of("ExtendedS3", json!({"CompressionFormat": "zstd"})),
            format!("{s3}.compressionFormat"),
            "Member must satisfy enum value set: [UNCOMPRESSED, GZIP, ZIP, Snappy, HADOOP_SNAPPY]",
        ),
        (
            of("ExtendedS3", json!({"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 1}})),
            format!("{s3}.bufferingHints.sizeInMBs"),
            "Member must have value less than or equal to 128",
        ),
        (
            of("ExtendedS3", json!({"S3BackupConfiguration": {"RoleARN": ROLE}})),
            format!("{s3}.s3BackupConfiguration.bucketARN"),
            "Member must not be null",
        ),
        (
            of(
                "ExtendedS3",
                json!({"ProcessingConfiguration": {"Processors": [{"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn"}]}]}}),
            ),
            format!(
                "{s3}.processingConfiguration.processors.1.member.parameters.1.member.parameterValue"
            ),
            "Member must not be null",
        ),
        (
            of(
                "ExtendedS3",
                json!({"DataFormatConversionConfiguration": {"OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {"PaddingTolerance": 1.5}}}}}),
            ),
            format!(
                "{s3}.dataFormatConversionConfiguration.outputFormatConfiguration.serializer.orcSerDe.paddingTolerance"
            ),
            "Member must have value less than or equal to 1",
        ),
        (
            of("Amazonopensearchservice", json!({"BufferingHints": {"SizeInMBs": 101}})),
            format!("{search}.bufferingHints.sizeInMBs"),
            "Member must have value less than or equal to 100",
        ),
        (
            of(
                "Amazonopensearchservice",
                json!({"VpcConfiguration": {"RoleARN": ROLE, "SubnetIds": [], "SecurityGroupIds": ["a"]}}),
            ),
            format!("{search}.vpcConfiguration.subnetIds"),
            "Member must have length greater than or equal to 1",
        ),
        (
            of("Splunk", json!({"HECAcknowledgmentTimeoutInSeconds": 179})),
            "splunkDestinationConfiguration.hECAcknowledgmentTimeoutInSeconds".to_owned(),
            "Member must have value greater than or equal to 180",
        ),
        (
            with(to_bucket(), json!({"DeliveryStreamName": "a b"})),
            "deliveryStreamName".to_owned(),
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            with(to_bucket(), json!({"DeliveryStreamName": "x".repeat(65)})),
            "deliveryStreamName".to_owned(),
            "Member must have length less than or equal to 64",
        ),
        (
            with(to_bucket(), json!({"Tags": [{"Key": "aws:x"}]})),
            "tags.1.member.key".to_owned(),
            r"Member must satisfy regular expression pattern: ^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$",
        ),
        (
            with(to_bucket(), json!({"DeliveryStreamType": "Push"})),
            "deliveryStreamType".to_owned(),
            "Member must satisfy enum value set: [DirectPut, KinesisStreamAsSource, MSKAsSource, DatabaseAsSource]",
        ),
    ] {
        check_violation(members, &path, constraint).await;
    }
    let short = of("Redshift", json!({"Password": "short"}));
    check(short, "ValidationException: 1 validation error detected: Value '***' at 'redshiftDestinationConfiguration.password'").await;
}

#[tokio::test]
async fn the_rules_of_the_service_hold() {
    let processors = |processors: Value| json!({"ProcessingConfiguration": {"Enabled": true, "Processors": processors}});
    let parameter =
        |name: &str, value: &str| json!({"ParameterName": name, "ParameterValue": value});
    let source = || {
        json!({"KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": "arn:aws:kinesis:r:000000000000:stream/clicks", "RoleARN": ROLE,
        }})
    };
    let conversion = json!({"DataFormatConversionConfiguration": {
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    }});
    let small = json!({"BufferingHints": {"SizeInMBs": 63, "IntervalInSeconds": 60}});
    let encrypted =
        json!({"DeliveryStreamEncryptionConfigurationInput": {"KeyType": "AWS_OWNED_CMK"}});
    let from_stream = || with(source(), json!({"DeliveryStreamType": "KinesisStreamAsSource"}));
    let partitioned = json!({"DynamicPartitioningConfiguration": {"Enabled": true}});
    for (members, want) in [
        (json!({}), "Exactly one destination configuration is supported for a Firehose"),
        (with(to_bucket(), of("Splunk", json!({}))), "Exactly one destination configuration"),
        (
            with(to_bucket(), source()),
            "The configuration of another source does not go with DeliveryStreamType DirectPut.",
        ),
        (
            with(to_bucket(), json!({"DeliveryStreamType": "KinesisStreamAsSource"})),
            "KinesisStreamSourceConfiguration is required",
        ),
        (
            with(to_bucket(), json!({"DeliveryStreamType": "MSKAsSource"})),
            "DeliveryStreamType MSKAsSource is not supported",
        ),
        (
            with(to_bucket(), json!({"MSKSourceConfiguration": {}})),
            "MSKSourceConfiguration is not supported",
        ),
        (
            with(to_bucket(), json!({"DatabaseSourceConfiguration": {}})),
            "DatabaseSourceConfiguration is not supported",
        ),
        (
            with(with(to_bucket(), from_stream()), encrypted),
            "Server-side encryption is for DirectPut",
        ),
        (
            of("ExtendedS3", json!({"BufferingHints": {"SizeInMBs": 9}})),
            "BufferingHints must have both",
        ),
        (
            of(
                "ExtendedS3",
                with(
                    conversion.clone(),
                    json!({"DataFormatConversionConfiguration": with(
                        conversion["DataFormatConversionConfiguration"].clone(),
                        json!({"SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t", "VersionId": "new"}}),
                    )}),
                ),
            ),
            "spec.formatConversion.schema.glue.versionId: \"new\"; write it as",
        ),
        (of("ExtendedS3", json!({"S3BackupMode": "Enabled"})), "S3BackupConfiguration is required"),
        (of("Redshift", json!({"S3BackupMode": "Enabled"})), "S3BackupConfiguration is required"),
        (
            of("ExtendedS3", json!({"CloudWatchLoggingOptions": {"Enabled": true}})),
            "LogGroupName and LogStreamName are required",
        ),
        (
            of("ExtendedS3", json!({"Prefix": "!{timestamp:yyyy}/"})),
            "spec.destination.s3.errorOutputPrefix: is required where prefix has expressions",
        ),
        (
            of("ExtendedS3", json!({"BucketARN": "arn:aws:s3:::x"})),
            "spec.destination.s3.bucket: 1 characters",
        ),
        (
            of("ExtendedS3", with(conversion.clone(), small.clone())),
            "BufferingHints.SizeInMBs must be at least 64 when data format conversion",
        ),
        (
            of("ExtendedS3", with(conversion, json!({"CompressionFormat": "GZIP"}))),
            "spec.destination.s3.compression: column formats compress inside",
        ),
        (
            of("ExtendedS3", json!({"DataFormatConversionConfiguration": {"Enabled": true}})),
            "SchemaConfiguration, InputFormatConfiguration",
        ),
        (
            of("ExtendedS3", with(partitioned, small)),
            "BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning",
        ),
        (
            of(
                "ExtendedS3",
                json!({"EncryptionConfiguration": {
                    "NoEncryptionConfig": "NoEncryption",
                    "KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:r:000000000000:key/k"},
                }}),
            ),
            "EncryptionConfiguration has NoEncryptionConfig or KMSEncryptionConfig",
        ),
        (
            of("ExtendedS3", processors(json!([{"Type": "Lambda"}]))),
            "ProcessorParameter LambdaArn is required for Lambda.",
        ),
        (
            of(
                "ExtendedS3",
                processors(json!([
                    {"Type": "AppendDelimiterToRecord"}, {"Type": "AppendDelimiterToRecord"},
                ])),
            ),
            "Processor AppendDelimiterToRecord is given twice.",
        ),
        (
            of(
                "ExtendedS3",
                processors(
                    json!([{"Type": "Decompression", "Parameters": [parameter("Delimiter", "x")]}]),
                ),
            ),
            "ProcessorParameter Delimiter is not supported for Decompression.",
        ),
        (
            of(
                "ExtendedS3",
                processors(json!([{"Type": "Lambda", "Parameters": [
                    parameter("LambdaArn", "f"), parameter("NumberOfRetries", "many"),
                ]}])),
            ),
            "ProcessorParameter NumberOfRetries of Lambda is many.",
        ),
        (
            of(
                "ExtendedS3",
                processors(json!([{"Type": "Lambda", "Parameters": [
                    parameter("LambdaArn", "f"), parameter("BufferSizeInMBs", "7"),
                ]}])),
            ),
            "spec.processing.transform.lambda.bufferingSizeMiB: 7; set 0.2 to 3",
        ),
        (
            of(
                "Amazonopensearchservice",
                json!({"ClusterEndpoint": null, "DomainARN": "arn:aws:es:r:000000000000:domain/logs"}),
            ),
            "DomainARN is not supported",
        ),
        (
            of("Amazonopensearchservice", json!({"IndexName": "Logs"})),
            "spec.destination.opensearch.indexName: \"Logs\"",
        ),
        (
            of("Splunk", json!({"HECEndpoint": "splunk"})),
            "spec.destination.splunk.hecEndpoint: \"splunk\"",
        ),
        (
            of(
                "Splunk",
                json!({"SecretsManagerConfiguration": {
                    "Enabled": true, "SecretARN": "arn:aws:secretsmanager:r:000000000000:secret:Splunk-AbCdEf",
                }}),
            ),
            "SecretARN ends with Splunk-AbCdEf, which is no name of a Kubernetes Secret",
        ),
        (
            of("Splunk", json!({"SecretsManagerConfiguration": {"Enabled": true}})),
            "SecretARN is required",
        ),
        (
            of(
                "HttpEndpoint",
                json!({"RequestConfiguration": {"CommonAttributes": [
                    {"AttributeName": "a", "AttributeValue": "1"}, {"AttributeName": "a", "AttributeValue": "2"},
                ]}}),
            ),
            "Common attribute a is given twice.",
        ),
        (
            of("Iceberg", json!({"CatalogConfiguration": {}})),
            "CatalogConfiguration needs a CatalogARN.",
        ),
        (
            of(
                "Redshift",
                json!({"S3Configuration": with(bucket(), json!({"CompressionFormat": "Snappy"}))}),
            ),
            "spec.destination.redshift.s3.compression: COPY does not read it",
        ),
    ] {
        check(members, &format!("InvalidArgumentException: {want}")).await;
    }
}

#[tokio::test]
async fn wrong_types_are_refused() {
    let list = json!({"ExtendedS3DestinationConfiguration": [ROLE, "arn:aws:s3:::lake"]});
    check(list, "SerializationException: START_ARRAY can not be converted to Structure").await;
    let text = of("ExtendedS3", json!({"BufferingHints": {"SizeInMBs": "5"}}));
    check(text, "SerializationException: STRING_VALUE can not be converted to Long").await;
}
