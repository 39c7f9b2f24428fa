//! What a configuration becomes, and how it is told again.

use base64_simd::STANDARD;
use expect_test::{ExpectFile, expect_file};
use serde_json::{Value, json};

use crate::fixture::{Fixture, ROLE, bucket, with};

/// Creates; checks that all that was given is told again, and can be given again; the spec is as
/// expected.
async fn check(kind: &str, configuration: Value, want: ExpectFile) {
    let member = format!("{kind}DestinationConfiguration");
    let fixture = Fixture::with(json!({ member: configuration })).await;
    let described = fixture.describe("s").await;
    assert_eq!(described["VersionId"], "1");
    let destinations = described["Destinations"].as_array().unwrap();
    assert_eq!(destinations.len(), 1);
    let extended = kind.strip_prefix("Extended").unwrap_or(kind);
    assert!(
        kind == extended || !destinations[0][format!("{extended}DestinationDescription")].is_null()
    );
    check_told(kind, &configuration, &destinations[0][format!("{kind}DestinationDescription")]);
    let spec = serde_json::to_value(&fixture.stream("s").spec).unwrap();
    let mut pretty = serde_json::to_string_pretty(&spec).unwrap();
    for (key, secret) in &fixture.stream("s").secrets {
        let secret: String = secret.chars().take(40).collect();
        pretty.push_str(&format!("\n{key}: {secret:?}"));
    }
    want.assert_eq(&pretty);
    check_given_again(&fixture, kind, &destinations[0]).await;
}

/// Who reads a destination and writes it back changes nothing.
async fn check_given_again(fixture: &Fixture, kind: &str, told: &Value) {
    let mut members = serde_json::Map::new();
    for (name, value) in told[format!("{kind}DestinationDescription")].as_object().unwrap() {
        let in_update = match (name.as_str(), kind) {
            ("S3DestinationDescription", "Iceberg") => "S3Configuration",
            ("S3DestinationDescription", _) => "S3Update",
            ("S3BackupDescription", _) => "S3BackupUpdate",
            ("VpcConfigurationDescription", _) => continue,
            (name, _) => name,
        };
        members.insert(in_update.to_owned(), value.clone());
    }
    let update = json!({
        "DeliveryStreamName": "s",
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": told["DestinationId"],
        format!("{kind}DestinationUpdate"): members,
    });
    let secrets = fixture.stream("s").secrets.clone();
    fixture.call("UpdateDestination", update).await.unwrap();
    let after = fixture.describe("s").await;
    assert_eq!(&after["Destinations"][0], told);
    assert_eq!(after["VersionId"], "2");
    assert_eq!(fixture.stream("s").secrets, secrets);
}

const SECRETS: [&str; 5] = ["Password", "HECToken", "AccessKey", "PrivateKey", "KeyPassphrase"];

/// Each member that was given is there with its value, under its name in descriptions.
fn check_told(path: &str, given: &Value, told: &Value) {
    match given {
        Value::Object(members) => {
            for (name, given) in members {
                let in_description = match name.as_str() {
                    "S3Configuration" => "S3DestinationDescription",
                    "S3BackupConfiguration" => "S3BackupDescription",
                    "VpcConfiguration" => "VpcConfigurationDescription",
                    name => name,
                };
                let told = &told[in_description];
                if SECRETS.contains(&name.as_str()) {
                    assert!(told.is_null(), "{path}.{name} is told");
                } else {
                    check_told(&format!("{path}.{name}"), given, told);
                }
            }
        }
        Value::Array(items) => {
            assert_eq!(told.as_array().map(Vec::len), Some(items.len()), "{path}: {told}");
            for (at, given) in items.iter().enumerate() {
                check_told(&format!("{path}.{at}"), given, &told[at]);
            }
        }
        given => assert_eq!(given, told, "{path}"),
    }
}

fn parameter(name: &str, value: &str) -> Value {
    json!({"ParameterName": name, "ParameterValue": value})
}

