"""A delivery stream's life through the aws command line, with nothing set but the endpoint. Its bucket is nowhere."""

import json
import subprocess
import time

NAME = "cli"


def run(*arguments):
    return subprocess.run(["aws", "firehose", *arguments, "--output", "json"], capture_output=True, text=True)


def aws(*arguments):
    done = run(*arguments, "--delivery-stream-name", NAME)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else {}


def described():
    return aws("describe-delivery-stream")["DeliveryStreamDescription"]


def wait(what, holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.2)


S3 = {"RoleARN": "arn:aws:iam::000000000000:role/delivery", "BucketARN": "arn:aws:s3:::nowhere", "Prefix": "clicks/",
      "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 900}}
aws("create-delivery-stream", "--extended-s3-destination-configuration", json.dumps(S3))
wait("active", lambda: described()["DeliveryStreamStatus"] == "ACTIVE")
assert aws("put-record", "--record", json.dumps({"Data": "hello"}))["RecordId"]
batch = [{"Data": f"number {number}"} for number in range(10)]
assert aws("put-record-batch", "--records", json.dumps(batch))["FailedPutCount"] == 0
before = described()
aws("update-destination", "--current-delivery-stream-version-id", before["VersionId"], "--destination-id",
    before["Destinations"][0]["DestinationId"], "--extended-s3-destination-update", json.dumps({"Prefix": "visits/"}))
after = described()["Destinations"][0]["ExtendedS3DestinationDescription"]
assert (after["Prefix"], after["RoleARN"]) == ("visits/", S3["RoleARN"]), after
aws("tag-delivery-stream", "--tags", "Key=team,Value=data")
assert aws("list-tags-for-delivery-stream")["Tags"] == [{"Key": "team", "Value": "data"}]
aws("delete-delivery-stream")
wait("gone", lambda: "ResourceNotFoundException" in run("describe-delivery-stream", "--delivery-stream-name", NAME).stderr)
print("ok: aws cli firehose")
