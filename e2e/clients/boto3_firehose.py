"""Data Firehose through boto3: every operation, every destination with all that can be said of it, and what
is refused.

Nothing is delivered: no record is put into a delivery stream whose destination is not there.
"""

import base64
import time
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from refusals import refused

CONFIG = Config(retries={"max_attempts": 0})
firehose = boto3.client("firehose", config=CONFIG)
kinesis = boto3.client("kinesis", config=CONFIG)
ENDPOINT = firehose.meta.endpoint_url
# Names of their own, so that it can be run again.
RUN = uuid.uuid4().hex[:8]
ID = "destinationId-000000000001"
ROLE = "arn:aws:iam::000000000000:role/firehose"
BUCKET = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::firehose-clients"}
LOGGING = {"Enabled": True, "LogGroupName": "/aws/firehose/x", "LogStreamName": "Delivery"}
KMS = {"KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000000:key/bucket"}}
PLAIN = {"NoEncryptionConfig": "NoEncryption"}
HINTS = {"SizeInMBs": 3, "IntervalInSeconds": 30}
BACKUP = BUCKET | {
    "Prefix": "back/", "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/", "BufferingHints": HINTS,
    "CompressionFormat": "GZIP", "EncryptionConfiguration": KMS, "CloudWatchLoggingOptions": LOGGING,
}
SECRET = {"Enabled": True, "SecretARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:theirs", "RoleARN": ROLE}
VPC = {"SubnetIds": ["subnet-1"], "RoleARN": ROLE, "SecurityGroupIds": ["sg-1"]}
SECRETS = {"Password", "HECToken", "AccessKey", "PrivateKey", "KeyPassphrase"}


def processors(**kinds):
    """Processors by their types, with their parameters by name."""
    return {"Enabled": True, "Processors": [
        {"Type": kind, "Parameters": [{"ParameterName": n, "ParameterValue": v} for n, v in parameters.items()]}
        for kind, parameters in kinds.items()
    ]}


LAMBDA = processors(Lambda={
    "LambdaArn": "arn:aws:lambda:us-east-1:000000000000:function:f", "NumberOfRetries": "2", "RoleArn": ROLE,
    "BufferSizeInMBs": "0.5", "BufferIntervalInSeconds": "90"})


def extended_s3():
    return BUCKET | {
        "Prefix": "!{partitionKeyFromQuery:customer}/", "ErrorOutputPrefix": "bad/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60}, "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": KMS, "CloudWatchLoggingOptions": LOGGING, "FileExtension": ".json",
        "CustomTimeZone": "Europe/Berlin", "S3BackupMode": "Enabled", "S3BackupConfiguration": BACKUP,
        "DynamicPartitioningConfiguration": {"Enabled": True, "RetryOptions": {"DurationInSeconds": 9}},
        "ProcessingConfiguration": processors(
            Decompression={"CompressionFormat": "GZIP"},
            CloudWatchLogProcessing={"DataMessageExtraction": "true"},
            RecordDeAggregation={"SubRecordType": "DELIMITED", "Delimiter": "Cg=="},
            MetadataExtraction={"MetadataExtractionQuery": "{customer: .c}", "JsonParsingEngine": "JQ-1.6"},
            AppendDelimiterToRecord={"Delimiter": "\\n"}),
    }


def columns(reads, writes):
    return BUCKET | {"DataFormatConversionConfiguration": {
        "Enabled": True, "InputFormatConfiguration": {"Deserializer": reads},
        "OutputFormatConfiguration": {"Serializer": writes},
        "SchemaConfiguration": {"RoleARN": ROLE, "CatalogId": "000000000000", "DatabaseName": "d", "TableName": "t",
                                "Region": "us-east-1", "VersionId": "1"},
    }}


PARQUET = columns(
    {"OpenXJsonSerDe": {"ConvertDotsInJsonKeysToUnderscores": True, "CaseInsensitive": False,
                        "ColumnToJsonKeyMappings": {"ts": "timestamp"}}},
    {"ParquetSerDe": {"BlockSizeBytes": 1 << 27, "PageSizeBytes": 1 << 17, "Compression": "GZIP",
                      "EnableDictionaryCompression": True, "MaxPaddingBytes": 9, "WriterVersion": "V2"}})
