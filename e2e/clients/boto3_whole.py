"""The rest of the API through boto3: consumers, subscriptions, encryption, policies, modes, monitoring.

The server is started with --on-demand-interval 1, so that load is looked at while we wait.
"""

import gzip
import json
import time
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from refusals import refused

CONFIG = Config(retries={"max_attempts": 0})
kinesis = boto3.client("kinesis", config=CONFIG)
ENDPOINT = kinesis.meta.endpoint_url
SHARD = "shardId-000000000000"
events_seen = []


def create(name, **more):
    kinesis.create_stream(StreamName=name, **({"ShardCount": 1} | more))
    return summary(name)["StreamARN"]


def summary(name):
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]


def put(name, data, key="k"):
    return kinesis.put_record(StreamName=name, Data=data, PartitionKey=key)


def read(name, shard=SHARD):
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    return kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]


def metrics():
    return urllib.request.urlopen(f"{ENDPOINT}/metrics").read().decode()


def subscribe(consumer, position, shard=SHARD):
    reply = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)
    for event in reply["EventStream"]:
        event = event["SubscribeToShardEvent"]
        events_seen.append(event)
        yield event


def consumers():
    arn = create("fanout")
    names = ["alpha", "beta", "gamma"]
    for name in names:
        consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=name, Tags={"name": name})["Consumer"]
    refused("ResourceInUseException", kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="alpha")
    described = kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="gamma")["ConsumerDescription"]
    assert described["ConsumerARN"] == consumer["ConsumerARN"] and described["StreamARN"] == arn, described
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn, PaginationConfig={"PageSize": 2})
    assert [c["ConsumerName"] for page in pages for c in page["Consumers"]] == names
    assert summary("fanout")["ConsumerCount"] == 3
    kinesis.deregister_stream_consumer(StreamARN=arn, ConsumerName="beta")
    refused("ResourceNotFoundException", kinesis.describe_stream_consumer, StreamARN=arn, ConsumerName="beta")
    refused("InvalidArgumentException", kinesis.describe_stream_consumer, StreamARN=arn)
    return arn, described["ConsumerARN"]


def subscriptions(consumer):
    for number in range(3):
        put("fanout", b"%d" % number)
    events = subscribe(consumer, {"Type": "TRIM_HORIZON"})
    first = next(events)
    assert [r["Data"] for r in first["Records"]] == [b"0", b"1", b"2"], first
    in_use = refused("ResourceInUseException", kinesis.subscribe_to_shard, ConsumerARN=consumer, ShardId=SHARD,
                     StartingPosition={"Type": "LATEST"})
    assert "Another active subscription" in in_use
    put("fanout", b"live")
    live = next(events)
    assert [r["Data"] for r in live["Records"]] == [b"live"] and live["MillisBehindLatest"] == 0, live

    # A silent stream is heard of within a few seconds, and says where to go on.
    started = time.monotonic()
    heartbeat = next(events)
    assert heartbeat["Records"] == [] and time.monotonic() - started < 8, heartbeat
    assert heartbeat["ContinuationSequenceNumber"] == live["Records"][-1]["SequenceNumber"]

    # More than five seconds have passed: another call takes over, and the first one hears of it.
    position = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": heartbeat["ContinuationSequenceNumber"]}
    second = subscribe(consumer, position)
    assert next(second)["Records"] == []
    try:
        for event in events:
            assert event["Records"] == [], event
        raise AssertionError("the first subscription was not taken over")
    except kinesis.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceInUseException", error
    put("fanout", b"second")
    event = next(event for event in second if event["Records"])
    assert [r["Data"] for r in event["Records"]] == [b"second"], event

    # At the end of a closed shard come its children, and then nothing.
    kinesis.split_shard(StreamName="fanout", ShardToSplit=SHARD, NewStartingHashKey=str(2**127))
    end = [event for event in second if event.get("ChildShards")]
    assert [child["ShardId"] for child in end[0]["ChildShards"]] == [f"shardId-{n:012}" for n in (1, 2)], end
    assert "ContinuationSequenceNumber" not in end[0]

    # A consumer that is deregistered is told so.
    third = subscribe(consumer, {"Type": "LATEST"}, "shardId-000000000001")
    next(third)
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)
    try:
        for _ in third:
            pass
        raise AssertionError("a subscription outlived its consumer")
    except kinesis.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
    refused("ResourceInUseException", kinesis.delete_stream, StreamName="fanout")
    kinesis.delete_stream(StreamName="fanout", EnforceConsumerDeletion=True)


