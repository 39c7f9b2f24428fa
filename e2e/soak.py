#!/usr/bin/env python3
"""A soak: soak.py SECONDS [LEAT]. Writers, subscribers, resharding, a throttled stream, and clients that hang up
in the middle of a body and in the middle of a stream, all at once.

At the end memory has to be flat, and every acknowledged record has to be there exactly once, read by GetRecords
and received by the subscriber. Prints figures; traffic stays on loopback and stops by itself.
"""

import collections
import json
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EventStreamError, HTTPClientError

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = int(sys.argv[1])
LEAT = sys.argv[2] if len(sys.argv) > 2 else ROOT / "target/release/leat"
WRITERS, RECORDS, RESHARD_EVERY = 2, 100, max(5, SECONDS // 20)
THROTTLED = """apiVersion: leat.dev/v1alpha1
kind: Stream
metadata: {name: slow}
spec: {shardCount: 1, limits: AWS}
"""

stop = threading.Event()
counts = collections.Counter()
acknowledged = {"main": set(), "slow": set()}
received = collections.Counter()
problems = []


def client():
    return boto3.client("kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="any",
                        aws_secret_access_key="any", config=Config(retries={"max_attempts": 0}, read_timeout=60))


def guarded(work):
    """A thread that tells when it breaks."""
    def run(*args):
        try:
            work(*args)
        except Exception as error:
            problems.append(f"{work.__name__}: {type(error).__name__}: {error}")
            stop.set()
    return run


@guarded
def write(stream, writer, pause):
    kinesis, number = client(), 0
    while not stop.is_set():
        ids = [f"{writer}-{number + n}" for n in range(RECORDS)]
        number += RECORDS
        reply = kinesis.put_records(StreamName=stream, Records=[
            {"Data": text.encode() + b" " * 300, "PartitionKey": f"key-{random.randrange(200)}"} for text in ids])
        for text, record in zip(ids, reply["Records"]):
            if "SequenceNumber" in record:
                acknowledged[stream].add(text)
            else:
                counts[record["ErrorCode"]] += 1
                assert record["ErrorCode"] == "ProvisionedThroughputExceededException", record
        time.sleep(pause)


@guarded
def reshard():
    kinesis = client()
    while not stop.wait(RESHARD_EVERY):
        count = random.choice([2, 3, 4, 5, 6])
        try:
            kinesis.update_shard_count(StreamName="main", TargetShardCount=count, ScalingType="UNIFORM_SCALING")
            counts["reshards"] += 1
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceInUseException", error


@guarded
def follow(consumer, shard, position):
    """Everything from one shard on, and from its children when both parents have ended."""
    kinesis = client()
    while True:
        try:
            reply = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
            for event in reply["EventStream"]:
                event = event["SubscribeToShardEvent"]
                counts["events"] += 1
                for record in event["Records"]:
                    received[record["Data"].split()[0].decode()] += 1
                if "ContinuationSequenceNumber" not in event:
                    reply["EventStream"].close()
                    for child in event["ChildShards"]:
                        start_following(consumer, child["ShardId"], shard, len(child["ParentShards"]))
                    return
                position = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": event["ContinuationSequenceNumber"]}
                if done.is_set():
                    reply["EventStream"].close()
                    return
        except (ClientError, EventStreamError, HTTPClientError) as error:
            counts[f"resubscribed after {type(error).__name__}"] += 1
            time.sleep(1)


ended, followed, follow_lock = collections.defaultdict(set), set(), threading.Lock()
done = threading.Event()


def start_following(consumer, shard, parent, parents):
    with follow_lock:
        ended[shard].add(parent)
        if len(ended[shard]) < parents or shard in followed:
            return
        followed.add(shard)
    threading.Thread(target=follow, args=(consumer, shard, {"Type": "TRIM_HORIZON"}), daemon=True).start()


def signed(operation, body):
    """Head and body of a request as they go over the socket."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Kinesis_20131202.{operation}"}
    request = AWSRequest("POST", endpoint, data=body, headers=headers)
    SigV4Auth(Credentials("any", "any"), "kinesis", "us-east-1").add_auth(request)
    address = endpoint.removeprefix("http://")
    head = f"POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"
    return (head + "".join(f"{k}: {v}\r\n" for k, v in request.headers.items()) + "\r\n").encode(), body


def connect():
    host, port = endpoint.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@guarded
def hang_up_in_bodies():
    while not stop.wait(0.05):
        head, body = signed("PutRecord", json.dumps({"StreamName": "main", "PartitionKey": "k",
                                                     "Data": "A" * 400_000}).encode())
        with connect() as connection:
            connection.sendall(head + body[:random.randrange(len(body))])
            counts["bodies cut"] += 1


@guarded
def hang_up_in_streams(arn):
    kinesis = client()
    consumers = [kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"rude-{n}")["Consumer"]["ConsumerARN"]
                 for n in range(50)]
    while not stop.wait(0.1):
        shards = kinesis.list_shards(StreamName="main", ShardFilter={"Type": "AT_LATEST"})["Shards"]
        head, body = signed("SubscribeToShard", json.dumps({
            "ConsumerARN": random.choice(consumers), "ShardId": random.choice(shards)["ShardId"],
            "StartingPosition": {"Type": "TRIM_HORIZON"}}).encode())
        with connect() as connection:
            connection.sendall(head + body)
            connection.recv(random.choice([1, 1_000, 100_000]))
            counts["streams cut"] += 1


def resident_mib():
    status = pathlib.Path(f"/proc/{leat.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def read_all(stream):
    """Every record, by GetRecords, and how often it is there."""
    kinesis, found = client(), collections.Counter()
    pages = kinesis.list_shards(StreamName=stream)
    shards = pages["Shards"]
    while "NextToken" in pages:
        pages = kinesis.list_shards(NextToken=pages["NextToken"])
        shards += pages["Shards"]
    for shard in shards:
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"],
                                              ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            try:
                reply = kinesis.get_records(ShardIterator=iterator)
            except kinesis.exceptions.ProvisionedThroughputExceededException:
                time.sleep(0.3)
                continue
            found.update(record["Data"].split()[0].decode() for record in reply["Records"])
            at_tip = not reply["Records"] and reply["MillisBehindLatest"] == 0
            iterator = None if at_tip else reply.get("NextShardIterator")
    return found


def main():
    kinesis = client()
    kinesis.create_stream(StreamName="main", ShardCount=4)
    arn = kinesis.describe_stream_summary(StreamName="main")["StreamDescriptionSummary"]["StreamARN"]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="good")["Consumer"]["ConsumerARN"]
    for shard in kinesis.list_shards(StreamName="main")["Shards"]:
        start_following(consumer, shard["ShardId"], None, 1)
    threads = [threading.Thread(target=write, args=("main", f"w{n}", 0.05)) for n in range(WRITERS)]
    threads += [threading.Thread(target=write, args=("slow", "t", 0.02)), threading.Thread(target=reshard),
                threading.Thread(target=hang_up_in_bodies), threading.Thread(target=hang_up_in_streams, args=(arn,))]
    for thread in threads:
        thread.start()
    memory, started = [], time.monotonic()
    while time.monotonic() - started < SECONDS and not stop.is_set():
        stop.wait(1)
        memory.append(resident_mib())
        if len(memory) % 30 == 0:
            print(f"{len(memory):>5} s  {memory[-1]:.0f} MiB  {len(acknowledged['main'])} acknowledged, "
                  f"{sum(received.values())} received, {dict(counts)}", flush=True)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not problems, list(problems)

    deadline = time.monotonic() + 60
    while not acknowledged["main"] <= received.keys() and time.monotonic() < deadline:
        time.sleep(0.5)
    done.set()
    for stream, wanted in acknowledged.items():
        found = read_all(stream)
        missing, repeated = wanted - found.keys(), [text for text in wanted if found[text] > 1]
        assert not missing and not repeated, (stream, len(missing), len(repeated))
        print(f"{stream}: {len(wanted)} acknowledged, all read back once, {sum(found.values())} there in all")
    unseen = acknowledged["main"] - received.keys()
    assert not unseen, f"the subscriber missed {len(unseen)}"
    again = sum(count - 1 for count in received.values())
    assert counts["ProvisionedThroughputExceededException"] and counts["reshards"], counts
    quarter = len(memory) // 4
    early, late = (statistics.median(part) for part in (memory[quarter:2 * quarter], memory[-quarter:]))
    print(f"subscriber: all received, {again} of them again")
    print(f"resident: {early:.0f} MiB in the second quarter, {late:.0f} MiB in the last, {max(memory):.0f} MiB at most")
    assert late < early * 1.2 + 16, "memory grows"
    print(f"ok: soak of {SECONDS} s, {dict(counts)}")


with tempfile.TemporaryDirectory(dir=ROOT / "target") as directory:
    manifest = pathlib.Path(directory) / "slow.yaml"
    manifest.write_text(THROTTLED)
    leat = subprocess.Popen([LEAT, "standalone", "--data-dir", f"{directory}/data", "--listen", "127.0.0.1:0",
                             "-f", manifest], stderr=subprocess.PIPE, text=True)
    try:
        for line in leat.stderr:
            if found := re.search(r"serving .* on (http\S+) after", line):
                endpoint = found[1]
                break
        log = []
        threading.Thread(target=lambda: log.extend(leat.stderr), daemon=True).start()
        try:
            main()
        except BaseException:
            print(f"leat: exit status {leat.poll()}, it said at last:", *log[-20:], file=sys.stderr)
            raise
        errors = [line for line in log if " ERROR " in line]
        assert not errors, errors[:5]
    finally:
        leat.send_signal(signal.SIGTERM)
        leat.wait(60)
