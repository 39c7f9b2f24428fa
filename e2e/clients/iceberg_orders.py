"""Puts changes of orders into the Stream `orders`, and compares the tables that they are applied to.

    iceberg_orders.py CATALOG
"""

import json
import sys

import boto3
from pyiceberg.types import IntegerType, LongType, StringType

import iceberg_tables


def main(endpoint):
    iceberg_tables.create(endpoint, "shop.orders", {"order_id": LongType(), "status": StringType()})
    iceberg_tables.create(endpoint, "shop.refunds", {"refund_id": StringType(), "amount": IntegerType()})
    wanted, records = {"orders": {}, "refunds": {}}, []
    for number in range(2_000):
        order = {"type": "orders", "op": "insert", "order_id": number, "status": "placed"}
        records.append(order)
        wanted["orders"][number] = order
        if number % 2:
            paid = order | {"op": "update", "status": "paid", "payment": {"method": "card", "amount": number / 4}}
            records.append(paid)
            wanted["orders"][number] = paid
        if number % 3 == 0:
            records.append({"type": "orders", "op": "delete", "order_id": number})
            del wanted["orders"][number]
        if number % 5 == 0:
            refund = {"type": "refunds", "op": "update", "refund_id": f"r{number % 100}", "amount": number * 2**21}
            records.append(refund)
            wanted["refunds"][refund["refund_id"]] = refund
    client = boto3.client("kinesis")
    for start in range(0, len(records), 500):
        # Those of an order have the same key, and so one order.
        entries = [{"Data": json.dumps(record).encode(), "PartitionKey": str(record.get("order_id", record.get("refund_id")))}
                   for record in records[start:start + 500]]
        assert client.put_records(StreamName="orders", Records=entries)["FailedRecordCount"] == 0
    iceberg_tables.compare(endpoint, "shop.orders", wanted["orders"], "order_id")
    iceberg_tables.compare(endpoint, "shop.refunds", wanted["refunds"], "refund_id")
    print("ok: orders are as their changes left them")


main(*sys.argv[1:])
