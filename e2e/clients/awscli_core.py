"""Every core operation through the aws command line, with nothing set but the endpoint."""

import base64
import json
import subprocess

NAME = "cli"


def aws(*arguments):
    done = subprocess.run(["aws", "kinesis", *arguments, "--output", "json"], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else {}


def stream(*arguments):
    return aws(*arguments, "--stream-name", NAME)


stream("create-stream", "--shard-count", "1")
stream("wait", "stream-exists")
arn = stream("describe-stream")["StreamDescription"]["StreamARN"]
put = stream("put-record", "--partition-key", "k", "--data", "hello")
assert put["ShardId"] == "shardId-000000000000", put
many = stream("put-records", "--records", "Data=a,PartitionKey=k", "Data=b,PartitionKey=k")
assert many["FailedRecordCount"] == 0, many
iterator = stream("get-shard-iterator", "--shard-id", put["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")
got = aws("get-records", "--shard-iterator", iterator["ShardIterator"])
assert [base64.b64decode(record["Data"]) for record in got["Records"]] == [b"hello", b"a", b"b"], got
stream("split-shard", "--shard-to-split", put["ShardId"], "--new-starting-hash-key", str(2**127))
stream("merge-shards", "--shard-to-merge", "shardId-000000000001", "--adjacent-shard-to-merge", "shardId-000000000002")
stream("update-shard-count", "--target-shard-count", "2", "--scaling-type", "UNIFORM_SCALING")
assert stream("describe-stream-summary")["StreamDescriptionSummary"]["OpenShardCount"] == 2
assert len(stream("list-shards")["Shards"]) == 6
stream("increase-stream-retention-period", "--retention-period-hours", "48")
stream("decrease-stream-retention-period", "--retention-period-hours", "24")
aws("update-max-record-size", "--stream-arn", arn, "--max-record-size-in-ki-b", "2048")
stream("add-tags-to-stream", "--tags", "a=1,b=2")
stream("remove-tags-from-stream", "--tag-keys", "a")
assert stream("list-tags-for-stream")["Tags"] == [{"Key": "b", "Value": "2"}]
assert aws("list-streams")["StreamNames"] == [NAME]
stream("delete-stream")
stream("wait", "stream-not-exists")
print("aws cli: every operation done")