def encryption():
    create("secrets")
    put("secrets", b"before")
    start = dict(StreamName="secrets", EncryptionType="KMS", KeyId="alias/aws/kinesis")
    kinesis.start_stream_encryption(**start)
    kinesis.start_stream_encryption(**start)
    assert (summary("secrets")["EncryptionType"], summary("secrets")["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert kinesis.describe_stream(StreamName="secrets")["StreamDescription"]["KeyId"] == "alias/aws/kinesis"
    assert put("secrets", b"VERY-SECRET")["EncryptionType"] == "KMS"
    refused("KMSNotFoundException", kinesis.start_stream_encryption, **start | {"KeyId": "alias/nobody"})
    refused("InvalidArgumentException", kinesis.start_stream_encryption, **start | {"EncryptionType": "NONE"})
    refused("InvalidArgumentException", kinesis.stop_stream_encryption, **start | {"KeyId": "alias/other"})
    kinesis.stop_stream_encryption(**start)
    assert summary("secrets")["EncryptionType"] == "NONE"
    put("secrets", b"after")
    records = [(record["Data"], record["EncryptionType"]) for record in read("secrets")]
    assert records == [(b"before", "NONE"), (b"VERY-SECRET", "KMS"), (b"after", "NONE")], records
    kinesis.delete_stream(StreamName="secrets")


def policies():
    arn = create("guarded")
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    bob = boto3.client("kinesis", aws_access_key_id="bob", aws_secret_access_key="x", config=CONFIG)
    bob.put_record(StreamName="guarded", Data=b"1", PartitionKey="k")
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::000000000000:user/bob"},
        "Action": "kinesis:Put*", "Resource": arn}]}
    refused("ResourceNotFoundException", kinesis.get_resource_policy, ResourceARN=arn)
    kinesis.put_resource_policy(ResourceARN=arn, Policy=json.dumps(policy))
    assert json.loads(kinesis.get_resource_policy(ResourceARN=arn)["Policy"]) == policy
    message = refused("AccessDeniedException", bob.put_record, StreamName="guarded", Data=b"2", PartitionKey="k")
    assert "user/bob is not authorized to perform: kinesis:PutRecord" in message, message
    bob.describe_stream_summary(StreamName="guarded")
    put("guarded", b"3")
    refused("InvalidArgumentException", kinesis.put_resource_policy, ResourceARN=arn, Policy="{}")
    # Nobody locks himself out.
    policy["Statement"][0] |= {"Principal": "*", "Action": "kinesis:*"}
    kinesis.put_resource_policy(ResourceARN=arn, Policy=json.dumps(policy))
    refused("AccessDeniedException", kinesis.delete_stream, StreamName="guarded")
    kinesis.delete_resource_policy(ResourceARN=arn)
    bob.put_record(StreamName="guarded", Data=b"4", PartitionKey="k")
    policy["Statement"][0]["Principal"] = {"AWS": "arn:aws:iam::000000000000:user/bob"}

    # A consumer has a policy of its own.
    policy["Statement"][0] |= {"Action": "kinesis:SubscribeToShard", "Resource": consumer}
    kinesis.put_resource_policy(ResourceARN=consumer, Policy=json.dumps(policy))
    subscription = dict(ConsumerARN=consumer, ShardId=SHARD, StartingPosition={"Type": "LATEST"})
    refused("AccessDeniedException", bob.subscribe_to_shard, **subscription)

    for resource in (arn, consumer):
        kinesis.tag_resource(ResourceARN=resource, Tags={"team": "data", "env": "test"})
        kinesis.untag_resource(ResourceARN=resource, TagKeys=["env"])
        tags = kinesis.list_tags_for_resource(ResourceARN=resource)["Tags"]
        assert tags == [{"Key": "team", "Value": "data"}], tags
    queue = arn.replace("stream/", "queue/")
    refused("ResourceNotFoundException", kinesis.list_tags_for_resource, ResourceARN=queue)
    kinesis.delete_stream(StreamName="guarded", EnforceConsumerDeletion=True)


