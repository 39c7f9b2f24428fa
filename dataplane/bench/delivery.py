#!/usr/bin/env python3
"""What delivering costs: measured on target/release/leat, with a real S3 server (SeaweedFS).

    cargo build --release -p dataplane && e2e/setup.sh && e2e/.venv/bin/python dataplane/bench/delivery.py

- JSON of a stream into Parquet with Snappy in S3: MB of JSON for each second of a processor, beside DuckDB converting
  the same lines from one file to another, with one thread, the same columns and the same compression;
- how late an object is, from PutRecord's reply to its being listed, with a buffer of one second;
- memory with 500 partitions being filled at once.
"""

import io
import json
import os
import pathlib
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import time

import boto3
import pyarrow.parquet

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "target/delivery"
KEYS = {"AWS_ACCESS_KEY_ID": "leatkey", "AWS_SECRET_ACCESS_KEY": "leatsecret", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1"}
RECORDS, BATCH = 1_000_000, 500
PUTS, PAUSE = 400, 0.05
PARTITIONS = 500
COLUMNS = {"id": "bigint", "customer": "string", "page": "string", "amount": "double", "quantity": "int", "at": "string",
           "agent": "string", "tags": "array<string>", "paid": "boolean"}
STREAM = """
apiVersion: leat.dev/v1alpha1
kind: DeliveryStream
metadata: {{name: {name}}}
spec:
  {spec}
  destination: {{s3: {{bucket: lake, prefix: '{prefix}', errorOutputPrefix: errors/}}}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_s3():
    """SeaweedFS, and a client of it."""
    ports = {name: free_port() for name in ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port",
                                            "volume.port.grpc", "filer.port", "filer.port.grpc")}
    (DATA / "s3").mkdir(parents=True)
    identity = {"name": "admin", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}]}
    (DATA / "s3.json").write_text(json.dumps({"identities": [identity]}))
    process = subprocess.Popen(
        [ROOT / "e2e/.venv/bin/weed", "server", f"-dir={DATA}/s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3",
         "-volume.max=20", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
         f"-s3.config={DATA}/s3.json", *(f"-{name}={port}" for name, port in ports.items())],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    client = boto3.client("s3", endpoint_url=endpoint)
    for _ in range(240):
        try:
            client.create_bucket(Bucket="lake")
            client.put_object(Bucket="lake", Key="ready", Body=b"")
            return process, endpoint, client
        except Exception:
            time.sleep(0.5)
    sys.exit("SeaweedFS does not start")


class Leat:
    """A server process, until the end of a with block."""

    def __init__(self, s3, manifests):
        self.s3, self.file = s3, DATA / "resources.yaml"
        self.file.write_text("---".join(manifests))

    def __enter__(self):
        self.process = subprocess.Popen(
            [ROOT / "target/release/leat", "standalone", "--data-dir", DATA / "leat", "--listen", "127.0.0.1:0",
             "-f", self.file], stderr=subprocess.PIPE, text=True, env=os.environ | {"AWS_ENDPOINT_URL_S3": self.s3})
        for line in self.process.stderr:
            if found := re.search(r"serving .* on (http\S+) after", line):
                self.endpoint = found[1]
                break
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self, which="VmRSS"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{which}:\s+(\d+)", status)[1]) / 1024


def lines():
    chance = random.Random(1)
    for number in range(RECORDS):
        yield json.dumps({
            "id": number, "customer": f"c{chance.randrange(5_000)}", "page": f"/item/{chance.randrange(20_000)}",
            "amount": round(chance.random() * 100, 2), "quantity": chance.randrange(1, 9),
            "at": f"2026-11-27T0{number % 10}:00:00Z", "agent": chance.choice(("firefox", "chrome", "safari")) * 4,
            "tags": [f"t{chance.randrange(40)}" for _ in range(3)], "paid": chance.random() < 0.5}) + "\n"


def listed(client, prefix):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix)
    return [entry for page in pages for entry in page.get("Contents", [])]


def columns_of_duckdb():
    kinds = {"string": "VARCHAR", "array<string>": "VARCHAR[]"}
    return {name: kinds.get(kind, kind.upper()) for name, kind in COLUMNS.items()}


def convert(endpoint, client):
    file = DATA / "lines.json"
    with open(file, "w", encoding="utf-8") as out:
        out.writelines(lines())
    megabytes = file.stat().st_size / 1e6

    columns = ", ".join(f"{{name: {name}, type: '{kind}'}}" for name, kind in COLUMNS.items())
    spec = f"""source: {{stream: {{name: lines, startingPosition: TRIM_HORIZON}}}}
  buffering: {{sizeMiB: 64, intervalSeconds: 15}}
  formatConversion: {{schema: {{columns: [{columns}]}}}}"""
    stream = "\napiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata: {name: lines}\nspec: {shardCount: 1}\n"
    with Leat(endpoint, [stream]) as leat:
        kinesis = boto3.client("kinesis", endpoint_url=leat.endpoint)
        batch = []
        for line in lines():
            batch.append({"Data": line.encode(), "PartitionKey": "k"})
            if len(batch) == BATCH:
                assert kinesis.put_records(StreamName="lines", Records=batch)["FailedRecordCount"] == 0
                batch = []
    delivery = STREAM.format(name="parquet", spec=spec, prefix="parquet/")
    with Leat(endpoint, [stream, delivery]) as leat:
        rows, seen = 0, set()
        while rows < RECORDS:
            time.sleep(1)
            for key in {entry["Key"] for entry in listed(client, "parquet/")} - seen:
                body = client.get_object(Bucket="lake", Key=key)["Body"].read()
                rows += pyarrow.parquet.read_metadata(io.BytesIO(body)).num_rows
                seen.add(key)
        spent = leat.processor_seconds()
    assert rows == RECORDS, rows
    print(f"leat     {megabytes:.0f} MB of JSON read from a stream, converted and put in {len(seen)} objects: "
          f"{megabytes / spent:.0f} MB for each processor second, start and all included")
    program = f"""import duckdb
duckdb.execute("SET threads = 1")
duckdb.execute("COPY (SELECT * FROM read_json('{file}', format = 'newline_delimited', columns = {columns_of_duckdb()})) "
               "TO '{DATA}/duckdb.parquet' "
               "(FORMAT parquet, COMPRESSION snappy)")"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    duckdb_spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"DuckDB   {megabytes / duckdb_spent:.0f} MB for each processor second, start and all included")
    print(f"ratio    {duckdb_spent / spent:.2f}")


def freshness(endpoint, client):
    spec = "buffering: {sizeMiB: 5, intervalSeconds: 1}"
    with Leat(endpoint, [STREAM.format(name="fresh", spec=spec, prefix="fresh/")]) as leat:
        firehose = boto3.client("firehose", endpoint_url=leat.endpoint)
        time.sleep(1)
        put, arrived, seen = {}, {}, set()
        for number in range(PUTS):
            firehose.put_record(DeliveryStreamName="fresh", Record={"Data": f"{number}\n".encode()})
            put[number] = time.monotonic()
            time.sleep(PAUSE)
            look(client, seen, arrived)
        deadline = time.monotonic() + 30
        while len(arrived) < PUTS and time.monotonic() < deadline:
            look(client, seen, arrived)
    late = sorted(arrived[number] - put[number] for number in arrived)
    assert len(late) == PUTS, f"{PUTS - len(late)} records did not arrive"
    print(f"freshness with a buffer of 1 s: p50 {late[PUTS // 2]:.2f} s, p99 {late[PUTS * 99 // 100]:.2f} s, "
          f"at most {late[-1]:.2f} s, from PutRecord's reply to its object's being listed")


def look(client, seen, arrived):
    for entry in listed(client, "fresh/"):
        if entry["Key"] not in seen:
            now = time.monotonic()
            seen.add(entry["Key"])
            body = client.get_object(Bucket="lake", Key=entry["Key"])["Body"].read()
            arrived.update((int(number), now) for number in body.split())


def partitions(endpoint, client):
    columns = ", ".join(f"{{name: {name}, type: '{kind}'}}" for name, kind in COLUMNS.items())
    spec = f"""buffering: {{sizeMiB: 64, intervalSeconds: 60}}
  processing: {{metadataExtraction: {{query: '{{n: (.id % {PARTITIONS} | tostring)}}'}}}}
  dynamicPartitioning: {{enabled: true}}
  formatConversion: {{schema: {{columns: [{columns}]}}}}"""
    delivery = STREAM.format(name="many", spec=spec, prefix="many/!{partitionKeyFromQuery:n}/")
    with Leat(endpoint, [delivery]) as leat:
        firehose = boto3.client("firehose", endpoint_url=leat.endpoint)
        time.sleep(1)
        idle, batch = leat.resident_mib(), []
        for line in lines():
            batch.append({"Data": line.encode()})
            if len(batch) == BATCH:
                firehose.put_record_batch(DeliveryStreamName="many", Records=batch)
                batch = []
        deadline = time.monotonic() + 180
        while len(listed(client, "many/")) < PARTITIONS and time.monotonic() < deadline:
            time.sleep(1)
        most = leat.resident_mib("VmHWM")
    print(f"memory   {idle:.0f} MiB idle, at most {most:.0f} MiB with {PARTITIONS} partitions of Parquet being filled")


def main():
    os.environ.update(KEYS)
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    server, endpoint, client = start_s3()
    try:
        convert(endpoint, client)
        freshness(endpoint, client)
        partitions(endpoint, client)
    finally:
        server.kill()


main()
