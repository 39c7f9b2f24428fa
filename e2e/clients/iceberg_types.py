"""Puts records into a delivery stream whose table has a column of each type of Iceberg, parted by transforms of some,
and has pyiceberg read them back.

    iceberg_types.py DELIVERY_STREAM CATALOG TABLE
"""

import base64
import datetime
import decimal
import json
import os
import sys
import time
import uuid

import boto3
from pyiceberg.catalog import load_catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import parse_transform
from pyiceberg.types import (BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType,
                             IntegerType, ListType, LongType, MapType, NestedField, StringType, StructType,
                             TimestampType, TimestamptzType, TimeType, UUIDType)

UTC = datetime.timezone.utc
ID = uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7")
# Each column: its type, how the record has a value of it, and what is read.
COLUMNS = [
    ("id", IntegerType(), 1, 1),
    ("a_boolean", BooleanType(), "TRUE", True),
    ("a_long", LongType(), -(2**63), -(2**63)),
    ("a_float", FloatType(), 1.5, 1.5),
    ("a_double", DoubleType(), "-2.25", -2.25),
    ("small", DecimalType(9, 2), "-12.345", decimal.Decimal("-12.35")),
    ("middle", DecimalType(18, 0), 999_999_999_999_999_999, decimal.Decimal(999_999_999_999_999_999)),
    ("large", DecimalType(38, 10), "-1234567890123456789012345678.9", decimal.Decimal("-1234567890123456789012345678.9")),
    ("a_date", DateType(), "1969-12-31", datetime.date(1969, 12, 31)),
    ("a_time", TimeType(), "22:31:08.000001", datetime.time(22, 31, 8, 1)),
    ("a_timestamp", TimestampType(), "2017-11-16T22:31:08.5", datetime.datetime(2017, 11, 16, 22, 31, 8, 500_000)),
    ("a_timestamptz", TimestamptzType(), "1969-12-31T22:31:08-01:30", datetime.datetime(1970, 1, 1, 0, 1, 8, tzinfo=UTC)),
    ("a_string", StringType(), "größe 🧊", "größe 🧊"),
    ("a_uuid", UUIDType(), str(ID), ID),
    ("a_fixed", FixedType(3), base64.b64encode(b"\x00\xff\x01").decode(), b"\x00\xff\x01"),
    ("a_binary", BinaryType(), base64.b64encode(b"\xfe\x00").decode(), b"\xfe\x00"),
    ("a_struct", StructType(NestedField(101, "x", LongType(), required=True),
                            NestedField(102, "y", StringType(), required=False)), {"x": 7}, {"x": 7, "y": None}),
    ("a_list", ListType(103, DecimalType(4, 1), element_required=True), [1, "2.5"],
     [decimal.Decimal("1.0"), decimal.Decimal("2.5")]),
    ("a_map", MapType(104, StringType(), 105, ListType(106, IntegerType(), element_required=False), value_required=False),
     {"k": [1, None], "l": None}, [("k", [1, None]), ("l", None)]),
]
PARTS = ["identity:small", "bucket[8]:a_uuid", "truncate[3]:a_string", "day:a_timestamptz", "hour:a_timestamp",
         "month:a_date", "identity:a_date", "identity:a_boolean", "identity:a_fixed", "bucket[3]:large"]


def main(stream, endpoint, name):
    catalog = load_catalog("rest", type="rest", uri=endpoint, **{
        "s3.endpoint": os.environ["AWS_ENDPOINT_URL_S3"], "s3.access-key-id": "leatkey",
        "s3.secret-access-key": "leatsecret", "s3.region": "us-east-1"})
    names = [name for name, *_ in COLUMNS]
    fields = [NestedField(at, name, type_, required=name == "id") for at, (name, type_, *_) in enumerate(COLUMNS, 1)]
    parts = []
    for at, part in enumerate(PARTS, 1000):
        transform, column = part.split(":")
        parts.append(PartitionField(names.index(column) + 1, at, parse_transform(transform), f"{column}-{at}"))
    catalog.create_namespace(name.split(".")[0])
    table = catalog.create_table(name, Schema(*fields), partition_spec=PartitionSpec(*parts))

    full = {name: said for name, _, said, _ in COLUMNS}
    records = [full, {"ID": 2, "unknown": [{}]}, {"id": None}, full | {"id": 3, "a_struct": {"y": "no x"}},
               full | {"id": 4, "a_list": [None]}, full | {"id": 5, "a_fixed": "AA=="}]
    client = boto3.client("firehose")
    data = [{"Data": json.dumps(record).encode()} for record in records]
    assert client.put_record_batch(DeliveryStreamName=stream, Records=data)["FailedPutCount"] == 0
    deadline = time.monotonic() + 120
    while not (snapshot := table.refresh().current_snapshot()):
        assert time.monotonic() < deadline, "nothing is delivered"
        time.sleep(0.2)
    assert snapshot.summary["leat.delivery-stream"] == stream, snapshot.summary
    assert snapshot.summary["added-records"] == "2", snapshot.summary["added-records"]
    rows = sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["id"])
    wanted = [{name: read for name, *_, read in COLUMNS}, {name: 2 if name == "id" else None for name in names}]
    for row, want in zip(rows, wanted, strict=True):
        for name in names:
            assert row[name] == want[name], f"{name}: {row[name]!r}, wanted {want[name]!r}"
    # Found by their partitions, and by the bounds of columns.
    for where in ["small = -12.35", "a_string = 'größe 🧊'", f"a_uuid = '{ID}'", "a_date < '1970-01-01'",
                  "a_timestamptz >= '1970-01-01T00:00:00+00:00'", "a_timestamp > '2017-11-16T22:00:00'",
                  "a_boolean = true", "a_double < 0", "a_long < 0 and middle > 1", "large < 0"]:
        found = [row["id"] for row in table.scan(row_filter=where).to_arrow().to_pylist()]
        assert found == [1], f"{where} finds {found}"
    assert [row["id"] for row in table.scan(row_filter="a_date is null").to_arrow().to_pylist()] == [2]
    print("ok: every type came back as it was put")


main(*sys.argv[1:])
