"""The Kinesis Client Library against the server: kcl.py polling|fanout|kpl.

polling, fanout: three workers share the shards of a stream while records are put, a shard is split, two are
merged and one worker is killed. Every acknowledged record must be seen at least once, in order per shard.
kpl: the Kinesis Producer Library puts aggregated records, which come back whole through a worker.
"""

import collections
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import boto3

HERE = pathlib.Path(__file__).parent
WORKERS, SHARDS = 3, 4
kinesis = boto3.client("kinesis")
processes = []


def java(classpath, *args, options=(), **more):
    process = subprocess.Popen(["java", "-Xmx512m", *options, "-cp", classpath, *args], text=True, **more)
    processes.append(process)
    return process


def start_dynamodb():
    """DynamoDB Local on a free port; its endpoint."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    libraries = HERE / "dynamodb/target/lib"
    java(f"{libraries}/*", "software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-port", str(port),
         "-disableTelemetry", options=[f"-Dsqlite4java.library.path={libraries}"],
         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(60, "DynamoDB Local", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    return f"http://127.0.0.1:{port}"


class Worker:
    """A worker process and what it has printed."""

    def __init__(self, name, stream, mode, dynamodb, options):
        environment = os.environ | {"AWS_ENDPOINT_URL_DYNAMODB": dynamodb}
        self.log = open(f"/tmp/kcl-{os.getpid()}-{name}.log", "w+")
        self.process = java(f"{HERE}/target/classes:{HERE}/target/lib/*", "Worker", stream, f"app-{mode}", name, mode,
                            options=["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *options],
                            stdout=subprocess.PIPE, stderr=self.log, env=environment)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.split())

    def started(self):
        return {line[1] for line in list(self.lines) if line[0] == "start"}

    def check_order(self):
        """Numbers increase from each start of a lease on."""
        last = {}
        for line in list(self.lines):
            if line[0] == "start":
                last.pop(line[1], None)
            elif line[0] == "record":
                number = (int(line[2]), int(line[3]))
                assert last.get(line[1], (0, 0)) < number, f"out of order in {line[1]}: {line}"
                last[line[1]] = number


def wait(seconds, what, holds, but=lambda: ""):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what} {but()}"
        time.sleep(0.2)


def active(stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"


def open_shards(stream):
    return kinesis.list_shards(StreamName=stream, ShardFilter={"Type": "AT_LATEST"})["Shards"]


def put_until(stop, stream, acknowledged):
    """Puts numbered records until told to stop; which were acknowledged, and where they are."""
    number = 0
    while not stop.is_set():
        records = [{"Data": f"k{n % 50}:{n}".encode(), "PartitionKey": f"k{n % 50}"} for n in range(number, number + 50)]
        number += 50
        for record in kinesis.put_records(StreamName=stream, Records=records)["Records"]:
            if "SequenceNumber" in record:
                acknowledged.add((record["ShardId"], record["SequenceNumber"]))
        time.sleep(0.05)


def share(mode, dynamodb, options):
    stream = f"kcl-{mode}"
    kinesis.create_stream(StreamName=stream, ShardCount=SHARDS)
    started = time.monotonic()
    # The first makes the tables; several that make them at once get in each other's way.
    workers = [Worker("w0", stream, mode, dynamodb, options)]
    wait(120, "the first worker has a lease", workers[0].started)
    workers += [Worker(f"w{n}", stream, mode, dynamodb, options) for n in range(1, WORKERS)]
    acknowledged, stop = set(), threading.Event()
    putting = threading.Thread(target=put_until, args=(stop, stream, acknowledged))
    putting.start()
    try:
        seen = lambda: {(line[1], line[2]) for w in workers for line in list(w.lines) if line[0] == "record"}
        wait(150, "every worker has a lease", lambda: all(worker.started() for worker in workers))
        first = open_shards(stream)[0]
        middle = (int(first["HashKeyRange"]["StartingHashKey"]) + int(first["HashKeyRange"]["EndingHashKey"])) // 2
        kinesis.split_shard(StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle))
        wait(30, "the split", lambda: active(stream))
        time.sleep(3)
        ring = sorted(open_shards(stream), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
        kinesis.merge_shards(StreamName=stream, ShardToMerge=ring[-2]["ShardId"], AdjacentShardToMerge=ring[-1]["ShardId"])
        wait(30, "the merge", lambda: active(stream))
        time.sleep(3)
        workers[0].process.send_signal(signal.SIGKILL)
        time.sleep(5)
    finally:
        stop.set()
        putting.join()
    # The worker that was killed led the others, and KCL's lock on that lasts two minutes: only then does another
    # hand out the leases that were left behind.
    wait(300, "every acknowledged record is seen", lambda: acknowledged <= seen(),
         lambda: collections.Counter(shard for shard, _ in acknowledged - seen()))
    for worker in workers:
        worker.check_order()
    times = collections.Counter((line[1], line[2]) for w in workers for line in w.lines if line[0] == "record")
    again = sum(count - 1 for count in times.values())
    print(f"{len(acknowledged)} records acknowledged, all seen, {again} of them again, "
          f"{time.monotonic() - started:.0f} s")


def produce(dynamodb, options):
    stream, count = "kpl", 5_000
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    producer = java(f"{HERE}/target/classes:{HERE}/target/lib/*", "Produce", stream, str(count),
                    options=["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"], stdout=subprocess.PIPE)
    output, _ = producer.communicate(timeout=120)
    assert f"ok: {count} records" in output, output
    stored = 0
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        stored += len(kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"])
    assert 0 < stored < count / 10, f"{stored} records hold {count}: not aggregated"
    worker = Worker("w0", stream, "polling", dynamodb, options)
    whole = {f"kpl-{n}" for n in range(count)}
    seen = lambda: {line[5] for line in list(worker.lines) if line[0] == "record"}
    wait(120, "every record comes back whole", lambda: whole <= seen())
    assert seen() == whole
    worker.check_order()
    print(f"{count} records of the KPL in {stored} of the stream, all came back")


def main(mode):
    options = []
    if os.environ["AWS_ENDPOINT_URL_KINESIS"].startswith("https"):
        # Java does not know AWS_CA_BUNDLE.
        bundle = os.environ["AWS_CA_BUNDLE"]
        store = f"{bundle}.p12"
        pathlib.Path(store).unlink(missing_ok=True)
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "leat", "-file", bundle, "-keystore", store,
                        "-storepass", "changeit"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        options = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    dynamodb = start_dynamodb()
    if mode == "kpl":
        produce(dynamodb, options)
    else:
        share(mode, dynamodb, options)
    print(f"ok: kcl {mode}")


try:
    main(sys.argv[1])
except BaseException:
    for log in pathlib.Path("/tmp").glob(f"kcl-{os.getpid()}-*.log"):
        print(f"--- {log}", *log.read_text().splitlines()[-30:], sep="\n", file=sys.stderr)
    raise
finally:
    for process in processes:
        process.kill()
    for log in pathlib.Path("/tmp").glob(f"kcl-{os.getpid()}-*.log"):
        log.unlink()
