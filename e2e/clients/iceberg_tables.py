"""Tables of Apache Iceberg: made by pyiceberg, put into by boto3, and read by Iceberg's own Java library, for pyiceberg
does not read tables with equality deletes."""

import json
import os
import shlex
import subprocess
import time

import boto3
import botocore.exceptions
from botocore.config import Config
from pyiceberg.catalog import load_catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import parse_transform
from pyiceberg.types import NestedField

# Records of a call.
CALL = 500
DELIVERED_MAX = 300


def catalog(endpoint):
    return load_catalog("rest", type="rest", uri=endpoint, **{
        "s3.endpoint": os.environ["AWS_ENDPOINT_URL_S3"], "s3.access-key-id": "leatkey",
        "s3.secret-access-key": "leatsecret", "s3.region": "us-east-1"})


def create(endpoint, name, columns, partitions=()):
    """Columns are names with types; partitions as in carrier and bucket[4]:tailnum."""
    names = list(columns)
    fields = [NestedField(at, column, type_, required=False) for at, (column, type_) in enumerate(columns.items(), 1)]
    parts = []
    for at, partition in enumerate(partitions, 1000):
        transform, _, column = partition.rpartition(":")
        parts.append(PartitionField(names.index(column) + 1, at, parse_transform(transform or "identity"), f"part_{at}"))
    tables = catalog(endpoint)
    tables.create_namespace_if_not_exists(name.split(".")[0])
    tables.create_table(name, Schema(*fields), partition_spec=PartitionSpec(*parts))


def read(endpoint, name):
    """The rows, as Iceberg's own reader gives them; what is null is not there."""
    command = [*shlex.split(os.environ["ICEBERG_READER"]), endpoint, os.environ["AWS_ENDPOINT_URL_S3"], name]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def put(stream, records):
    """One call after the other, each again as a whole until all of it is taken: what comes later is put later."""
    client = boto3.client("firehose", config=Config(retries={"total_max_attempts": 1}))
    again = 0
    for start in range(0, len(records), CALL):
        batch = [{"Data": json.dumps(record).encode()} for record in records[start:start + CALL]]
        while True:
            try:
                if client.put_record_batch(DeliveryStreamName=stream, Records=batch)["FailedPutCount"] == 0:
                    break
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                pass
            again += 1
            time.sleep(0.05)
        time.sleep(float(os.environ.get("SECONDS_BETWEEN_PUTS", 0)))
    return again


def compare(endpoint, name, wanted, key):
    """Waits until the table is what is wanted, and looks once more when it is settled: rows by their keys, once each."""
    deadline = time.monotonic() + DELIVERED_MAX
    while True:
        rows = read(endpoint, name)
        if {row[key]: row for row in rows} == wanted or deadline < time.monotonic():
            break
        time.sleep(1)
    time.sleep(float(os.environ.get("SECONDS_TO_SETTLE", 2)))
    rows = read(endpoint, name)
    found = {row[key]: row for row in rows}
    missing, more = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    different = [number for number in wanted.keys() & found.keys() if wanted[number] != found[number]]
    print(f"{name}: {len(rows):,} rows of {len(wanted):,}; missing {len(missing):,}, repeated {len(rows) - len(found):,}, "
          f"not taken out {len(more):,}, different {len(different):,}", flush=True)
    for number in different[:1]:
        print(f"for one: {found[number]}, wanted {wanted[number]}")
    assert len(rows) == len(found) and not missing and not more and not different, "the table is not what is wanted"
