"""Every core operation through boto3, with nothing set but the endpoint and credentials."""

import datetime
import time

import boto3
from botocore.config import Config

from refusals import refused

kinesis = boto3.client("kinesis", config=Config(retries={"max_attempts": 0}))
NAME = "boto3"


def iterator(shard, kind, **more):
    reply = kinesis.get_shard_iterator(StreamName=NAME, ShardId=shard, ShardIteratorType=kind, **more)
    return reply["ShardIterator"]


def read(shard, kind, **more):
    return kinesis.get_records(ShardIterator=iterator(shard, kind, **more))


def data(reply):
    return [record["Data"] for record in reply["Records"]]


def open_shards():
    shards = kinesis.list_shards(StreamName=NAME, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    return [shard["ShardId"] for shard in shards]


def lifecycle():
    kinesis.create_stream(StreamName=NAME, ShardCount=2, Tags={"team": "data"})
    kinesis.get_waiter("stream_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1})
    refused("ResourceInUseException", kinesis.create_stream, StreamName=NAME, ShardCount=1)
    stream = kinesis.describe_stream(StreamName=NAME, Limit=1)["StreamDescription"]
    assert stream["StreamStatus"] == "ACTIVE" and stream["HasMoreShards"], stream
    first = stream["Shards"][0]
    assert first["ShardId"] == "shardId-000000000000", first
    assert first["HashKeyRange"]["EndingHashKey"] == str(2**127 - 1), first
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName=NAME, PaginationConfig={"PageSize": 1})
    assert sum(len(page["StreamDescription"]["Shards"]) for page in pages) == 2
    summary = kinesis.describe_stream_summary(StreamARN=stream["StreamARN"])["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2 and summary["RetentionPeriodHours"] == 24, summary
    for number in range(5):
        kinesis.create_stream(StreamName=f"other-{number}", ShardCount=1)
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
    names = [name for page in pages for name in page["StreamNames"]]
    assert names == [NAME] + [f"other-{number}" for number in range(5)], names
    for number in range(5):
        kinesis.delete_stream(StreamName=f"other-{number}")
    return stream["StreamARN"]


def records(arn):
    started = datetime.datetime.now(datetime.timezone.utc)
    puts = [kinesis.put_record(StreamName=NAME, Data=b"%d" % n, PartitionKey="k", ExplicitHashKey="5") for n in range(3)]
    numbers = [put["SequenceNumber"] for put in puts]
    assert [put["ShardId"] for put in puts] == ["shardId-000000000000"] * 3
    assert sorted(numbers, key=int) == numbers and len(set(numbers)) == 3
    kinesis.put_record(StreamARN=arn, Data=b"3", PartitionKey="k", ExplicitHashKey="5",
                       SequenceNumberForOrdering=numbers[-1])
    reply = kinesis.put_records(StreamName=NAME, Records=[
        {"Data": bytes(range(256)), "PartitionKey": "é" * 256, "ExplicitHashKey": str(2**128 - 1)},
        {"Data": b"", "PartitionKey": "p"},
    ])
    assert reply["FailedRecordCount"] == 0 and reply["Records"][0]["ShardId"] == "shardId-000000000001", reply

    shard = "shardId-000000000000"
    assert data(read(shard, "TRIM_HORIZON"))[:4] == [b"0", b"1", b"2", b"3"]
    assert data(read(shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]))[0] == b"1"
    assert data(read(shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]))[0] == b"2"
    assert data(read(shard, "AT_TIMESTAMP", Timestamp=started))[0] == b"0"
    latest = iterator(shard, "LATEST")
    assert kinesis.get_records(ShardIterator=latest)["Records"] == []
    kinesis.put_record(StreamName=NAME, Data=b"new", PartitionKey="k", ExplicitHashKey="5")
    for _ in range(2):
        reply = kinesis.get_records(ShardIterator=latest)
        assert data(reply) == [b"new"], "an iterator can be used again"
    record = reply["Records"][0]
    age = abs((record["ApproximateArrivalTimestamp"] - started).total_seconds())
    assert age < 60 and record["PartitionKey"] == "k", record
    assert reply["MillisBehindLatest"] == 0
    limited = kinesis.get_records(ShardIterator=iterator(shard, "TRIM_HORIZON"), Limit=2)
    assert data(limited) == [b"0", b"1"]
    assert data(kinesis.get_records(ShardIterator=limited["NextShardIterator"]))[0] == b"2"
    other = read("shardId-000000000001", "TRIM_HORIZON")["Records"][0]
    assert other["Data"] == bytes(range(256)) and other["PartitionKey"] == "é" * 256

    wrong = "Invalid StartingSequenceNumber. It encodes shardId-000000000000"
    message = refused("InvalidArgumentException", kinesis.get_shard_iterator, StreamName=NAME,
                      ShardId="shardId-000000000001", ShardIteratorType="AT_SEQUENCE_NUMBER",
                      StartingSequenceNumber=numbers[0])
    assert message.startswith(wrong), message
    return numbers


