#!/usr/bin/env python3
"""How late subscribers are, and what many shards cost: measured on target/release/leat.

    cargo build --release -p dataplane && e2e/setup.sh && e2e/.venv/bin/python dataplane/bench/scale.py

- from PutRecord's reply to the receipt by SubscribeToShard, one record at a time on an idle machine;
- 1,000 shards in one process: time to start, memory and processor time while idle.
"""

import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import boto3
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "target/scale"
PUTS, PAUSE = 1_000, 0.02
SHARDS = 1_000


class Leat:
    """A server process, until the end of a with block."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [ROOT / "target/release/leat", "standalone", "--data-dir", DATA, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"serving .* on (http\S+) after (\d+) ms", line):
                self.endpoint, self.started_ms = found[1], int(found[2])
                break
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def client(self):
        return boto3.client("kinesis", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="any",
                            aws_secret_access_key="any", config=Config(read_timeout=120))

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def receive(kinesis, consumer, receipts):
    """When each record came, by its number."""
    reply = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId="shardId-000000000000",
                                       StartingPosition={"Type": "TRIM_HORIZON"})
    for event in reply["EventStream"]:
        now = time.monotonic()
        for record in event["SubscribeToShardEvent"]["Records"]:
            receipts.put((int(record["Data"]), now))
            if int(record["Data"]) == PUTS - 1:
                return


def subscriber_latency():
    shutil.rmtree(DATA, ignore_errors=True)
    with Leat() as leat:
        kinesis = leat.client()
        kinesis.create_stream(StreamName="s", ShardCount=1)
        arn = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]["StreamARN"]
        consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
        receipts = multiprocessing.Queue()
        receiver = multiprocessing.Process(target=receive, args=(leat.client(), consumer, receipts))
        receiver.start()
        time.sleep(1)
        replied = []
        for number in range(PUTS):
            kinesis.put_record(StreamName="s", PartitionKey="k", Data=str(number).encode())
            replied.append(time.monotonic())
            time.sleep(PAUSE)
        late = sorted(1_000 * max(0, at - replied[number]) for number, at in (receipts.get() for _ in range(PUTS)))
        receiver.join()
        print(f"subscriber behind PutRecord's reply, of {PUTS}: p50 {late[PUTS // 2]:.2f} ms, "
              f"p99 {late[PUTS * 99 // 100]:.2f} ms, worst {late[-1]:.2f} ms (a boto3 process)")


def many_shards():
    shutil.rmtree(DATA, ignore_errors=True)
    with Leat() as leat:
        kinesis = leat.client()
        started = time.monotonic()
        kinesis.create_stream(StreamName="many", ShardCount=SHARDS)
        kinesis.get_waiter("stream_exists").wait(StreamName="many", WaiterConfig={"Delay": 1})
        print(f"{SHARDS} shards made in {time.monotonic() - started:.1f} s")
        for start in range(0, 5 * SHARDS, 500):
            kinesis.put_records(StreamName="many", Records=[
                {"Data": b"x" * 1024, "PartitionKey": str(n)} for n in range(start, start + 500)])
        time.sleep(10)
        print(f"with records in them: {leat.resident_mib():.0f} MiB resident")
    for _ in range(3):
        with Leat() as leat:
            time.sleep(8)
            before = leat.processor_seconds()
            time.sleep(20)
            used = (leat.processor_seconds() - before) / 20
            print(f"started in {leat.started_ms} ms; idle: {leat.resident_mib():.0f} MiB resident, "
                  f"{100 * used:.2f} % of a processor")
    shutil.rmtree(DATA)


subscriber_latency()
many_shards()
