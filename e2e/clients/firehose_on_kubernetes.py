"""Delivery streams of a namespace through boto3: what is made by a call is a resource, and the other way round.

    firehose_on_kubernetes.py NAME

NAME is one that Kubernetes does not allow. What it leaves is a delivery stream NAME to Splunk, whose token came in a
call, in its second version, and tagged.
"""

import sys
import time

import boto3
from botocore.config import Config

from refusals import refused

firehose = boto3.client("firehose", config=Config(retries={"max_attempts": 0}))
kinesis = boto3.client("kinesis")
name = sys.argv[1]
BUCKET = {"RoleARN": "arn:aws:iam::000000000000:role/firehose", "BucketARN": "arn:aws:s3:::backup"}


def described(stream=name):
    return firehose.describe_delivery_stream(DeliveryStreamName=stream)["DeliveryStreamDescription"]


def wait(what, holds):
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, f"waited too long: {what}"
        time.sleep(0.2)


def is_let_in():
    try:
        return firehose.list_delivery_streams() is not None
    except firehose.exceptions.ClientError:
        return False


wait("the access key reaches the gateways", is_let_in)
splunk = {"HECEndpoint": "https://splunk.example:8088", "HECEndpointType": "Raw", "HECToken": "handed-over",
          "S3Configuration": BUCKET}
arn = firehose.create_delivery_stream(
    DeliveryStreamName=name, SplunkDestinationConfiguration=splunk, Tags=[{"Key": "team", "Value": "data"}],
)["DeliveryStreamARN"]
refused("ResourceInUseException", lambda: firehose.create_delivery_stream(
    DeliveryStreamName=name, SplunkDestinationConfiguration=splunk))
wait("it is active", lambda: described()["DeliveryStreamStatus"] == "ACTIVE")
first = described()
assert (first["DeliveryStreamARN"], first["VersionId"], first["DeliveryStreamType"]) == (arn, "1", "DirectPut"), first
destination = first["Destinations"][0]["SplunkDestinationDescription"]
assert "HECToken" not in destination and destination["HECEndpointType"] == "Raw", destination
# What means nothing here is told again.
assert destination["S3DestinationDescription"]["RoleARN"] == BUCKET["RoleARN"], destination
assert name in firehose.list_delivery_streams()["DeliveryStreamNames"]
# What holds the records of its producers is nobody else's.
assert kinesis.list_streams()["StreamNames"] == []

update = {"DeliveryStreamName": name, "DestinationId": "destinationId-000000000001",
          "SplunkDestinationUpdate": {"HECEndpointType": "Event"}}
firehose.update_destination(CurrentDeliveryStreamVersionId="1", **update)
wait("the change is there", lambda: described()["VersionId"] == "2")
refused("ConcurrentModificationException", lambda: firehose.update_destination(
    CurrentDeliveryStreamVersionId="1", **update))
firehose.tag_delivery_stream(DeliveryStreamName=name, Tags=[{"Key": "stage", "Value": "test"}])
tags = firehose.list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"]
assert tags == [{"Key": "stage", "Value": "test"}, {"Key": "team", "Value": "data"}], tags
put = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": b"a"}, {"Data": b"b"}])
assert put["FailedPutCount"] == 0 and len(put["RequestResponses"]) == 2, put

# One that kubectl made, with a source of its own.
source = described("to-lake")["Source"]["KinesisStreamSourceDescription"]["KinesisStreamARN"]
assert source.endswith(":stream/clicks"), source
refused("InvalidArgumentException", lambda: firehose.put_record(DeliveryStreamName="to-lake", Record={"Data": b"x"}))
firehose.delete_delivery_stream(DeliveryStreamName="to-lake")


def is_gone():
    try:
        return described("to-lake") is None
    except firehose.exceptions.ResourceNotFoundException:
        return True


wait("it is gone", is_gone)
print("ok")