def reshard(numbers):
    refused("InvalidArgumentException", kinesis.split_shard, StreamName=NAME,
            ShardToSplit="shardId-000000000000", NewStartingHashKey="0")
    kinesis.split_shard(StreamName=NAME, ShardToSplit="shardId-000000000000", NewStartingHashKey="1000")
    assert open_shards() == [f"shardId-{n:012}" for n in (1, 2, 3)], open_shards()
    shards = {shard["ShardId"]: shard for shard in kinesis.list_shards(StreamName=NAME)["Shards"]}
    parent, child = shards["shardId-000000000000"], shards["shardId-000000000002"]
    assert child["ParentShardId"] == "shardId-000000000000"
    ending = int(parent["SequenceNumberRange"]["EndingSequenceNumber"])
    assert int(numbers[-1]) < ending < int(child["SequenceNumberRange"]["StartingSequenceNumber"])
    end = read("shardId-000000000000", "TRIM_HORIZON")
    assert "NextShardIterator" not in end, end
    assert [c["ShardId"] for c in end["ChildShards"]] == ["shardId-000000000002", "shardId-000000000003"], end
    put = kinesis.put_record(StreamName=NAME, Data=b"x", PartitionKey="k", ExplicitHashKey="5")
    assert put["ShardId"] == "shardId-000000000002" and int(put["SequenceNumber"]) > ending

    refused("InvalidArgumentException", kinesis.merge_shards, StreamName=NAME,
            ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002")
    kinesis.merge_shards(StreamName=NAME, ShardToMerge="shardId-000000000003",
                         AdjacentShardToMerge="shardId-000000000002")
    merged = kinesis.list_shards(StreamName=NAME, ExclusiveStartShardId="shardId-000000000003")["Shards"][0]
    assert merged["ParentShardId"] == "shardId-000000000002"
    assert merged["AdjacentParentShardId"] == "shardId-000000000003", merged
    assert kinesis.describe_stream(StreamName=NAME)["StreamDescription"]["Shards"][-1] == merged

    for count in (4, 7, 1):
        reply = kinesis.update_shard_count(StreamName=NAME, TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        assert reply["TargetShardCount"] == count, reply
        while kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
            time.sleep(0.1)
        assert len(open_shards()) == count
    # As AWS, NextToken stands for all else; botocore's own paginator repeats StreamName and is refused.
    listed, page = [], kinesis.list_shards(StreamName=NAME, MaxResults=3)
    while True:
        listed += [shard["ShardId"] for shard in page["Shards"]]
        if "NextToken" not in page:
            break
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=3)
    assert listed == sorted(set(listed)) and len(listed) > 10, listed
    horizon = kinesis.list_shards(StreamName=NAME, ShardFilter={"Type": "AT_TRIM_HORIZON"})["Shards"]
    assert [shard["ShardId"] for shard in horizon] == ["shardId-000000000000", "shardId-000000000001"], horizon


def settings(arn):
    kinesis.increase_stream_retention_period(StreamName=NAME, RetentionPeriodHours=100)
    refused("InvalidArgumentException", kinesis.increase_stream_retention_period, StreamName=NAME, RetentionPeriodHours=50)
    kinesis.decrease_stream_retention_period(StreamName=NAME, RetentionPeriodHours=30)
    big = dict(StreamName=NAME, Data=b"x" * (5 << 20), PartitionKey="big")
    refused("InvalidArgumentException", kinesis.put_record, **big)
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=10240)
    put = kinesis.put_record(**big)
    got = read(put["ShardId"], "AT_SEQUENCE_NUMBER", StartingSequenceNumber=put["SequenceNumber"])
    assert data(got) == [big["Data"]]
    summary = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]
    assert (summary["RetentionPeriodHours"], summary["MaxRecordSizeInKiB"]) == (30, 10240), summary

    # Three records of 5 MiB do not fit one reply of 10 MiB.
    for _ in range(2):
        kinesis.put_record(**big)
    got = read(put["ShardId"], "AT_SEQUENCE_NUMBER", StartingSequenceNumber=put["SequenceNumber"])
    assert len(got["Records"]) == 1 and got["MillisBehindLatest"] >= 0, len(got["Records"])

    kinesis.add_tags_to_stream(StreamName=NAME, Tags={f"k{n}": str(n) for n in range(9)})
    kinesis.remove_tags_from_stream(StreamName=NAME, TagKeys=["k0", "team"])
    page = kinesis.list_tags_for_stream(StreamName=NAME, ExclusiveStartTagKey="k2", Limit=3)
    assert [tag["Key"] for tag in page["Tags"]] == ["k3", "k4", "k5"] and page["HasMoreTags"], page
    refused("InvalidArgumentException", kinesis.add_tags_to_stream, StreamName=NAME,
            Tags={f"t{n}": "" for n in range(50)})


arn = lifecycle()
numbers = records(arn)
reshard(numbers)
settings(arn)
kinesis.delete_stream(StreamName=NAME)
kinesis.get_waiter("stream_not_exists").wait(StreamName=NAME, WaiterConfig={"Delay": 1})
refused("ResourceNotFoundException", kinesis.put_record, StreamName=NAME, Data=b"", PartitionKey="k")
print("boto3: every operation done")
