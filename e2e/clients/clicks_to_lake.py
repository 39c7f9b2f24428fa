"""Puts clicks into the Stream of crds/examples/deliverystream.yaml for a while, and looks for them where that says they go:
in Parquet files, one folder for each customer and day, without those of health checks.

    clicks_to_lake.py STREAM BUCKET SECONDS
"""

import datetime
import io
import json
import os
import sys
import time

import boto3
import botocore.exceptions
import pyarrow.parquet
from botocore.config import Config

CUSTOMERS = 12
BATCH, PAUSE = 100, 0.1
DELIVERED_MAX = 180
BEGIN = datetime.datetime(2026, 1, 1)

kinesis = boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}))
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"], aws_access_key_id="leatkey",
                  aws_secret_access_key="leatsecret")
stream, bucket, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])


def click(number):
    at = BEGIN + datetime.timedelta(seconds=number)
    return {"customer_id": f"c{number % CUSTOMERS}", "page": "/health" if number % 10 == 0 else f"/page/{number}",
            "duration_ms": number, "at": at.isoformat(sep=" "), "debug": {"thread": number}}


def delivered(known):
    """The clicks in each object of the bucket, read once."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for key in (entry["Key"] for entry in page.get("Contents", [])):
            if key not in known:
                body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                assert key.startswith("clicks/customer="), key
                known[key] = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
    return [(key, row) for key, rows in known.items() for row in rows]


numbers, acknowledged, refusals = range(0), set(), 0
end = time.monotonic() + seconds
while time.monotonic() < end:
    # What was refused or not answered may have been kept: nobody puts it again, and nobody misses it.
    numbers = range(numbers.stop, numbers.stop + BATCH)
    records = [{"Data": json.dumps(click(number)).encode(), "PartitionKey": str(number)} for number in numbers]
    try:
        answers = kinesis.put_records(StreamName=stream, Records=records)["Records"]
        kept = [number for number, answer in zip(numbers, answers) if "ErrorCode" not in answer]
        acknowledged.update(kept)
        refusals += len(kept) < len(numbers)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        print(f"  refused: {error}", flush=True)
        refusals += 1
    time.sleep(PAUSE)

wanted = {number for number in acknowledged if click(number)["page"] != "/health"}
known, deadline = {}, time.monotonic() + DELIVERED_MAX
while wanted - {row["duration_ms"] for _, row in delivered(known)} and time.monotonic() < deadline:
    time.sleep(1)
# What comes too often may come late.
time.sleep(7)
known.clear()
rows = delivered(known)
found = [row["duration_ms"] for _, row in rows]
missing = wanted - set(found)
different = []
for key, row in rows:
    want = click(row["duration_ms"])
    del want["debug"]
    want["at"] = datetime.datetime.fromisoformat(want["at"])
    day = f"day={datetime.datetime.now(datetime.timezone.utc):%Y-}"
    is_where_it_belongs = key.startswith(f"clicks/customer={want['customer_id']}/{day}")
    if row["page"] == "/health" or row | {"at": row["at"].replace(tzinfo=None)} != want or not is_where_it_belongs:
        different.append((key, row))
repeated = len(found) - len(set(found))
print(f"{len(acknowledged):,} clicks acknowledged, {refusals} puts refused; {len(wanted):,} to be delivered, in {len(known)} "
      f"objects: missing {len(missing):,}, repeated {repeated:,}, different {len(different):,}")
if missing or repeated or different:
    sys.exit(f"what was delivered is not what was put: {different[:1]}")
if len(acknowledged) < 1000:
    sys.exit("nearly nothing was put")
