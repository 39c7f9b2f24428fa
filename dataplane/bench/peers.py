#!/usr/bin/env python3
"""PutRecords beside the peers, in one run: leat, kinesalite (npm) and Kafka (Maven), 500 x 1 KiB, 4 shards.

    cargo build --release -p dataplane && dataplane/bench/peers.py [ROUNDS]

leat and kinesalite are loaded by `leat bench`; Kafka, with acks=all and no flush, by its own ProducerPerformance
on 4 partitions, with batches as large. Every round measures all of them, one after the other. Needs npm, mvn, java.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target/peers"
LEAT = ROOT / "target/release/leat"
RECORDS = {"leat": 1_500_000, "kinesalite": 60_000, "kafka": 400_000}
ENVIRONMENT = os.environ | {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, capture_output=True, **more).stdout


def install():
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "node_modules/kinesalite").exists():
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", WORK, "kinesalite@3.3.3")
    if not (WORK / "kafka").exists():
        project = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
            for group, name, version in [("org.apache.kafka", "kafka_2.13", "4.3.1"),
                                         ("org.apache.kafka", "kafka-tools", "4.3.1"),
                                         ("org.slf4j", "slf4j-simple", "1.7.36")])
        (WORK / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>x</groupId>'
            f"<artifactId>x</artifactId><version>1</version><dependencies>{project}</dependencies></project>")
        run("mvn", "-q", "-B", "-f", WORK / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={WORK}/kafka")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that listens, until the end of a with block."""

    def __init__(self, port, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert time.monotonic() < deadline and self.process.poll() is None, command
            time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def leat_bench(port, records, connections):
    """Megabytes of data a second."""
    output = run(LEAT, "bench", "--endpoint", f"http://127.0.0.1:{port}", "--create", "--shards", "4", "--json",
                 "--records", str(records), "--connections", str(connections), env=ENVIRONMENT)
    return json.loads(output)["megabytes_per_second"]


def leat():
    port, data = free_port(), WORK / "leat-data"
    shutil.rmtree(data, ignore_errors=True)
    with Server(port, LEAT, "standalone", "--data-dir", data, "--listen", f"127.0.0.1:{port}"):
        return leat_bench(port, RECORDS["leat"], 8)


def kinesalite():
    port, data = free_port(), WORK / "kinesalite-data"
    shutil.rmtree(data, ignore_errors=True)
    with Server(port, "node", WORK / "node_modules/kinesalite/cli.js", "--port", str(port), "--path", data,
                "--createStreamMs", "10", "--deleteStreamMs", "10", "--shardLimit", "10"):
        # More connections only wait: it has one thread.
        return leat_bench(port, RECORDS["kinesalite"], 2)


def kafka():
    port, data = free_port(), WORK / "kafka-data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    (data / "server.properties").write_text(
        f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{port + 1}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}\n"
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n"
        f"log.dirs={data}/logs\noffsets.topic.replication.factor=1\n")
    java = ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{WORK}/kafka/*"]
    cluster = run(*java, "kafka.tools.StorageTool", "random-uuid").split()[-1]
    run(*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", data / "server.properties")
    with Server(port, *java, "kafka.Kafka", data / "server.properties"):
        run(*java, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", f"127.0.0.1:{port}", "--create",
            "--topic", "bench", "--partitions", "4")
        output = run(*java, "org.apache.kafka.tools.ProducerPerformance", "--topic", "bench", "--num-records",
                     str(RECORDS["kafka"]), "--record-size", "1024", "--throughput", "-1", "--producer-props",
                     f"bootstrap.servers=127.0.0.1:{port}", "acks=all", "batch.size=512000", "linger.ms=5")
        rates = re.findall(r"([\d.]+) records/sec \(([\d.]+) MB/sec\)", output)
        # Its megabytes are mebibytes; ours are not.
        return float(rates[-1][0]) * 1024 / 1e6


def main():
    assert LEAT.exists(), "cargo build --release -p dataplane"
    install()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    peers = {"leat": leat, "kinesalite": kinesalite, "kafka": kafka}
    figures = {name: [] for name in peers}
    for _ in range(rounds):
        for name, measure in peers.items():
            figures[name].append(measure())
            print(f"{name:<12} {figures[name][-1]:8.1f} MB/s", flush=True)
    ours = statistics.median(figures["leat"])
    for name in ("kinesalite", "kafka"):
        print(f"leat is {ours / statistics.median(figures[name]):.1f} times {name}")


main()