fn lambda() -> Value {
    json!({
        "Enabled": true,
        "Processors": [{
            "Type": "Lambda",
            "Parameters": [
                parameter("LambdaArn", "arn:aws:lambda:eu-west-1:000000000000:function:f"),
                parameter("NumberOfRetries", "5"),
                parameter("RoleArn", ROLE),
                parameter("BufferSizeInMBs", "0.5"),
                parameter("BufferIntervalInSeconds", "90"),
            ],
        }],
    })
}

fn logging() -> Value {
    json!({"Enabled": true, "LogGroupName": "/aws/firehose/s", "LogStreamName": "Delivery"})
}

fn backup() -> Value {
    with(
        bucket(),
        json!({
            "Prefix": "back/",
            "ErrorOutputPrefix": "refused/!{firehose:error-output-type}/",
            "BufferingHints": {"SizeInMBs": 2, "IntervalInSeconds": 30},
            "CompressionFormat": "GZIP",
            "CloudWatchLoggingOptions": logging(),
            "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        }),
    )
}

#[tokio::test]
async fn a_bucket() {
    let more = json!({
        "Prefix": "in/!{timestamp:yyyy}/",
        "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/",
        "BufferingHints": {"SizeInMBs": 7, "IntervalInSeconds": 77},
        "CompressionFormat": "HADOOP_SNAPPY",
        "EncryptionConfiguration": {
            "KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:eu-west-1:000000000000:key/k"},
        },
        "CloudWatchLoggingOptions": logging(),
    });
    let plain = with(bucket(), more);
    check("S3", plain.clone(), expect_file!["../golden/s3.txt"]).await;
    let extended = json!({
        "ProcessingConfiguration": lambda(),
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": backup(),
        "FileExtension": ".json.gz",
        "CustomTimeZone": "Europe/Berlin",
    });
    check("ExtendedS3", with(plain, extended), expect_file!["../golden/extended_s3.txt"]).await;
}

#[tokio::test]
async fn a_partitioned_bucket_and_its_processors() {
    let processor = |kind: &str, parameters: Value| json!({"Type": kind, "Parameters": parameters});
    let more = json!({
        "Prefix": "!{partitionKeyFromQuery:customer}/",
        "ErrorOutputPrefix": "bad/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
        "DynamicPartitioningConfiguration": {"Enabled": true, "RetryOptions": {"DurationInSeconds": 9}},
        "ProcessingConfiguration": {"Enabled": true, "Processors": [
            processor("Decompression", json!([parameter("CompressionFormat", "GZIP")])),
            processor("CloudWatchLogProcessing", json!([parameter("DataMessageExtraction", "true")])),
            processor("RecordDeAggregation", json!([
                parameter("SubRecordType", "DELIMITED"), parameter("Delimiter", "Cg=="),
            ])),
            processor("MetadataExtraction", json!([
                parameter("MetadataExtractionQuery", "{customer: .customer_id}"),
                parameter("JsonParsingEngine", "JQ-1.6"),
            ])),
            processor("AppendDelimiterToRecord", json!([parameter("Delimiter", "\\n")])),
        ]},
    });
    check("ExtendedS3", with(bucket(), more), expect_file!["../golden/partitioned.txt"]).await;
}

#[tokio::test]
async fn a_bucket_of_columns() {
    let schema = json!({
        "RoleARN": ROLE, "CatalogId": "000000000000", "DatabaseName": "d", "TableName": "t",
        "Region": "us-west-2", "VersionId": "7",
    });
    let parquet = json!({"Enabled": true,
        "SchemaConfiguration": schema,
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {
            "ConvertDotsInJsonKeysToUnderscores": true, "CaseInsensitive": false,
            "ColumnToJsonKeyMappings": {"ts": "timestamp"},
        }}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {
            "BlockSizeBytes": 134_217_728, "PageSizeBytes": 131_072, "Compression": "GZIP",
            "EnableDictionaryCompression": true, "MaxPaddingBytes": 9, "WriterVersion": "V2",
        }}},
    });
    let of = |conversion: Value| {
        with(bucket(), json!({"DataFormatConversionConfiguration": conversion}))
    };
    check("ExtendedS3", of(parquet.clone()), expect_file!["../golden/parquet.txt"]).await;
    let orc = json!({
        "InputFormatConfiguration": {"Deserializer": {"HiveJsonSerDe": {"TimestampFormats": ["millis"]}}},
        "OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {
            "StripeSizeBytes": 8_388_608, "BlockSizeBytes": 67_108_864, "RowIndexStride": 2000,
            "EnablePadding": true, "PaddingTolerance": 0.5, "Compression": "ZLIB",
            "BloomFilterColumns": ["a", "b"], "BloomFilterFalsePositiveProbability": 0.25,
            "DictionaryKeyThreshold": 0.75, "FormatVersion": "V0_11",
        }}},
    });
    check("ExtendedS3", of(with(parquet.clone(), orc)), expect_file!["../golden/orc.txt"]).await;
    let off = with(parquet, json!({"Enabled": false}));
    check("ExtendedS3", of(off), expect_file!["../golden/conversion_off.txt"]).await;
}

