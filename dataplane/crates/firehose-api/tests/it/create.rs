//! What a configuration becomes, and how it is told again.

use base64_simd::STANDARD;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::fixture::{Fixture, ROLE, bucket, with};

/// Creates; checks that all that was given is told again, and can be given again; the spec is as
/// expected.
async fn check(kind: &str, configuration: Value, want: Expect) {
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
    check(
        "S3",
        plain.clone(),
        expect![[r#"
        {
          "buffering": {
            "intervalSeconds": 77,
            "sizeMiB": 7
          },
          "destination": {
            "s3": {
              "bucket": "lake",
              "compression": "HADOOP_SNAPPY",
              "errorOutputPrefix": "bad/!{firehose:error-output-type}/",
              "kmsKeyArn": "arn:aws:kms:eu-west-1:000000000000:key/k",
              "prefix": "in/!{timestamp:yyyy}/"
            }
          }
        }"#]],
    )
    .await;
    let extended = json!({
        "ProcessingConfiguration": lambda(),
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": backup(),
        "FileExtension": ".json.gz",
        "CustomTimeZone": "Europe/Berlin",
    });
    check(
        "ExtendedS3",
        with(plain, extended),
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 77,
            "sizeMiB": 7
          },
          "destination": {
            "s3": {
              "bucket": "lake",
              "compression": "HADOOP_SNAPPY",
              "customTimeZone": "Europe/Berlin",
              "errorOutputPrefix": "bad/!{firehose:error-output-type}/",
              "fileExtension": ".json.gz",
              "kmsKeyArn": "arn:aws:kms:eu-west-1:000000000000:key/k",
              "prefix": "in/!{timestamp:yyyy}/"
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          }
        }"#]],
    )
    .await;
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
    check(
        "ExtendedS3",
        with(bucket(), more),
        expect![[r#"
        {
          "buffering": {
            "intervalSeconds": 60,
            "sizeMiB": 64
          },
          "destination": {
            "s3": {
              "bucket": "lake",
              "errorOutputPrefix": "bad/",
              "prefix": "!{partitionKeyFromQuery:customer}/"
            }
          },
          "dynamicPartitioning": {
            "enabled": true,
            "retryDurationSeconds": 9
          },
          "processing": {
            "appendDelimiter": "\n",
            "cloudWatchLogExtraction": true,
            "deaggregation": {
              "delimiter": "Cg==",
              "subRecordType": "DELIMITED"
            },
            "decompression": {
              "format": "GZIP"
            },
            "metadataExtraction": {
              "engine": "JQ-1.6",
              "query": "{customer: .customer_id}"
            }
          }
        }"#]],
    )
    .await;
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
    check(
        "ExtendedS3",
        of(parquet.clone()),
        expect![[r#"
        {
          "destination": {
            "s3": {
              "bucket": "lake"
            }
          },
          "formatConversion": {
            "input": {
              "openX": {
                "caseInsensitive": false,
                "columnToJsonKeyMappings": {
                  "ts": "timestamp"
                },
                "convertDotsInJsonKeysToUnderscores": true
              }
            },
            "output": {
              "parquet": {
                "blockSizeMiB": 128,
                "compression": "GZIP",
                "enableDictionaryCompression": true,
                "maxPaddingBytes": 9,
                "pageSizeKiB": 128,
                "writerVersion": "V2"
              }
            },
            "schema": {
              "glue": {
                "catalogId": "000000000000",
                "database": "d",
                "region": "us-west-2",
                "table": "t",
                "versionId": "7"
              }
            }
          }
        }"#]],
    )
    .await;
    let orc = json!({
        "InputFormatConfiguration": {"Deserializer": {"HiveJsonSerDe": {"TimestampFormats": ["millis"]}}},
        "OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {
            "StripeSizeBytes": 8_388_608, "BlockSizeBytes": 67_108_864, "RowIndexStride": 2000,
            "EnablePadding": true, "PaddingTolerance": 0.5, "Compression": "ZLIB",
            "BloomFilterColumns": ["a", "b"], "BloomFilterFalsePositiveProbability": 0.25,
            "DictionaryKeyThreshold": 0.75, "FormatVersion": "V0_11",
        }}},
    });
    check(
        "ExtendedS3",
        of(with(parquet.clone(), orc)),
        expect![[r#"
        {
          "destination": {
            "s3": {
              "bucket": "lake"
            }
          },
          "formatConversion": {
            "input": {
              "hive": {
                "timestampFormats": [
                  "millis"
                ]
              }
            },
            "output": {
              "orc": {
                "blockSizeMiB": 64,
                "bloomFilterColumns": [
                  "a",
                  "b"
                ],
                "bloomFilterFalsePositiveProbability": 0.25,
                "compression": "ZLIB",
                "dictionaryKeyThreshold": 0.75,
                "enablePadding": true,
                "formatVersion": "V0_11",
                "paddingTolerance": 0.5,
                "rowIndexStride": 2000,
                "stripeSizeMiB": 8
              }
            },
            "schema": {
              "glue": {
                "catalogId": "000000000000",
                "database": "d",
                "region": "us-west-2",
                "table": "t",
                "versionId": "7"
              }
            }
          }
        }"#]],
    )
    .await;
    let off = with(parquet, json!({"Enabled": false}));
    check(
        "ExtendedS3",
        of(off),
        expect![[r#"
        {
          "destination": {
            "s3": {
              "bucket": "lake"
            }
          }
        }"#]],
    )
    .await;
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
    check(
        "Redshift",
        redshift.clone(),
        expect![[r#"
        {
          "backup": {
            "mode": "FailedOnly",
            "s3": {
              "bucket": "lake",
              "prefix": "way/"
            }
          },
          "buffering": {
            "intervalSeconds": 90,
            "sizeMiB": 9
          },
          "destination": {
            "redshift": {
              "clusterJdbcUrl": "jdbc:redshift://c.x.eu-west-1.redshift.amazonaws.com:5439/db",
              "copyCommand": {
                "copyOptions": "JSON 'auto'",
                "dataTableColumns": "a,b",
                "dataTableName": "t"
              },
              "credentials": {
                "passwordRef": {
                  "key": "redshift-password",
                  "name": "s-delivery"
                },
                "usernameRef": {
                  "key": "redshift-username",
                  "name": "s-delivery"
                }
              },
              "s3": {
                "bucket": "lake",
                "prefix": "way/"
              }
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 10
        }
        redshift-password: "hunter2!"
        redshift-username: "loader""#]],
    )
    .await;
    let all = json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup()});
    check(
        "Redshift",
        with(redshift.clone(), all),
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 90,
            "sizeMiB": 9
          },
          "destination": {
            "redshift": {
              "clusterJdbcUrl": "jdbc:redshift://c.x.eu-west-1.redshift.amazonaws.com:5439/db",
              "copyCommand": {
                "copyOptions": "JSON 'auto'",
                "dataTableColumns": "a,b",
                "dataTableName": "t"
              },
              "credentials": {
                "passwordRef": {
                  "key": "redshift-password",
                  "name": "s-delivery"
                },
                "usernameRef": {
                  "key": "redshift-username",
                  "name": "s-delivery"
                }
              },
              "s3": {
                "bucket": "lake",
                "prefix": "way/"
              }
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 10
        }
        redshift-password: "hunter2!"
        redshift-username: "loader""#]],
    )
    .await;
    let mut managed = redshift;
    managed.as_object_mut().unwrap().retain(|name, _| name != "Username" && name != "Password");
    let arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:warehouse";
    let secret = json!({"Enabled": true, "SecretARN": arn, "RoleARN": ROLE});
    let managed = with(managed, json!({"SecretsManagerConfiguration": secret}));
    check(
        "Redshift",
        managed,
        expect![[r#"
        {
          "backup": {
            "mode": "FailedOnly",
            "s3": {
              "bucket": "lake",
              "prefix": "way/"
            }
          },
          "buffering": {
            "intervalSeconds": 90,
            "sizeMiB": 9
          },
          "destination": {
            "redshift": {
              "clusterJdbcUrl": "jdbc:redshift://c.x.eu-west-1.redshift.amazonaws.com:5439/db",
              "copyCommand": {
                "copyOptions": "JSON 'auto'",
                "dataTableColumns": "a,b",
                "dataTableName": "t"
              },
              "credentials": {
                "passwordRef": {
                  "key": "password",
                  "name": "warehouse"
                },
                "usernameRef": {
                  "key": "username",
                  "name": "warehouse"
                }
              },
              "s3": {
                "bucket": "lake",
                "prefix": "way/"
              }
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 10
        }"#]],
    )
    .await;
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
    check(
        "Elasticsearch",
        indexed.clone(),
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 20,
            "sizeMiB": 3
          },
          "destination": {
            "elasticsearch": {
              "documentId": "NO_DOCUMENT_ID",
              "endpoint": "https://search:9200",
              "indexName": "logs",
              "indexRotation": "OneWeek",
              "typeName": "t"
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 11
        }"#]],
    )
    .await;
    let amazons = json!({"ClusterEndpoint": "https://search-x.us-west-2.es.amazonaws.com"});
    check(
        "Amazonopensearchservice",
        with(indexed, amazons),
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 20,
            "sizeMiB": 3
          },
          "destination": {
            "opensearch": {
              "credentials": {
                "aws": {
                  "region": "us-west-2"
                }
              },
              "documentId": "NO_DOCUMENT_ID",
              "endpoint": "https://search-x.us-west-2.es.amazonaws.com",
              "indexName": "logs",
              "indexRotation": "OneWeek",
              "typeName": "t"
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 11
        }"#]],
    )
    .await;
    let collection = json!({"CollectionEndpoint": "https://collection"});
    check(
        "AmazonOpenSearchServerless",
        with(common, collection),
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 20,
            "sizeMiB": 3
          },
          "destination": {
            "opensearch": {
              "credentials": {
                "aws": {
                  "region": "eu-west-1",
                  "serverless": true
                }
              },
              "endpoint": "https://collection",
              "indexName": "logs",
              "indexRotation": "NoRotation"
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 11
        }"#]],
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
    check(
        "Splunk",
        splunk,
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 0,
            "sizeMiB": 1
          },
          "destination": {
            "splunk": {
              "hecAcknowledgmentTimeoutSeconds": 200,
              "hecEndpoint": "https://splunk:8088",
              "hecEndpointType": "Event",
              "hecTokenRef": {
                "key": "splunk-hec-token",
                "name": "s-delivery"
              }
            }
          },
          "retryDurationSeconds": 0
        }
        splunk-hec-token: "token""#]],
    )
    .await;
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
    check(
        "HttpEndpoint",
        http,
        expect![[r#"
        {
          "backup": {
            "mode": "FailedOnly",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 40,
            "sizeMiB": 4
          },
          "destination": {
            "httpEndpoint": {
              "accessKeyRef": {
                "key": "http-access-key",
                "name": "s-delivery"
              },
              "commonAttributes": {
                "a": "1",
                "b": ""
              },
              "contentEncoding": "GZIP",
              "name": "c",
              "url": "http://collector:8080/in"
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 12
        }
        http-access-key: "key""#]],
    )
    .await;
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
    check(
        "Snowflake",
        snowflake,
        expect![[r#"
        {
          "backup": {
            "mode": "AllRecords",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 1,
            "sizeMiB": 16
          },
          "destination": {
            "snowflake": {
              "accountUrl": "https://org-acme.snowflakecomputing.com",
              "contentColumnName": "c",
              "dataLoadingOption": "VARIANT_CONTENT_AND_METADATA_MAPPING",
              "database": "d",
              "keyPassphraseRef": {
                "key": "snowflake-key-passphrase",
                "name": "s-delivery"
              },
              "metadataColumnName": "m",
              "privateKeyRef": {
                "key": "snowflake-private-key",
                "name": "s-delivery"
              },
              "role": "r",
              "schema": "s",
              "table": "t",
              "user": "loader"
            }
          },
          "processing": {
            "transform": {
              "lambda": {
                "bufferingSizeMiB": 0.5,
                "functionArn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                "intervalSeconds": 90,
                "retries": 5
              }
            }
          },
          "retryDurationSeconds": 13
        }
        snowflake-key-passphrase: "opensesame"
        snowflake-private-key: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMI""#]],
    )
    .await;
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
    check("Iceberg", iceberg, expect![[r#"
        {
          "backup": {
            "mode": "FailedOnly",
            "s3": {
              "bucket": "lake",
              "compression": "GZIP",
              "errorOutputPrefix": "refused/!{firehose:error-output-type}/",
              "prefix": "back/"
            }
          },
          "buffering": {
            "intervalSeconds": 0,
            "sizeMiB": 1
          },
          "destination": {
            "iceberg": {
              "appendOnly": false,
              "catalog": {
                "glue": {
                  "catalogId": "000000000000:s3tablescatalog/lake",
                  "region": "us-west-2",
                  "warehouseLocation": "s3://lake/warehouse"
                }
              },
              "routing": {
                "database": "({destinationDatabaseName: .d, destinationTableName: .t, operation: .o}) | .destinationDatabaseName",
                "operation": "({destinationDatabaseName: .d, destinationTableName: .t, operation: .o}) | .operation",
                "table": "({destinationDatabaseName: .d, destinationTableName: .t, operation: .o}) | .destinationTableName"
              },
              "schemaEvolution": true,
              "tableCreation": true,
              "tables": [
                {
                  "database": "d",
                  "errorOutputPrefix": "t/",
                  "partitionBy": [
                    "day"
                  ],
                  "table": "t",
                  "uniqueKeys": [
                    "id"
                  ]
                }
              ]
            }
          },
          "processing": {},
          "retryDurationSeconds": 14
        }"#]]).await;
}