def monitoring():
    create("watched")
    watch = dict(StreamName="watched", ShardLevelMetrics=["IncomingBytes", "OutgoingRecords"])
    reply = kinesis.enable_enhanced_monitoring(**watch)
    assert reply["CurrentShardLevelMetrics"] == [] and len(reply["DesiredShardLevelMetrics"]) == 2, reply
    put("watched", b"12345")
    read("watched")
    shown = f'aws_kinesis_shard_IncomingBytes_total{{StreamName="watched",ShardId="{SHARD}"}} 6'
    assert shown in metrics(), [line for line in metrics().splitlines() if "_shard_" in line]
    assert 'aws_kinesis_shard_OutgoingRecords_total{StreamName="watched"' in metrics()
    assert 'aws_kinesis_shard_IncomingRecords_total{StreamName="watched"' not in metrics()
    kinesis.disable_enhanced_monitoring(StreamName="watched", ShardLevelMetrics=["ALL"])
    put("watched", b"12345")
    assert 'aws_kinesis_shard_IncomingBytes_total{StreamName="watched"' not in metrics()
    described = kinesis.describe_stream(StreamName="watched")["StreamDescription"]
    assert described["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}], described
    kinesis.delete_stream(StreamName="watched")


def modes():
    arn = create("follows", ShardCount=2)
    to_on_demand = dict(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.update_stream_mode(**to_on_demand)
    assert summary("follows")["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    refused("ValidationException", kinesis.split_shard, StreamName="follows", ShardToSplit=SHARD,
            NewStartingHashKey="100")
    refused("ValidationException", kinesis.create_stream, StreamName="x", ShardCount=3,
            StreamModeDetails={"StreamMode": "ON_DEMAND"})

    # All load on keys between 1,000,000 and 1,000,100: the split comes there, not in the middle.
    deadline = time.monotonic() + 30
    while summary("follows")["OpenShardCount"] < 4:
        assert time.monotonic() < deadline, "the hot shard was not split"
        kinesis.put_records(StreamName="follows", Records=[
            {"Data": b"x" * 5_000, "PartitionKey": "k", "ExplicitHashKey": str(1_000_000 + n)} for n in range(100)])
    shards = kinesis.list_shards(StreamName="follows")["Shards"]
    starts = {int(shard["HashKeyRange"]["StartingHashKey"]) for shard in shards}
    assert any(1_000_000 < start <= 1_000_100 for start in starts), starts

    commitment = kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"]
    assert commitment["Status"] == "DISABLED", commitment
    refused("ValidationException", kinesis.update_stream_warm_throughput, StreamName="follows", WarmThroughputMiBps=12)
    enabled = {"Status": "ENABLED"}
    commitment = kinesis.update_account_settings(MinimumThroughputBillingCommitment=enabled)
    assert commitment["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED", commitment
    warm = kinesis.update_stream_warm_throughput(StreamName="follows", WarmThroughputMiBps=12)["WarmThroughput"]
    assert warm["TargetMiBps"] == 12, warm
    deadline = time.monotonic() + 30
    while summary("follows")["WarmThroughput"]["CurrentMiBps"] < 12:
        assert time.monotonic() < deadline, "no shards for the warm throughput"
        time.sleep(0.2)
    disabled = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "DISABLED"})
    assert disabled["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED_UNTIL_EARLIEST_ALLOWED_END", disabled

    # Nobody chooses: every shard gets its turn, with and without a key.
    strategy = dict(StreamARN=arn, RecordDistributionStrategy="AUTO")
    active = lambda: summary("follows")["StreamStatus"] == "ACTIVE"
    while not active():
        time.sleep(0.1)
    kinesis.update_stream_record_distribution_strategy(**strategy)
    assert summary("follows")["RecordDistributionStrategy"] == "AUTO"
    reply = kinesis.put_records(StreamName="follows", Records=[{"Data": b"x"}] * 12 + [
        {"Data": b"x", "PartitionKey": "same"}] * 12)
    shards = [record["ShardId"] for record in reply["Records"]]
    assert len(set(shards[:12])) == 12 and len(set(shards[12:])) == 12, shards
    put("follows", b"one")
    limits = kinesis.describe_limits()
    assert limits["OnDemandStreamCount"] == 1 and limits["OpenShardCount"] >= 12, limits

    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
    refused("ValidationException", kinesis.update_stream_record_distribution_strategy, **strategy)
    refused("ValidationException", kinesis.put_records, StreamName="follows", Records=[{"Data": b"x"}])
    kinesis.delete_stream(StreamName="follows")


def dry_runs():
    arn = create("dry")
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    iterator = kinesis.get_shard_iterator(StreamName="dry", ShardId=SHARD, ShardIteratorType="LATEST")["ShardIterator"]
    for call, arguments in [
        (kinesis.put_record, dict(StreamName="dry", Data=b"x", PartitionKey="k")),
        (kinesis.put_records, dict(StreamName="dry", Records=[{"Data": b"x", "PartitionKey": "k"}])),
        (kinesis.get_shard_iterator, dict(StreamName="dry", ShardId=SHARD, ShardIteratorType="LATEST")),
        (kinesis.get_records, dict(ShardIterator=iterator, StreamARN=arn)),
        (kinesis.subscribe_to_shard, dict(ConsumerARN=consumer, ShardId=SHARD, StartingPosition={"Type": "LATEST"})),
    ]:
        refused("DryRunOperationException", call, DryRun=True, **arguments)
    assert read("dry") == []
    refused("ResourceNotFoundException", kinesis.put_record, StreamName="nobody", Data=b"", PartitionKey="k", DryRun=True)
    kinesis.delete_stream(StreamName="dry", EnforceConsumerDeletion=True)


def send(body, **headers):
    """A request as no SDK sends it; the status and the reply."""
    headers = {"Content-Type": "application/x-amz-json-1.1"} | headers
    request = AWSRequest("POST", ENDPOINT, data=body, headers=headers)
    SigV4Auth(Credentials("any", "any"), "kinesis", "us-east-1").add_auth(request)
    request = urllib.request.Request(ENDPOINT, body, dict(request.headers), method="POST")
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def compressed_bodies():
    target = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Encoding": "gzip"}
    status, reply = send(gzip.compress(b'{"Limit":5}'), **target)
    assert status == 200 and json.loads(reply)["StreamNames"] == [], reply
    status, reply = send(gzip.compress(b"[" * 30_000_000), **target)
    assert status == 413, (status, reply)
    for body, encoding in [(b"not gzip", "gzip"), (b"{}", "br")]:
        status, reply = send(body, **target | {"Content-Encoding": encoding})
        assert status == 400 and b"SerializationException" in reply, (status, reply)


def main():
    arn, consumer = consumers()
    subscriptions(consumer)
    encryption()
    policies()
    monitoring()
    modes()
    dry_runs()
    compressed_bodies()
    print("boto3: the rest of the API done")


if __name__ == "__main__":
    main()