#[tokio::test]
async fn a_table_in_redshift() {
    let redshift = json!({
        "RoleARN": ROLE,
        "ClusterJDBCURL": "jdbc:redshift://c.x.eu-west-1.redshift.amazonaws.com:5439/db",
        "CopyCommand": {"DataTableName": "t", "DataTableColumns": "a,b", "CopyOptions": "JSON 'auto'"},
        "Username": "loader",
        "Password": "hunter2!",
        "RetryOptions": {"DurationInSeconds": 10},
        "S3Configuration": with(bucket(), json!({
            "Prefix": "way/", "BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 90},
        })),
        "CloudWatchLoggingOptions": logging(),
        "ProcessingConfiguration": lambda(),
        "S3BackupMode": "Disabled",
    });
    check("Redshift", redshift.clone(), expect_file!["../golden/redshift.txt"]).await;
    let all = json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup()});
    check(
        "Redshift",
        with(redshift.clone(), all),
        expect_file!["../golden/redshift_backed_up.txt"],
    )
    .await;
    let mut managed = redshift;
    managed.as_object_mut().unwrap().retain(|name, _| name != "Username" && name != "Password");
    let arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:warehouse";
    let secret = json!({"Enabled": true, "SecretARN": arn, "RoleARN": ROLE});
    let managed = with(managed, json!({"SecretsManagerConfiguration": secret}));
    check("Redshift", managed, expect_file!["../golden/redshift_secret.txt"]).await;
}

#[tokio::test]
async fn documents_in_search_engines() {
    let common = json!({
        "RoleARN": ROLE,
        "IndexName": "logs",
        "BufferingHints": {"SizeInMBs": 3, "IntervalInSeconds": 20},
        "RetryOptions": {"DurationInSeconds": 11},
        "S3BackupMode": "AllDocuments",
        "S3Configuration": backup(),
        "ProcessingConfiguration": lambda(),
        "CloudWatchLoggingOptions": logging(),
        "VpcConfiguration": {"SubnetIds": ["subnet-1"], "RoleARN": ROLE, "SecurityGroupIds": ["sg-1"]},
    });
    let indexed = with(
        common.clone(),
        json!({
            "ClusterEndpoint": "https://search:9200",
            "TypeName": "t",
            "IndexRotationPeriod": "OneWeek",
            "DocumentIdOptions": {"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"},
        }),
    );
    check("Elasticsearch", indexed.clone(), expect_file!["../golden/elasticsearch.txt"]).await;
    let amazons = json!({"ClusterEndpoint": "https://search-x.us-west-2.es.amazonaws.com"});
    check(
        "Amazonopensearchservice",
        with(indexed, amazons),
        expect_file!["../golden/opensearch.txt"],
    )
    .await;
    let collection = json!({"CollectionEndpoint": "https://collection"});
    check(
        "AmazonOpenSearchServerless",
        with(common, collection),
        expect_file!["../golden/serverless.txt"],
    )
    .await;
}

