"""Compares what the server does with botocore's service model of Firehose: every operation, every member of a
request and of a reply, every error is seen here, or is in one of the lists below: with the test that sees it,
or with the reason why it never comes.

As coverage.py does it for Data Streams. Descriptions of destinations nest deeply, so a reason holds for a
member and all that is in it.
"""

import json

from model import ROOT, WRONG, ServiceModel, body_of, nested

MODEL = ServiceModel("firehose")

import boto3_firehose  # noqa: E402  (makes its clients; the hook must be there before)

OPERATIONS = MODEL.operations

# Members of requests that are refused as they are, whatever is in them.
UNSUPPORTED_INPUT = {
    "MSKSourceConfiguration": "the source is a Stream or producers",
    "DatabaseSourceConfiguration": "the source is a Stream or producers",
}
# Members that are read, and always refused: how to go on is said in the refusal.
REFUSED_INPUT = {
    "ElasticsearchDestinationConfiguration": "DomainARN",
    "AmazonopensearchserviceDestinationConfiguration": "DomainARN",
}

FIREHOSE_API = "dataplane/crates/firehose-api/tests/it"
PARTIAL = (f"{FIREHOSE_API}/put.rs", "each_record_of_a_batch_has_its_own_answer")
NOT_ACTIVE = (f"{FIREHOSE_API}/life.rs", "what_is_not_active_is_in_use")

# What an operation answers, a member of its reply or an error, and the test that sees it.
SEEN_ELSEWHERE = {
    ("PutRecordBatch", ".RequestResponses.ErrorCode"): PARTIAL,
    ("PutRecordBatch", ".RequestResponses.ErrorMessage"): PARTIAL,
} | {
    (operation, error): PARTIAL
    for operation in ("PutRecord", "PutRecordBatch")
    for error in ("InvalidKMSResourceException", "ServiceUnavailableException")
    # A batch says of each record that it was not taken.
    if (operation, error) != ("PutRecordBatch", "ServiceUnavailableException")
} | {
    (operation, "ResourceInUseException"): NOT_ACTIVE
    for operation in ("DeleteDeliveryStream", "StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption",
                      "TagDeliveryStream", "UntagDeliveryStream", "UpdateDestination")
}

DESCRIBED = ".DeliveryStreamDescription"
DESTINATION = f"{DESCRIBED}.Destinations"

# What an operation never answers, and why.
NEVER_ANSWERED = {
    ("DescribeDeliveryStream", f"{DESCRIBED}.FailureDescription"):
        "what cannot be made is refused in the call, and is in the conditions of the resource",
    ("DescribeDeliveryStream", f"{DESCRIBED}.DeliveryStreamEncryptionConfiguration.FailureDescription"):
        "a key that is not there is refused in the call",
    ("DescribeDeliveryStream", f"{DESCRIBED}.Source.MSKSourceDescription"): "see MSKSourceConfiguration above",
    ("DescribeDeliveryStream", f"{DESCRIBED}.Source.DatabaseSourceDescription"):
        "see DatabaseSourceConfiguration above",
    ("DescribeDeliveryStream", f"{DESTINATION}.SplunkDestinationDescription.HECToken"): "secrets are never told",
    ("PutRecordBatch", "ServiceUnavailableException"): "record by record, in ErrorCode",
    ("CreateDeliveryStream", "LimitExceededException"): "an account has any number of delivery streams",
} | {
    ("DescribeDeliveryStream", f"{DESTINATION}.{kind}DestinationDescription.DomainARN"): "DomainARN is refused"
    for kind in ("Elasticsearch", "Amazonopensearchservice")
} | {
    ("DescribeDeliveryStream", f"{DESTINATION}.{kind}DestinationDescription.VpcConfigurationDescription.VpcId"):
        "there is no VPC: what the call said of one is told again, and it did not say its id"
    for kind in ("Elasticsearch", "Amazonopensearchservice", "AmazonOpenSearchServerless")
} | {
    (operation, "InvalidSourceException"):
        "anybody may put what CloudWatch Logs puts; other sources are an InvalidArgumentException, as on AWS"
    for operation in ("PutRecord", "PutRecordBatch")
} | {
    (operation, "LimitExceededException"): "as often a day as one likes"
    for operation in ("StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption")
} | {
    (operation, "LimitExceededException"): "AWS limits how often it is called; here calls are not counted"
    for operation in ("ListTagsForDeliveryStream", "UntagDeliveryStream")
} | {
    (operation, "InvalidArgumentException"): "its members have constraints, and no rule beside them"
    for operation in ("ListTagsForDeliveryStream", "UntagDeliveryStream")
}