ORC = columns(
    {"HiveJsonSerDe": {"TimestampFormats": ["millis"]}},
    {"OrcSerDe": {"StripeSizeBytes": 1 << 23, "BlockSizeBytes": 1 << 26, "RowIndexStride": 2000, "EnablePadding": True,
                  "PaddingTolerance": 0.5, "Compression": "ZLIB", "BloomFilterColumns": ["a"],
                  "BloomFilterFalsePositiveProbability": 0.25, "DictionaryKeyThreshold": 0.75,
                  "FormatVersion": "V0_11"}})


def redshift():
    return {
        "RoleARN": ROLE, "ClusterJDBCURL": "jdbc:redshift://c.x.us-east-1.redshift.amazonaws.com:5439/db",
        "CopyCommand": {"DataTableName": "t", "DataTableColumns": "a,b", "CopyOptions": "JSON 'auto'"},
        "Username": "loader", "Password": "hunter2!", "RetryOptions": {"DurationInSeconds": 10},
        "S3Configuration": BACKUP, "ProcessingConfiguration": LAMBDA, "S3BackupMode": "Enabled",
        "S3BackupConfiguration": BACKUP | {"Prefix": "all/"}, "CloudWatchLoggingOptions": LOGGING,
    }


def search(**endpoint):
    return {
        "RoleARN": ROLE, "IndexName": "logs", "BufferingHints": HINTS, "RetryOptions": {"DurationInSeconds": 11},
        "S3BackupMode": "AllDocuments", "S3Configuration": BACKUP, "ProcessingConfiguration": LAMBDA,
        "CloudWatchLoggingOptions": LOGGING, "VpcConfiguration": VPC,
    } | endpoint


INDEXED = {"ClusterEndpoint": "https://search.invalid:9200", "TypeName": "t", "IndexRotationPeriod": "OneWeek",
           "DocumentIdOptions": {"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"}}


def splunk():
    return {
        "HECEndpoint": "https://splunk.invalid:8088", "HECEndpointType": "Event", "HECToken": "token",
        "HECAcknowledgmentTimeoutInSeconds": 200, "RetryOptions": {"DurationInSeconds": 0},
        "S3BackupMode": "FailedEventsOnly", "S3Configuration": BACKUP, "ProcessingConfiguration": LAMBDA,
        "CloudWatchLoggingOptions": LOGGING, "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
    }


def http():
    return {
        "EndpointConfiguration": {"Url": "https://collector.invalid/in", "Name": "c", "AccessKey": "key"},
        "BufferingHints": HINTS, "CloudWatchLoggingOptions": LOGGING, "RoleARN": ROLE,
        "RequestConfiguration": {"ContentEncoding": "GZIP",
                                 "CommonAttributes": [{"AttributeName": "a", "AttributeValue": "1"}]},
        "ProcessingConfiguration": LAMBDA, "RetryOptions": {"DurationInSeconds": 12}, "S3BackupMode": "AllData",
        "S3Configuration": BACKUP,
    }


def snowflake():
    return {
        "AccountUrl": "org-acme.snowflakecomputing.com",
        # The beginning of a key, as far as anybody looks before it is used.
        "PrivateKey": base64.b64encode(bytes([0x30, 0x82, 4, 0xbe, 0x30]).ljust(300, b"x")).decode(),
        "KeyPassphrase": "opensesame", "User": "loader", "Database": "d", "Schema": "s", "Table": "t",
        "SnowflakeRoleConfiguration": {"Enabled": True, "SnowflakeRole": "r"},
        "DataLoadingOption": "VARIANT_CONTENT_AND_METADATA_MAPPING", "MetaDataColumnName": "m",
        "ContentColumnName": "c", "CloudWatchLoggingOptions": LOGGING, "ProcessingConfiguration": LAMBDA,
        "SnowflakeVpcConfiguration": {
            "PrivateLinkVpceId": "com.amazonaws.vpce.us-east-1.vpce-svc-01234567890123456"},
        "RoleARN": ROLE, "RetryOptions": {"DurationInSeconds": 13}, "S3BackupMode": "AllData",
        "S3Configuration": BACKUP, "BufferingHints": HINTS,
    }


