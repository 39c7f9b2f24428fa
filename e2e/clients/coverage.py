"""Compares what the server does with the service model of botocore: every operation, every member of a
request and of a reply, every error is seen here, or is in one of the lists below with the reason.

Members of requests are found by sending each with a value of a wrong type: a server that knows the member
says that the type is wrong, one that ignores it does not. Replies and errors are collected from the
scenarios of boto3_core and boto3_whole, and from refusals that are provoked here.
"""

import collections
import json

import boto3
from botocore.loaders import Loader

seen_members = collections.defaultdict(set)
seen_errors = collections.defaultdict(set)


def members_of(value, path=""):
    """The paths of all members in a parsed reply."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from members_of(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from members_of(inner, path)


def record(parsed, model, **_):
    if "Error" in parsed:
        seen_errors[model.name].add(parsed["Error"]["Code"])
    else:
        seen_members[model.name].update(members_of(parsed))


boto3.setup_default_session()
boto3.DEFAULT_SESSION.events.register("after-call.kinesis.*", record)

import boto3_core  # noqa: E402  (runs its scenario; the hook must be there before)
import boto3_whole  # noqa: E402

MODEL = Loader().load_service_model("kinesis", "service-2")
OPERATIONS, SHAPES = MODEL["operations"], MODEL["shapes"]
NAME = "coverage"

# Operations that answer UnknownOperationException with the reason.
UNSUPPORTED_OPERATIONS = {name for name in OPERATIONS if "Channel" in name or "Queue" in name}

# Members of requests that are not looked at.
UNSUPPORTED_INPUT = {
    "StreamId": "AWS: 'Not Implemented. Reserved for future use.'",
}

# Members of replies that never come.
UNSUPPORTED_OUTPUT = {
    "DescribeStreamSummary.StreamDescriptionSummary.StreamId": "see StreamId above",
    "DescribeAccountSettings.MinimumThroughputBillingCommitment.EndedAt": "24 hours after the commitment is given up",
    "UpdateAccountSettings.MinimumThroughputBillingCommitment.EndedAt": "24 hours after the commitment is given up",
    "DescribeAccountSettings.MinimumThroughputBillingCommitment.StartedAt": "seen in UpdateAccountSettings",
    "DescribeAccountSettings.MinimumThroughputBillingCommitment.EarliestAllowedEndAt": "seen in UpdateAccountSettings",
    "PutRecords.Records.ErrorCode": "needs a throttled shard: e2e/tests/it/process.rs",
    "PutRecords.Records.ErrorMessage": "needs a throttled shard: e2e/tests/it/process.rs",
}

# Errors that are never answered, by any operation.
UNSUPPORTED_ERRORS = {
    "LimitExceededException": "no rate of calls and no number of streams or shards is limited; limits there are "
                              "(consumers, AWS's step of UpdateShardCount) are seen where they apply",
    "KMSDisabledException": "a key is in the key file, or it is not",
    "KMSInvalidStateException": "a key is in the key file, or it is not",
    "KMSAccessDeniedException": "a key is in the key file, or it is not",
    "KMSOptInRequired": "there is no account to opt in with",
    "KMSThrottlingException": "keys are read once, at the start",
    "InternalFailureException": "a defect, or a disk that fails",
}

# Errors of one operation that are not provoked here.
NOT_PROVOKED = {
    ("PutRecord", "ProvisionedThroughputExceededException"): "needs limits: AWS: e2e/tests/it/process.rs",
    ("PutRecords", "ProvisionedThroughputExceededException"): "answered record by record, as AWS does",
    ("GetRecords", "ProvisionedThroughputExceededException"): "needs limits: AWS: e2e/tests/it/process.rs",
    ("GetShardIterator", "ProvisionedThroughputExceededException"): "iterators are made without touching the shard",
    ("GetRecords", "ExpiredIteratorException"): "after five minutes: streams-api/tests/it",
    ("ListStreams", "ExpiredNextTokenException"): "after five minutes: streams-api/tests/it",
    ("ListShards", "ExpiredNextTokenException"): "after five minutes: streams-api/tests/it",
    ("ListStreamConsumers", "ExpiredNextTokenException"): "after five minutes: streams-api/tests/it",
    ("PutRecord", "KMSNotFoundException"): "after a key was taken out of the key file: e2e/tests/it/process.rs",
    ("PutRecords", "KMSNotFoundException"): "after a key was taken out of the key file: e2e/tests/it/process.rs",
    ("GetRecords", "KMSNotFoundException"): "after a key was taken out of the key file: e2e/tests/it/process.rs",
} | {
    (operation, "AccessDeniedException"): "only other accounts are denied it: e2e/tests/it/whole.rs"
    for operation in ("DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy")
} | {
    (operation, "InvalidArgumentException"): "its members have constraints, and no rule beside them"
    for operation in ("DeleteResourcePolicy", "GetResourcePolicy", "ListTagsForResource", "UntagResource",
                      "UpdateAccountSettings", "UpdateMaxRecordSize", "UpdateStreamMode",
                      "UpdateStreamRecordDistributionStrategy")
} | {
    (operation, "ResourceInUseException"): "while a stream is being changed: streams-api/tests/it"
    for operation in ("DecreaseStreamRetentionPeriod", "DisableEnhancedMonitoring", "EnableEnhancedMonitoring",
                      "IncreaseStreamRetentionPeriod", "MergeShards", "SplitShard", "StartStreamEncryption",
                      "StopStreamEncryption", "UpdateMaxRecordSize", "UpdateShardCount", "UpdateStreamMode",
                      "UpdateStreamRecordDistributionStrategy", "UpdateStreamWarmThroughput")
}
# Where AWS answers ResourceInUse while a stream is being changed, these do what they are asked.
WORKS_IN_ANY_STATE = {
    "AddTagsToStream", "RemoveTagsFromStream", "TagResource", "UntagResource", "ListTagsForResource",
    "PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy", "ListShards", "ListStreamConsumers",
}

WRONG = {"string": {}, "integer": "x", "long": "x", "double": "x", "boolean": "x", "timestamp": {}, "blob": {},
         "list": "x", "map": "x", "structure": "x"}


def inputs(shape, path=()):
    """Every member of a request: its path and its type."""
    for name, member in SHAPES[shape].get("members", {}).items():
        inner = SHAPES[member["shape"]]
        yield path + (name,), inner["type"]
        if inner["type"] == "structure":
            yield from inputs(member["shape"], path + (name,))
        if inner["type"] == "list":
            element = SHAPES[inner["member"]["shape"]]
            yield path + (name, 0), element["type"]
            if element["type"] == "structure":
                yield from inputs(inner["member"]["shape"], path + (name, 0))
        if inner["type"] == "map":
            yield path + (name, "key"), SHAPES[inner["value"]["shape"]]["type"]


def outputs(shape, path="", within=()):
    """Every member of a reply."""
    if shape in within:
        return
    kind = SHAPES[shape]
    if kind["type"] == "list":
        yield from outputs(kind["member"]["shape"], path, within)
    for name, member in kind.get("members", {}).items():
        if not SHAPES[member["shape"]].get("exception"):
            yield f"{path}.{name}"
            yield from outputs(member["shape"], f"{path}.{name}", within + (shape,))


def nested(path, value):
    for step in reversed(path):
        value = [value] if step == 0 else {step: value}
    return value


def call(operation, body):
    status, reply = boto3_whole.send(json.dumps(body).encode(),
                                     **{"X-Amz-Target": f"Kinesis_20131202.{operation}"})
    return status, json.loads(reply) if reply else {}


def missing_inputs():
    for operation, description in OPERATIONS.items():
        if operation in UNSUPPORTED_OPERATIONS:
            continue
        for path, kind in inputs(description["input"]["shape"]):
            if path[0] in UNSUPPORTED_INPUT:
                continue
            status, reply = call(operation, nested(path, WRONG[kind]))
            if (status, reply.get("__type")) != (400, "SerializationException"):
                yield f"{operation}: {'.'.join(map(str, path))} of the request is not known: {reply}"


def missing_operations():
    for operation in OPERATIONS:
        status, reply = call(operation, {"Junk": 1})
        is_unknown = reply.get("__type") == "UnknownOperationException"
        if is_unknown != (operation in UNSUPPORTED_OPERATIONS):
            yield f"{operation}: {reply}"
        if is_unknown and "not supported by this service" not in reply["message"]:
            yield f"{operation}: no reason: {reply}"


def missing_outputs():
    for event in boto3_whole.events_seen:
        seen_members["SubscribeToShard"].update(members_of({"EventStream": {"SubscribeToShardEvent": event}}))
    for operation, description in OPERATIONS.items():
        if operation in UNSUPPORTED_OPERATIONS or "output" not in description:
            continue
        for path in outputs(description["output"]["shape"]):
            if path not in seen_members[operation] and operation + path not in UNSUPPORTED_OUTPUT:
                yield f"{operation}: {path[1:]} of the reply is never seen"


# Arguments that are right but for the stream, which does not exist.
NOBODY = "arn:aws:kinesis:us-east-1:000000000000:stream/nobody"
RIGHT = {
    "Tags": {"k": "v"}, "TagKeys": ["k"], "RetentionPeriodHours": 48, "ShardLevelMetrics": ["ALL"],
    "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST", "ShardToMerge": "shardId-000000000000",
    "AdjacentShardToMerge": "shardId-000000000001", "Data": b"x", "PartitionKey": "k",
    "Records": [{"Data": b"x", "PartitionKey": "k"}], "Policy": None, "ConsumerName": "c",
    "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "100", "EncryptionType": "KMS",
    "KeyId": "alias/aws/kinesis", "StartingPosition": {"Type": "LATEST"}, "MaxRecordSizeInKiB": 2048,
    "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING", "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
    "RecordDistributionStrategy": "USER_PARTITION_KEY", "WarmThroughputMiBps": 1,
    "MinimumThroughputBillingCommitment": {"Status": "ENABLED"},
}
DENY = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}


def provoke():
    """Refusals that the scenarios leave out."""
    kinesis = boto3_whole.kinesis
    arn = boto3_whole.create(NAME)
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    iterator = kinesis.get_shard_iterator(StreamName=NAME, ShardId="shardId-000000000000",
                                          ShardIteratorType="LATEST")["ShardIterator"]
    kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    RIGHT["Policy"] = json.dumps(DENY)

    def arguments(operation, stream, more):
        members = SHAPES[OPERATIONS[operation]["input"]["shape"]]["members"]
        required = SHAPES[OPERATIONS[operation]["input"]["shape"]].get("required", [])
        names = {"StreamARN": stream, "ResourceARN": stream, "ShardIterator": iterator,
                 "ConsumerARN": consumer.replace(NAME, stream.split("/")[-1])}
        given = {name: names.get(name, RIGHT.get(name)) for name in required}
        given |= {name: names[name] for name in ("StreamARN", "ConsumerARN") if name in members}
        if operation == "PutRecord":
            given["PartitionKey"] = "k"
        return {k: v for k, v in (given | more).items() if k in members}

    def attempt(operation, stream, **more):
        method = getattr(kinesis, boto3_whole.boto3.session.botocore.xform_name(operation))
        try:
            method(**arguments(operation, stream, more))
        except kinesis.exceptions.ClientError:
            pass

    operations = sorted(set(OPERATIONS) - UNSUPPORTED_OPERATIONS - {"CreateStream", "UpdateAccountSettings"})
    for operation in operations:
        attempt(operation, NOBODY)
        attempt(operation, NOBODY, StreamName="other", ConsumerName="other")
        if operation != "DeregisterStreamConsumer":
            wrong = arn.replace("stream/", "queue/") if "Resource" in operation else arn
            attempt(operation, wrong, StreamName="x" * 200)
        attempt(operation, "arn:wrong")
    many = {f"k{n}": "" for n in range(60)}
    attempt("CreateStream", arn, StreamName="many", ShardCount=20_000)
    attempt("RegisterStreamConsumer", arn, Tags=many)
    attempt("TagResource", arn, Tags=many)
    attempt("ListStreamConsumers", arn, NextToken="wrong")
    attempt("ListStreams", arn, NextToken="wrong")
    attempt("SubscribeToShard", arn, StartingPosition={"Type": "AT_SEQUENCE_NUMBER"})
    attempt("UpdateAccountSettings", arn, MinimumThroughputBillingCommitment={"Status": "PERHAPS"})
    boto3_whole.create("gone")
    gone = kinesis.get_shard_iterator(StreamName="gone", ShardId="shardId-000000000000", ShardIteratorType="LATEST")
    kinesis.delete_stream(StreamName="gone")
    attempt("GetRecords", arn.replace(NAME, "gone"), ShardIterator=gone["ShardIterator"])
    for resource in (consumer, arn):
        kinesis.put_resource_policy(ResourceARN=resource, Policy=json.dumps(DENY))
    for operation in operations:
        # The owner can always change a policy.
        if not operation.endswith("ResourcePolicy"):
            attempt(operation, arn)


def missing_errors():
    for operation, description in OPERATIONS.items():
        if operation in UNSUPPORTED_OPERATIONS:
            continue
        for error in description.get("errors", []):
            error = error["shape"]
            excused = (
                error in seen_errors[operation] or error in UNSUPPORTED_ERRORS or (operation, error) in NOT_PROVOKED
                or error == "ResourceInUseException" and operation in WORKS_IN_ANY_STATE
            )
            if not excused:
                yield f"{operation}: {error} is never seen, but {sorted(seen_errors[operation])}"


boto3_whole.main()
provoke()
problems = [*missing_operations(), *missing_inputs(), *missing_outputs(), *missing_errors()]
assert not problems, "\n".join([f"{len(problems)} gaps:", *problems])
print(f"coverage: {len(OPERATIONS)} operations of the model, {len(UNSUPPORTED_OPERATIONS)} of them not supported")