def call(operation, body):
    status, reply = boto3_firehose.send(operation, json.dumps(body).encode())
    return status, json.loads(reply) if reply else {}


def missing_operations():
    for operation in OPERATIONS:
        status, reply = call(operation, {"Junk": 1})
        if reply.get("__type") == "UnknownOperationException":
            yield f"{operation}: {reply}"


def missing_inputs():
    for operation in OPERATIONS:
        for path, kind in MODEL.inputs(operation, UNSUPPORTED_INPUT):
            status, reply = call(operation, nested(path, WRONG[kind]))
            if (status, reply.get("__type")) != (400, "SerializationException"):
                yield f"{operation}: {'.'.join(map(str, path))} of the request is not known: {reply}"


def silent_inputs():
    """What is not supported is refused, and named in the refusal."""
    bucket = {"ExtendedS3DestinationConfiguration": boto3_firehose.BUCKET}
    arn = "arn:aws:es:us-east-1:000000000000:domain/logs"
    search = boto3_firehose.search(DomainARN=arn)
    bodies = {member: bucket | {member: {}} for member in UNSUPPORTED_INPUT}
    bodies |= {(kind, member): {kind: search} for kind, member in REFUSED_INPUT.items()}
    for member, body in bodies.items():
        status, reply = call("CreateDeliveryStream", {"DeliveryStreamName": "silent"} | body)
        name = member if isinstance(member, str) else member[1]
        if reply.get("__type") != "InvalidArgumentException" or name not in reply["message"]:
            yield f"CreateDeliveryStream: {member} is not refused: {reply}"


def excuse(operation, answer, excuses):
    """The excuse that holds for an answer: its own, or that of what it is in."""
    steps = answer.split(".")
    for length in range(len(steps), 0, -1):
        found = (operation, ".".join(steps[:length]))
        if found in excuses:
            return found
    return None


def missing_answers():
    """Members of replies, and errors, that are neither seen nor excused, and excuses that are none."""
    excuses = SEEN_ELSEWHERE.keys() | NEVER_ANSWERED.keys()
    used = set()
    for operation in sorted(OPERATIONS):
        seen = MODEL.seen(operation)
        for answer in MODEL.answers(operation):
            excused = excuse(operation, answer, excuses)
            used.add(excused)
            if answer not in seen and excused is None:
                yield f"{operation}: {answer} is never seen, but {sorted(MODEL.seen_errors[operation])}"
            if answer in seen and excused is not None:
                yield f"{operation}: {answer} is seen, and excused all the same"
    for operation, answer in sorted(excuses - used) + sorted(SEEN_ELSEWHERE.keys() & NEVER_ANSWERED.keys()):
        yield f"{operation}: {answer} is not in the model, or is excused twice"


def missing_tests():
    """Tests that are named above and do not exist, or do not speak of what they are named for. The operations
    may stand beside the test, in the list that it goes through."""
    for (operation, answer), test in SEEN_ELSEWHERE.items():
        body = body_of(*test)
        is_named = operation in (ROOT / test[0]).read_text()
        if body is None or answer.split(".")[-1] not in body or not is_named:
            yield f"{operation}: {answer} is not seen by {test}"


boto3_firehose.main()
problems = [*missing_operations(), *missing_inputs(), *silent_inputs(), *missing_answers(), *missing_tests()]
assert not problems, "\n".join([f"{len(problems)} gaps:", *problems])
print(f"coverage: {len(OPERATIONS)} operations of Firehose's model")