def iceberg():
    query = "{destinationDatabaseName: .d, destinationTableName: .t, operation: .o}"
    return {
        "RoleARN": ROLE, "AppendOnly": False, "BufferingHints": HINTS, "RetryOptions": {"DurationInSeconds": 14},
        "CatalogConfiguration": {"CatalogARN": "arn:aws:glue:us-east-1:000000000000:catalog",
                                 "WarehouseLocation": "s3://lake/warehouse"},
        "DestinationTableConfigurationList": [{
            "DestinationDatabaseName": "d", "DestinationTableName": "t", "UniqueKeys": ["id"],
            "PartitionSpec": {"Identity": [{"SourceName": "day"}]}, "S3ErrorOutputPrefix": "t/"}],
        "SchemaEvolutionConfiguration": {"Enabled": True}, "TableCreationConfiguration": {"Enabled": True},
        "S3BackupMode": "FailedDataOnly", "S3Configuration": BACKUP, "CloudWatchLoggingOptions": LOGGING,
        "ProcessingConfiguration": processors(
            MetadataExtraction={"MetadataExtractionQuery": query, "JsonParsingEngine": "JQ-1.6"}),
    }


def send(operation, body):
    """A request as no SDK sends it; the status and the reply."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Firehose_20150804.{operation}"}
    request = AWSRequest("POST", ENDPOINT, data=body, headers=headers)
    SigV4Auth(Credentials("any", "any"), "firehose", "us-east-1").add_auth(request)
    request = urllib.request.Request(ENDPOINT, body, dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def describe(name):
    return firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]


def wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "that takes too long"
        time.sleep(0.05)


def named(name):
    return f"{name}-{RUN}"


def create(name, **members):
    """A delivery stream that is ACTIVE; its whole name."""
    name = named(name)
    arn = firehose.create_delivery_stream(DeliveryStreamName=name, **members)["DeliveryStreamARN"]
    assert arn.endswith(f":deliverystream/{name}") and ":firehose:" in arn, arn
    wait(lambda: describe(name)["DeliveryStreamStatus"] == "ACTIVE")
    return name


def is_gone(name):
    try:
        return describe(name)["DeliveryStreamStatus"] not in ("ACTIVE", "DELETING")
    except firehose.exceptions.ResourceNotFoundException:
        return True


def delete(name):
    firehose.delete_delivery_stream(DeliveryStreamName=name, AllowForceDelete=True)
    wait(lambda: is_gone(name))


def check_told(path, given, told):
    """What was given is told again, under its name in descriptions; secrets are not."""
    names = {"S3Configuration": "S3DestinationDescription", "S3BackupConfiguration": "S3BackupDescription",
             "VpcConfiguration": "VpcConfigurationDescription"}
    if isinstance(given, dict):
        for name, value in given.items():
            if name in SECRETS:
                assert name not in told, f"{path}.{name} is told"
            else:
                check_told(f"{path}.{name}", value, told.get(names.get(name, name)))
    elif isinstance(given, list):
        assert len(given) == len(told), f"{path}: {told}"
        for one, other in zip(given, told):
            check_told(path, one, other)
    else:
        assert given == told, f"{path}: {given} was given, {told} is told"


def unencrypted(given):
    """A configuration with no key for any bucket."""
    if not isinstance(given, dict):
        return given
    return {name: PLAIN if name == "EncryptionConfiguration" else unencrypted(inner) for name, inner in given.items()}


def destinations():
    """Each is told as it was given, and can be written back as it was read."""
    for kind, configuration in {
        "S3": BACKUP, "ExtendedS3": extended_s3(), "Redshift": redshift(),
        "Elasticsearch": search(**INDEXED), "Amazonopensearchservice": search(**INDEXED),
        "AmazonOpenSearchServerless": search(CollectionEndpoint="https://collection.invalid"),
        "Splunk": splunk(), "HttpEndpoint": http(), "Snowflake": snowflake(), "Iceberg": iceberg(),
    }.items():
        name = create(kind.lower(), **{f"{kind}DestinationConfiguration": configuration})
        described = describe(name)
        assert described["DeliveryStreamType"] == "DirectPut" and described["VersionId"] == "1", described
        told, = described["Destinations"]
        member = f"{kind}DestinationDescription"
        check_told(kind, configuration, told[member])
        names = {"S3DestinationDescription": "S3Configuration" if kind == "Iceberg" else "S3Update",
                 "S3BackupDescription": "S3BackupUpdate"}
        known = firehose.meta.service_model.shape_for(f"{kind}DestinationUpdate").members
        update = {names.get(member, member): value for member, value in told[member].items()}
        update = {member: value for member, value in update.items() if member in known}
        firehose.update_destination(DeliveryStreamName=name, CurrentDeliveryStreamVersionId="1", DestinationId=ID,
                                    **{f"{kind}DestinationUpdate": update})
        after = describe(name)
        assert after["Destinations"] == [told] and after["VersionId"] == "2", after
        assert after["LastUpdateTimestamp"] >= after["CreateTimestamp"], after
        delete(name)
        plain = unencrypted(configuration)
        name = create(f"plain-{kind.lower()}", **{f"{kind}DestinationConfiguration": plain})
        check_told(kind, plain, describe(name)["Destinations"][0][member])
        delete(name)
    for name, configuration in {"parquet": PARQUET, "orc": ORC}.items():
        name = create(name, ExtendedS3DestinationConfiguration=configuration)
        told = describe(name)["Destinations"][0]["ExtendedS3DestinationDescription"]
        check_told("columns", configuration, told)
        assert told["BufferingHints"] == {"SizeInMBs": 128, "IntervalInSeconds": 300}, told
        delete(name)


def secrets_elsewhere():
    without = lambda given: {name: value for name, value in given.items() if name not in SECRETS | {"Username"}}
    given = http()
    given["EndpointConfiguration"] = without(given["EndpointConfiguration"])
    for kind, configuration in {"Redshift": redshift(), "Splunk": splunk(), "Snowflake": snowflake(),
                                "HttpEndpoint": given}.items():
        configuration = without(configuration) | {"SecretsManagerConfiguration": SECRET}
        name = create(f"secret-{kind.lower()}", **{f"{kind}DestinationConfiguration": configuration})
        check_told(kind, configuration, describe(name)["Destinations"][0][f"{kind}DestinationDescription"])
        delete(name)


def defaults_and_updates():
    name = create("updates", ExtendedS3DestinationConfiguration=BUCKET)
    told = describe(name)["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert told == BUCKET | {
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300}, "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": PLAIN, "CloudWatchLoggingOptions": {"Enabled": False}, "S3BackupMode": "Disabled",
    }, told

    def update(version, **members):
        firehose.update_destination(DeliveryStreamName=name, CurrentDeliveryStreamVersionId=version,
                                    **{"DestinationId": ID} | members)

    prefix = {"Prefix": "a/"}
    refused("ConcurrentModificationException", update, version="7", ExtendedS3DestinationUpdate=prefix)
    refused("InvalidArgumentException", update, version="1", DestinationId="other", ExtendedS3DestinationUpdate=prefix)
    refused("InvalidArgumentException", update, version="1")
    refused("InvalidArgumentException", update, version="1", AmazonopensearchserviceDestinationUpdate={
        "RoleARN": ROLE, "IndexName": "x", "ClusterEndpoint": "https://search.invalid", "S3Update": BUCKET})
    refused("ValidationException", update, version="1", SplunkDestinationUpdate={"HECEndpointType": "Raw"})
    update("1", ExtendedS3DestinationUpdate=prefix)
    merged = describe(name)["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert merged == told | prefix, merged
    update("2", HttpEndpointDestinationUpdate={"EndpointConfiguration": {"Url": "https://collector.invalid"},
                                              "S3Update": BUCKET})
    destination, = describe(name)["Destinations"]
    assert set(destination) == {"DestinationId", "HttpEndpointDestinationDescription"}, destination
    page = firehose.describe_delivery_stream(DeliveryStreamName=name, Limit=1, ExclusiveStartDestinationId=ID)
    page = page["DeliveryStreamDescription"]
    assert page["Destinations"] == [] and page["HasMoreDestinations"] is False, page
    delete(name)


def sources():
    kinesis.create_stream(StreamName=named("source"), ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=named("source"))["StreamDescriptionSummary"]["StreamARN"]
    source = {"KinesisStreamARN": arn, "RoleARN": ROLE}
    name = create("from-stream", DeliveryStreamType="KinesisStreamAsSource", KinesisStreamSourceConfiguration=source,
                  ExtendedS3DestinationConfiguration=BUCKET)
    described = describe(name)
    assert described["DeliveryStreamType"] == "KinesisStreamAsSource", described
    told = described["Source"]["KinesisStreamSourceDescription"]
    assert told.pop("DeliveryStartTimestamp") and told == source, told
    put = {"DeliveryStreamName": name, "Record": {"Data": b"x"}}
    assert "KinesisStreamAsSource" in refused("InvalidArgumentException", firehose.put_record, **put)
    put = {"DeliveryStreamName": name, "Records": [{"Data": b"x"}]}
    refused("InvalidArgumentException", firehose.put_record_batch, **put)
    refused("InvalidArgumentException", firehose.start_delivery_stream_encryption, DeliveryStreamName=name)
    refused("InvalidArgumentException", firehose.stop_delivery_stream_encryption, DeliveryStreamName=name)
    direct = create("direct", DeliveryStreamType="DirectPut", ExtendedS3DestinationConfiguration=BUCKET,
                    DirectPutSourceConfiguration={"ThroughputHintInMBs": 3})
    assert describe(direct)["Source"] == {"DirectPutSourceDescription": {"ThroughputHintInMBs": 3}}

    def listed(**members):
        names, more = [], True
        while more:
            after = {"ExclusiveStartDeliveryStreamName": names[-1]} if names else {}
            page = firehose.list_delivery_streams(Limit=1, **members, **after)
            names += page["DeliveryStreamNames"]
            more = page["HasMoreDeliveryStreams"]
        return [name for name in names if name.endswith(RUN)]

    assert listed() == [direct, name] and listed(DeliveryStreamType="DirectPut") == [direct]
    assert listed(DeliveryStreamType="KinesisStreamAsSource") == [name]
    delete(name)
    delete(direct)
    kinesis.delete_stream(StreamName=named("source"))


def records_and_encryption():
    """The bucket is not there: records wait, and go with the delivery stream."""
    owned = {"KeyType": "AWS_OWNED_CMK"}
    # The master key of every key file, as a key of one's own.
    managed = {"KeyType": "CUSTOMER_MANAGED_CMK",
               "KeyARN": "arn:aws:kms:us-east-1:000000000000:key/alias/aws/kinesis"}
    nobody = managed | {"KeyARN": "arn:aws:kms:us-east-1:000000000000:key/nobody"}
    name = create("records", ExtendedS3DestinationConfiguration=BUCKET,
                  DeliveryStreamEncryptionConfigurationInput=owned)

    def put(**more):
        return firehose.put_record(**{"DeliveryStreamName": name, "Record": {"Data": b"x"}} | more)

    def put_batch(records):
        return firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": data} for data in records])

    def start(**given):
        firehose.start_delivery_stream_encryption(
            DeliveryStreamName=name, **{"DeliveryStreamEncryptionConfigurationInput": given} if given else {})

    assert put()["RecordId"] and put()["Encrypted"] is True
    batch = put_batch([b"", b"y" * 1_024_000, b"z"])
    assert batch["FailedPutCount"] == 0 and batch["Encrypted"] is True, batch
    assert len({response["RecordId"] for response in batch["RequestResponses"]}) == 3, batch
    refused("ValidationException", put, Record={"Data": b"x" * 1_024_001})
    refused("ValidationException", put_batch, records=[b""] * 501)
    refused("InvalidArgumentException", put_batch, records=[b"x" * 1_024_000] * 5)

    def encryption():
        return describe(name)["DeliveryStreamEncryptionConfiguration"]

    assert encryption() == owned | {"Status": "ENABLED"}
    start(**managed)
    assert encryption() == managed | {"Status": "ENABLED"}
    refused("InvalidKMSResourceException", start, **nobody)
    refused("InvalidArgumentException", start, KeyType="CUSTOMER_MANAGED_CMK")
    refused("InvalidKMSResourceException", firehose.create_delivery_stream, DeliveryStreamName=named("no-key"),
            ExtendedS3DestinationConfiguration=BUCKET, DeliveryStreamEncryptionConfigurationInput=nobody)
    firehose.stop_delivery_stream_encryption(DeliveryStreamName=name)
    assert encryption() == {"Status": "DISABLED"} and put()["Encrypted"] is False
    start()
    assert encryption() == owned | {"Status": "ENABLED"}
    delete(name)


def tags():
    first = [{"Key": f"k{n:02}", "Value": "v"} for n in range(2)]
    name = create("tags", ExtendedS3DestinationConfiguration=BUCKET, Tags=first)

    def tag(*keys):
        firehose.tag_delivery_stream(DeliveryStreamName=name, Tags=[{"Key": key, "Value": "new"} for key in keys])

    def listed(**members):
        return firehose.list_tags_for_delivery_stream(DeliveryStreamName=name, **members)

    tag("k01", "k02")
    page = listed(Limit=2)
    assert page["HasMoreTags"] and page["Tags"] == [first[0], {"Key": "k01", "Value": "new"}], page
    page = listed(ExclusiveStartTagKey="k01")
    assert not page["HasMoreTags"] and [one["Key"] for one in page["Tags"]] == ["k02"], page
    refused("InvalidArgumentException", firehose.tag_delivery_stream, DeliveryStreamName=name,
            Tags=[{"Key": "k"}, {"Key": "k"}])
    tag(*(f"k{n:02}" for n in range(3, 50)))
    refused("LimitExceededException", firehose.tag_delivery_stream, DeliveryStreamName=name, Tags=[{"Key": "k50"}])
    refused("ValidationException", firehose.tag_delivery_stream, DeliveryStreamName=name, Tags=[{"Key": "aws:x"}])
    firehose.untag_delivery_stream(DeliveryStreamName=name, TagKeys=[f"k{n:02}" for n in range(49)])
    assert [one["Key"] for one in listed()["Tags"]] == ["k49"]
    delete(name)


def refusals():
    name = create("twice", ExtendedS3DestinationConfiguration=BUCKET)
    new = {"DeliveryStreamName": named("refused")}
    refused("ResourceInUseException", firehose.create_delivery_stream, DeliveryStreamName=name,
            ExtendedS3DestinationConfiguration=BUCKET)
    delete(name)
    refused("InvalidArgumentException", firehose.create_delivery_stream, **new)
    refused("InvalidArgumentException", firehose.create_delivery_stream, **new, S3DestinationConfiguration=BUCKET,
            ExtendedS3DestinationConfiguration=BUCKET)
    refused("InvalidArgumentException", firehose.create_delivery_stream, **new, DeliveryStreamType="MSKAsSource",
            ExtendedS3DestinationConfiguration=BUCKET)
    refused("InvalidArgumentException", firehose.create_delivery_stream, **new,
            ExtendedS3DestinationConfiguration=BUCKET | {"Prefix": "!{timestamp:yyyy}/"})
    message = refused("ValidationException", firehose.create_delivery_stream, **new,
                      ExtendedS3DestinationConfiguration=BUCKET | {"BucketARN": "firehose-clients"})
    assert "at 'extendedS3DestinationConfiguration.bucketARN' failed to satisfy constraint" in message, message
    nobody = {"DeliveryStreamName": named("nobody")}
    for call, members in {
        firehose.delete_delivery_stream: {}, firehose.describe_delivery_stream: {},
        firehose.list_tags_for_delivery_stream: {}, firehose.start_delivery_stream_encryption: {},
        firehose.stop_delivery_stream_encryption: {},
        firehose.tag_delivery_stream: {"Tags": [{"Key": "k"}]}, firehose.untag_delivery_stream: {"TagKeys": ["k"]},
        firehose.put_record: {"Record": {"Data": b""}}, firehose.put_record_batch: {"Records": [{"Data": b""}]},
        firehose.update_destination: {"CurrentDeliveryStreamVersionId": "1", "DestinationId": ID,
                                      "ExtendedS3DestinationUpdate": {"Prefix": "a/"}},
    }.items():
        refused("ResourceNotFoundException", call, **nobody, **members)
    assert send("DescribeFirehose", b"{}")[0] == 400
    status, reply = send("PutRecord", b'["x"]')
    assert status == 400 and b"SerializationException" in reply, reply


def main():
    destinations()
    secrets_elsewhere()
    defaults_and_updates()
    sources()
    records_and_encryption()
    tags()
    refusals()
    print("boto3: all of Firehose done")


if __name__ == "__main__":
    main()
