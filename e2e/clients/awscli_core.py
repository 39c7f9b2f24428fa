"""The scenario of the SDK clients through the aws command line, with nothing set but the endpoint.

Subscribing is not in it: the aws CLI removes subscribe-to-shard itself (awscli/customizations/removals.py),
since it prints no streams of events. That this is still so is looked at too.
"""

import base64
import json
import subprocess

NAME = "cli"
KEY = "alias/aws/kinesis"


def run(*arguments):
    return subprocess.run(["aws", "kinesis", *arguments, "--output", "json"], capture_output=True, text=True)


def aws(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else {}


def stream(*arguments):
    return aws(*arguments, "--stream-name", NAME)


def refused(code, *arguments):
    """The call must be refused with this AWS error."""
    done = run(*arguments)
    assert done.returncode != 0 and f"({code})" in done.stderr, f"{arguments}: {done}"


def equal(found, wanted):
    assert found == wanted, f"{wanted} wanted, found {found}"


def summary():
    return stream("describe-stream-summary")["StreamDescriptionSummary"]


def put(data):
    return stream("put-record", "--partition-key", "k", "--data", data)


def read(shard):
    """The records of a shard: their data and how they are stored."""
    at = stream("get-shard-iterator", "--shard-id", shard, "--shard-iterator-type", "TRIM_HORIZON")
    got = aws("get-records", "--shard-iterator", at["ShardIterator"])
    equal(got["MillisBehindLatest"], 0)
    return [(base64.b64decode(record["Data"]), record["EncryptionType"]) for record in got["Records"]]


def create():
    stream("create-stream", "--shard-count", "1")
    stream("wait", "stream-exists")
    description = stream("describe-stream")["StreamDescription"]
    equal((description["StreamStatus"], description["EncryptionType"]), ("ACTIVE", "NONE"))
    equal(aws("list-streams")["StreamNames"], [NAME])
    return description["StreamARN"]


def put_and_read():
    one = put("hello")
    equal((one["ShardId"], one["EncryptionType"]), ("shardId-000000000000", "NONE"))
    many = stream("put-records", "--records", "Data=a,PartitionKey=k", "Data=b,PartitionKey=k")
    equal(many["FailedRecordCount"], 0)
    numbers = [int(record["SequenceNumber"]) for record in (one, *many["Records"])]
    equal(sorted(set(numbers)), numbers)
    equal(read(one["ShardId"]), [(b"hello", "NONE"), (b"a", "NONE"), (b"b", "NONE")])


def reshard():
    stream("split-shard", "--shard-to-split", "shardId-000000000000", "--new-starting-hash-key", str(2**127))
    stream("wait", "stream-exists")
    stream("merge-shards", "--shard-to-merge", "shardId-000000000001",
           "--adjacent-shard-to-merge", "shardId-000000000002")
    stream("wait", "stream-exists")
    scaled = stream("update-shard-count", "--target-shard-count", "2", "--scaling-type", "UNIFORM_SCALING")
    equal((scaled["CurrentShardCount"], scaled["TargetShardCount"]), (1, 2))
    stream("wait", "stream-exists")
    equal(summary()["OpenShardCount"], 2)
    parents = [shard.get("ParentShardId", "")[-1:] for shard in stream("list-shards")["Shards"]]
    equal(parents, ["", "0", "0", "1", "3", "3"])


def consume(arn):
    registered = aws("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "reader")["Consumer"]
    this = ("--stream-arn", arn, "--consumer-name", "reader")
    described = aws("describe-stream-consumer", *this)["ConsumerDescription"]
    equal((described["ConsumerARN"], described["StreamARN"]), (registered["ConsumerARN"], arn))
    equal((described["ConsumerName"], described["ConsumerStatus"]), ("reader", "ACTIVE"))
    listed = aws("list-stream-consumers", "--stream-arn", arn)["Consumers"]
    equal([consumer["ConsumerARN"] for consumer in listed], [registered["ConsumerARN"]])
    equal(summary()["ConsumerCount"], 1)

    done = run("subscribe-to-shard", "--consumer-arn", registered["ConsumerARN"], "--shard-id", "shardId-000000000004",
               "--starting-position", "Type=LATEST")
    assert "Invalid choice" in done.stderr, f"this CLI can subscribe, so it belongs here: {done}"

    aws("deregister-stream-consumer", *this)
    refused("ResourceNotFoundException", "describe-stream-consumer", *this)
    equal(aws("list-stream-consumers", "--stream-arn", arn)["Consumers"], [])


def encrypt():
    encryption = ("--encryption-type", "KMS", "--key-id", KEY)
    before = put("before")
    stream("start-stream-encryption", *encryption)
    stream("wait", "stream-exists")
    equal((summary()["EncryptionType"], summary()["KeyId"]), ("KMS", KEY))
    during = put("during")
    equal((during["ShardId"], during["EncryptionType"]), (before["ShardId"], "KMS"))
    equal(read(before["ShardId"]), [(b"before", "NONE"), (b"during", "KMS")])

    stream("stop-stream-encryption", *encryption)
    stream("wait", "stream-exists")
    equal((summary()["EncryptionType"], summary().get("KeyId")), ("NONE", None))
    equal(put("after")["EncryptionType"], "NONE")
    # What was put encrypted says so, also after encryption has stopped.
    equal(read(before["ShardId"]), [(b"before", "NONE"), (b"during", "KMS"), (b"after", "NONE")])


def settings(arn):
    stream("increase-stream-retention-period", "--retention-period-hours", "48")
    equal(summary()["RetentionPeriodHours"], 48)
    stream("decrease-stream-retention-period", "--retention-period-hours", "24")
    aws("update-max-record-size", "--stream-arn", arn, "--max-record-size-in-ki-b", "2048")
    equal((summary()["RetentionPeriodHours"], summary()["MaxRecordSizeInKiB"]), (24, 2048))
    stream("add-tags-to-stream", "--tags", "a=1,b=2")
    stream("remove-tags-from-stream", "--tag-keys", "a")
    equal(stream("list-tags-for-stream")["Tags"], [{"Key": "b", "Value": "2"}])


def delete():
    stream("delete-stream")
    stream("wait", "stream-not-exists")
    equal(aws("list-streams")["StreamNames"], [])
    refused("ResourceNotFoundException", "describe-stream-summary", "--stream-name", NAME)


arn = create()
put_and_read()
reshard()
consume(arn)
encrypt()
settings(arn)
delete()
print("aws cli: the scenario done")