#[tokio::test]
async fn events_in_splunk() {
    let splunk = json!({
        "HECEndpoint": "https://splunk:8088",
        "HECEndpointType": "Event",
        "HECToken": "token",
        "HECAcknowledgmentTimeoutInSeconds": 200,
        "RetryOptions": {"DurationInSeconds": 0},
        "S3BackupMode": "AllEvents",
        "S3Configuration": backup(),
        "ProcessingConfiguration": {"Enabled": false, "Processors": []},
        "CloudWatchLoggingOptions": logging(),
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        "SecretsManagerConfiguration": {"Enabled": false},
    });
    check("Splunk", splunk, expect_file!["../golden/splunk.txt"]).await;
}

#[tokio::test]
async fn requests_to_a_service() {
    let http = json!({
        "EndpointConfiguration": {"Url": "http://collector:8080/in", "Name": "c", "AccessKey": "key"},
        "BufferingHints": {"SizeInMBs": 4, "IntervalInSeconds": 40},
        "RequestConfiguration": {"ContentEncoding": "GZIP", "CommonAttributes": [
            {"AttributeName": "a", "AttributeValue": "1"}, {"AttributeName": "b", "AttributeValue": ""},
        ]},
        "RoleARN": ROLE,
        "RetryOptions": {"DurationInSeconds": 12},
        "S3BackupMode": "FailedDataOnly",
        "S3Configuration": backup(),
        "ProcessingConfiguration": lambda(),
        "CloudWatchLoggingOptions": logging(),
    });
    check("HttpEndpoint", http, expect_file!["../golden/http_endpoint.txt"]).await;
}

#[tokio::test]
async fn rows_in_snowflake() {
    let mut der = vec![0x30, 0x82, 0x04, 0xbe, 0x30];
    der.resize(300, 7);
    let snowflake = json!({
        "AccountUrl": "org-acme.snowflakecomputing.com",
        "PrivateKey": STANDARD.encode_to_string(&der),
        "KeyPassphrase": "opensesame",
        "User": "loader", "Database": "d", "Schema": "s", "Table": "t",
        "SnowflakeRoleConfiguration": {"Enabled": true, "SnowflakeRole": "r"},
        "DataLoadingOption": "VARIANT_CONTENT_AND_METADATA_MAPPING",
        "MetaDataColumnName": "m",
        "ContentColumnName": "c",
        "SnowflakeVpcConfiguration": {
            "PrivateLinkVpceId": "com.amazonaws.vpce.eu-west-1.vpce-svc-01234567890123456",
        },
        "RoleARN": ROLE,
        "RetryOptions": {"DurationInSeconds": 13},
        "S3BackupMode": "AllData",
        "S3Configuration": backup(),
        "BufferingHints": {"SizeInMBs": 16, "IntervalInSeconds": 1},
        "CloudWatchLoggingOptions": logging(),
        "ProcessingConfiguration": lambda(),
    });
    check("Snowflake", snowflake, expect_file!["../golden/snowflake.txt"]).await;
}

#[tokio::test]
async fn rows_in_iceberg() {
    let query = "{destinationDatabaseName: .d, destinationTableName: .t, operation: .o}";
    let iceberg = json!({
        "RoleARN": ROLE,
        "CatalogConfiguration": {
            "CatalogARN": "arn:aws:glue:us-west-2:000000000000:catalog/s3tablescatalog/lake",
            "WarehouseLocation": "s3://lake/warehouse",
        },
        "DestinationTableConfigurationList": [{
            "DestinationDatabaseName": "d", "DestinationTableName": "t", "UniqueKeys": ["id"],
            "PartitionSpec": {"Identity": [{"SourceName": "day"}]}, "S3ErrorOutputPrefix": "t/",
        }],
        "SchemaEvolutionConfiguration": {"Enabled": true},
        "TableCreationConfiguration": {"Enabled": true},
        "AppendOnly": false,
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        "RetryOptions": {"DurationInSeconds": 14},
        "S3BackupMode": "FailedDataOnly",
        "S3Configuration": backup(),
        "CloudWatchLoggingOptions": logging(),
        "ProcessingConfiguration": {"Enabled": true, "Processors": [
            {"Type": "MetadataExtraction", "Parameters": [
                parameter("MetadataExtractionQuery", query), parameter("JsonParsingEngine", "JQ-1.6"),
            ]},
        ]},
    });
    check("Iceberg", iceberg, expect_file!["../golden/iceberg.txt"]).await;
}
