"""Describes the columns of the flights in a catalog.

    describe_flights.py glue ENDPOINT DATABASE.TABLE [COLUMN...]
    describe_flights.py iceberg ENDPOINT DATABASE.TABLE
    describe_flights.py guard-glue ENDPOINT
    describe_flights.py convert DELIVERY_STREAM DATABASE.TABLE VERSION

In AWS Glue (moto's) a table is made, or gets a new version, which is printed; of all columns, or of these. With
guard-glue it checks signatures and rights from now on: the access key that is printed, ID:SECRET, may read tables and
do nothing else. With convert, Data Firehose's API makes a delivery stream to s3://lake/flights/ by a version of a table.
"""

import json
import sys
import urllib.request

import boto3

NUMBERS = ("number year month day dep_time sched_dep_time arr_time sched_arr_time flight distance hour minute dep_delay "
           "arr_delay air_time again").split()
TEXTS = "carrier tailnum origin dest".split()
GLUE_TYPES = ({name: "int" for name in NUMBERS} | {name: "string" for name in TEXTS}
              | {"distance": "decimal(6,0)", "carrier": "varchar(2)", "time_hour": "timestamp"})


def glue(endpoint, name, *columns):
    client = boto3.client("glue", endpoint_url=endpoint, region_name="us-east-1")
    database, table = name.split(".")
    columns = [{"Name": column, "Type": GLUE_TYPES[column]} for column in columns or GLUE_TYPES]
    described = {"Name": table, "StorageDescriptor": {"Columns": columns, "Location": "s3://lake/flights/"},
                 "PartitionKeys": [{"Name": "day_of_delivery", "Type": "date"}]}
    try:
        client.get_table(DatabaseName=database, Name=table)
    except client.exceptions.EntityNotFoundException:
        client.create_database(DatabaseInput={"Name": database})
        client.create_table(DatabaseName=database, TableInput=described)
    else:
        client.update_table(DatabaseName=database, TableInput=described)
    print(client.get_table(DatabaseName=database, Name=table)["Table"]["VersionId"])


def guard_glue(endpoint):
    client = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1")
    client.create_user(UserName="leat")
    statement = {"Effect": "Allow", "Action": ["glue:GetTable", "glue:GetTableVersion"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_user_policy(UserName="leat", PolicyName="read", PolicyDocument=policy)
    key = client.create_access_key(UserName="leat")["AccessKey"]
    reset = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", {"content-type": "text/plain"})
    urllib.request.urlopen(reset).close()
    print(f"{key['AccessKeyId']}:{key['SecretAccessKey']}")


def iceberg(endpoint, name):
    from pyiceberg.catalog import load_catalog
    from pyiceberg.schema import Schema
    from pyiceberg.types import IntegerType, NestedField, StringType, TimestamptzType
    types = ({name: IntegerType() for name in NUMBERS} | {name: StringType() for name in TEXTS}
             | {"time_hour": TimestamptzType()})
    fields = [NestedField(at, name, kind, required=name == "number") for at, (name, kind) in enumerate(types.items(), 1)]
    catalog = load_catalog("rest", type="rest", uri=endpoint)
    catalog.create_namespace_if_not_exists(name.split(".")[0])
    catalog.create_table(name, Schema(*fields))


def convert(stream, name, version):
    client, role = boto3.client("firehose"), "arn:aws:iam::000000000000:role/firehose"
    database, table = name.split(".")
    schema = {"RoleARN": role, "DatabaseName": database, "TableName": table, "VersionId": version}
    client.create_delivery_stream(DeliveryStreamName=stream, ExtendedS3DestinationConfiguration={
        "RoleARN": role, "BucketARN": "arn:aws:s3:::lake", "Prefix": "flights/", "ErrorOutputPrefix": "errors/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 5},
        "DataFormatConversionConfiguration": {
            "SchemaConfiguration": schema,
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}}}})


{"glue": glue, "guard-glue": guard_glue, "iceberg": iceberg, "convert": convert}[sys.argv[1]](*sys.argv[2:])
