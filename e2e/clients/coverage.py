"""Compares what the server does with the service model of botocore: every operation, every member of a
request and of a reply, every error is seen here, or is in one of the lists below: with the test that sees
it, or with the reason why it never comes.

Members of requests are found by sending each with a value of a wrong type: a server that knows the member
says that the type is wrong, one that ignores it does not. Replies and errors are collected from the
scenarios of boto3_core and boto3_whole, and from refusals that are provoked here. The lists are checked too:
nothing is in them that is seen, no test is named that is not there, and what no operation is to answer is
not in the server's sources.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from botocore import xform_name

from model import ROOT, WRONG, ServiceModel, body_of, members_of, nested

MODEL = ServiceModel("kinesis")

import boto3_core  # noqa: E402  (runs its scenario; the hook must be there before)
import boto3_whole  # noqa: E402

OPERATIONS, SHAPES = MODEL.operations, MODEL.shapes
NAME = "coverage"

# Operations that answer UnknownOperationException with the reason.
UNSUPPORTED_OPERATIONS = {name for name in OPERATIONS if "Channel" in name or "Queue" in name}

# Members of requests that are not looked at.
UNSUPPORTED_INPUT = {
    "StreamId": "AWS: 'Not Implemented. Reserved for future use.'",
}

STREAMS_API = "dataplane/crates/streams-api/tests/it/main.rs"
WHOLE = "e2e/tests/it/whole.rs"
LIMITS = (WHOLE, "a_stream_with_the_limits_of_aws_throttles_as_aws")
KEY_TAKEN_OUT = (WHOLE, "a_key_that_is_taken_out_of_the_key_file_is_asked_for_by_name")
OTHER_ACCOUNTS = (WHOLE, "policies_let_other_accounts_in")
BEING_CHANGED = (STREAMS_API, "a_stream_that_is_being_changed_is_in_use")
COMMITMENT = (STREAMS_API, "a_commitment_lasts_a_day")
TOKENS = (STREAMS_API, "tokens_expire_after_five_minutes")

# What an operation answers, a member of its reply or an error, and the test that sees it.
SEEN_ELSEWHERE = {
    ("DescribeAccountSettings", ".MinimumThroughputBillingCommitment.EndedAt"): COMMITMENT,
    # The test sees it in DescribeAccountSettings, whose reply is of the same type.
    ("UpdateAccountSettings", ".MinimumThroughputBillingCommitment.EndedAt"): COMMITMENT,
    ("PutRecords", ".Records.ErrorCode"): LIMITS,
    ("PutRecords", ".Records.ErrorMessage"): LIMITS,
    ("PutRecord", "ProvisionedThroughputExceededException"): LIMITS,
    ("GetRecords", "ProvisionedThroughputExceededException"): LIMITS,
    ("RegisterStreamConsumer", "LimitExceededException"): LIMITS,
    ("GetRecords", "ExpiredIteratorException"): (STREAMS_API, "iterators_expire_after_five_minutes"),
    ("ListStreams", "ExpiredNextTokenException"): TOKENS,
    ("ListShards", "ExpiredNextTokenException"): TOKENS,
    ("ListStreamConsumers", "ExpiredNextTokenException"): TOKENS,
} | {
    (operation, "KMSNotFoundException"): KEY_TAKEN_OUT for operation in ("PutRecord", "PutRecords", "GetRecords")
} | {
    (operation, "AccessDeniedException"): OTHER_ACCOUNTS
    for operation in ("DeleteResourcePolicy", "GetResourcePolicy", "PutResourcePolicy")
} | {
    (operation, "ResourceInUseException"): BEING_CHANGED
    for operation in ("DecreaseStreamRetentionPeriod", "DisableEnhancedMonitoring", "EnableEnhancedMonitoring",
                      "IncreaseStreamRetentionPeriod", "MergeShards", "SplitShard", "StartStreamEncryption",
                      "StopStreamEncryption", "UpdateMaxRecordSize", "UpdateShardCount", "UpdateStreamMode",
                      "UpdateStreamRecordDistributionStrategy", "UpdateStreamWarmThroughput")
}

# What an operation never answers, and why.
NEVER_ANSWERED = {
    ("DescribeStreamSummary", ".StreamDescriptionSummary.StreamId"): "see StreamId above",
    ("GetShardIterator", "ProvisionedThroughputExceededException"):
        "the shard may be asked where to begin, which takes none of its five reads a second",
    ("PutRecords", "ProvisionedThroughputExceededException"): "record by record, in ErrorCode, as AWS does",
    ("CreateStream", "LimitExceededException"):
        "an account has any number of streams; too many shards for any stream are an InvalidArgumentException",
    ("SubscribeToShard", "LimitExceededException"):
        "what comes too early after another subscription is a ResourceInUseException; calls are not counted",
} | {
    (operation, "LimitExceededException"): "an account has any number of shards"
    for operation in ("MergeShards", "SplitShard")
} | {
    (operation, "LimitExceededException"): "as often a day as one likes"
    for operation in ("StartStreamEncryption", "StopStreamEncryption", "UpdateStreamMode")
} | {
    (operation, "LimitExceededException"): "more than 50 tags are an InvalidArgumentException; calls are not counted"
    for operation in ("AddTagsToStream", "TagResource")
} | {
    (operation, "LimitExceededException"): "AWS limits how often it is called; here calls are not counted"
    for operation in ("DecreaseStreamRetentionPeriod", "DeleteResourcePolicy", "DeleteStream",
                      "DeregisterStreamConsumer", "DescribeAccountSettings", "DescribeLimits", "DescribeStream",
                      "DescribeStreamConsumer", "DescribeStreamSummary", "DisableEnhancedMonitoring",
                      "EnableEnhancedMonitoring", "GetResourcePolicy", "IncreaseStreamRetentionPeriod", "ListShards",
                      "ListStreamConsumers", "ListStreams", "ListTagsForResource", "ListTagsForStream",
                      "PutResourcePolicy", "RemoveTagsFromStream", "UntagResource", "UpdateMaxRecordSize",
                      "UpdateStreamRecordDistributionStrategy", "UpdateStreamWarmThroughput")
} | {
    (operation, "InvalidArgumentException"):
        "its members have constraints, and no rule beside them; only a Kubernetes API server may have one"
    for operation in ("DeleteResourcePolicy", "GetResourcePolicy", "ListTagsForResource", "UntagResource",
                      "UpdateAccountSettings", "UpdateMaxRecordSize", "UpdateStreamMode",
                      "UpdateStreamRecordDistributionStrategy")
} | {
    (operation, "ResourceInUseException"): "a stream that is being changed can be looked at"
    for operation in ("GetResourcePolicy", "ListShards", "ListStreamConsumers", "ListTagsForResource")
} | {
    (operation, "ResourceInUseException"):
        "changes come one after another; only other gateways can get ahead of one, sixteen times, before it is refused"
    for operation in ("AddTagsToStream", "DeleteResourcePolicy", "PutResourcePolicy", "RemoveTagsFromStream",
                      "TagResource", "UntagResource")
} | {
    (operation, "InternalFailureException"): "a defect is an InternalFailure, a disk that fails a ServiceUnavailable"
    for operation in ("DeleteResourcePolicy", "GetRecords", "GetResourcePolicy", "GetShardIterator",
                      "ListTagsForResource", "PutRecord", "PutRecords", "PutResourcePolicy", "TagResource",
                      "UntagResource")
} | {
    (operation, error): reason
    for operation in ("GetRecords", "PutRecord", "PutRecords", "StartStreamEncryption")
    for error, reason in {
        "KMSDisabledException": "a key is in the key file, or it is not",
        "KMSInvalidStateException": "a key is in the key file, or it is not",
        "KMSAccessDeniedException": "a key is in the key file, or it is not",
        "KMSOptInRequired": "there is no account to opt in with",
        "KMSThrottlingException": "the key file is read without a limit",
    }.items()
}

# Where the server makes the errors that most operations never answer. Who adds a place adds a test of its
# operation, here or in SEEN_ELSEWHERE.
SOURCES = "dataplane/crates/streams-api/src"
MADE_IN = {
    "LimitExceededException": {
        "ops/register_stream_consumer.rs", "ops/update_shard_count.rs",
        "errors.rs",  # UpdateAccountSettings, when another change came first.
    },
    "InternalFailureException": {"subscription.rs"},  # In the events of SubscribeToShard, whose error it is not.
    "KMSDisabledException": set(),
    "KMSInvalidStateException": set(),
    "KMSAccessDeniedException": set(),
    "KMSOptInRequired": set(),
    "KMSThrottlingException": set(),
}

def call(operation, body):
    status, reply = boto3_whole.send(json.dumps(body).encode(),
                                     **{"X-Amz-Target": f"Kinesis_20131202.{operation}"})
    return status, json.loads(reply) if reply else {}


def missing_inputs():
    for operation in OPERATIONS:
        if operation in UNSUPPORTED_OPERATIONS:
            continue
        for path, kind in MODEL.inputs(operation, UNSUPPORTED_INPUT):
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
    kinesis.describe_account_settings()
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
        method = getattr(kinesis, xform_name(operation))
        try:
            method(**arguments(operation, stream, more))
        except kinesis.exceptions.ClientError:
            pass

    def crowd(error, operation):
        """Changes at the same time, of which one comes first."""
        deadline = time.monotonic() + 60
        with ThreadPoolExecutor(48) as pool:
            while error not in MODEL.seen_errors[operation] and time.monotonic() < deadline:
                for call in [pool.submit(attempt, operation, arn) for _ in range(48)]:
                    call.result()

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
    attempt("UpdateShardCount", arn, TargetShardCount=20_000)
    crowd("LimitExceededException", "UpdateAccountSettings")
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


def missing_answers():
    """Members of replies, and errors, that are neither seen nor excused, and excuses that are none."""
    for event in boto3_whole.events_seen:
        MODEL.seen_members["SubscribeToShard"].update(members_of({"EventStream": {"SubscribeToShardEvent": event}}))
    excused = SEEN_ELSEWHERE.keys() | NEVER_ANSWERED.keys()
    answers = set()
    for operation in sorted(set(OPERATIONS) - UNSUPPORTED_OPERATIONS):
        seen = MODEL.seen(operation)
        for answer in MODEL.answers(operation):
            answers.add((operation, answer))
            if answer not in seen and (operation, answer) not in excused:
                yield f"{operation}: {answer} is never seen, but {sorted(MODEL.seen_errors[operation])}"
            if answer in seen and (operation, answer) in excused:
                yield f"{operation}: {answer} is seen, and excused all the same"
    for operation, answer in sorted(excused - answers) + sorted(SEEN_ELSEWHERE.keys() & NEVER_ANSWERED.keys()):
        yield f"{operation}: {answer} is not in the model, or is excused twice"


def missing_tests():
    """Tests that are named above and do not exist, or do not speak of what they are named for."""
    for (operation, answer), test in SEEN_ELSEWHERE.items():
        body = body_of(*test)
        for name in (operation, answer.split(".")[-1]):
            if body is None or name not in body and xform_name(name) not in body:
                yield f"{operation}: {answer} is not seen by {test}: {name}"


def unknown_places():
    for error, known in MADE_IN.items():
        name = error.replace("KMS", "Kms")
        files = sorted((ROOT / SOURCES).rglob("*.rs"))
        found = {str(file.relative_to(ROOT / SOURCES)) for file in files if f"ErrorCode::{name}" in file.read_text()}
        if found != known:
            yield f"{error} is made in {sorted(found)}, and known from {sorted(known)}"


boto3_whole.main()
provoke()
problems = [*missing_operations(), *missing_inputs(), *missing_answers(), *missing_tests(), *unknown_places()]
assert not problems, "\n".join([f"{len(problems)} gaps:", *problems])
print(f"coverage: {len(OPERATIONS)} operations of the model, {len(UNSUPPORTED_OPERATIONS)} of them not supported")
