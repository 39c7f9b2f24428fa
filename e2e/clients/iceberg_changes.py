"""Changes of flights in a table of Apache Iceberg, which is compared row by row with what they leave.

    iceberg_changes.py insert ARCHIVE DELIVERY_STREAM CATALOG TABLE [PARTITION...]   makes the table, and adds flights
    iceberg_changes.py change ARCHIVE DELIVERY_STREAM CATALOG TABLE                  updates and deletes some
    iceberg_changes.py grow ARCHIVE DELIVERY_STREAM CATALOG TABLE                    adds flights that hold more and more
"""

import csv
import itertools
import random
import sys

from pyiceberg.types import FloatType, IntegerType, LongType, StringType

import iceberg_tables
import nycflights

FLIGHTS, CHANGES, GROWING = 40_000, 20_000, 12_000
COLUMNS = {"number": LongType(), "carrier": StringType(), "tailnum": StringType(), "origin": StringType(),
           "dest": StringType(), "distance": LongType(), "note": StringType(), "op": StringType()}
CARRIERS = ["UA", "AA", "B6", "DL", "EV", "MQ", "US", "WN"]


def flights(archive):
    for number, row in enumerate(itertools.islice(csv.DictReader(nycflights.lines(archive)), FLIGHTS)):
        texts = {name: row[name] for name in ("carrier", "tailnum", "origin", "dest") if row[name] not in ("", "NA")}
        yield {"number": number, "distance": int(row["distance"]), **texts, "op": "insert"}


def changes(rows):
    """Updates, deletes, rows that were not there, rows that come back; the same whenever it is asked for. Whatever part
    of a call is put again with it, what it leaves is the same."""
    chance, put = random.Random(7), 0
    for at in range(CHANGES):
        put += 1
        number = chance.randrange(FLIGHTS + 2_000)
        what = chance.random()
        if what < 0.3:
            yield {"op": "delete", "number": number}
            continue
        row = rows[number] if number < FLIGHTS else {"number": number, "distance": at}
        # It goes to another partition.
        changed = row | {"carrier": chance.choice(CARRIERS), "note": f"changed by {at}", "op": "update"}
        if what < 0.4 and put % iceberg_tables.CALL != 0:
            yield {"op": "delete", "number": number}
            put += 1
            changed["op"] = "insert"
        yield changed


def insert(archive, stream, endpoint, name, *partitions):
    iceberg_tables.create(endpoint, name, COLUMNS, partitions)
    rows = list(flights(archive))
    iceberg_tables.put(stream, rows)
    iceberg_tables.compare(endpoint, name, {row["number"]: row for row in rows}, "number")


def change(archive, stream, endpoint, name):
    rows = list(flights(archive))
    wanted = {row["number"]: row for row in rows}
    records = list(changes(rows))
    for record in records:
        if record["op"] == "delete":
            wanted.pop(record["number"], None)
        else:
            wanted[record["number"]] = record
    again = iceberg_tables.put(stream, records)
    print(f"put {len(records):,} changes, {again} calls again")
    iceberg_tables.compare(endpoint, name, wanted, "number")
    table = iceberg_tables.catalog(endpoint).load_table(name)
    commits = [snapshot.summary for snapshot in table.metadata.snapshots]
    delivered = [summary for summary in commits if summary["leat.delivery-stream"] == stream]
    assert len(delivered) == len(commits), "somebody else has committed"
    firsts = [summary["leat.first-record"] for summary in commits]
    assert len(set(firsts)) == len(firsts), "a batch was committed twice"
    try:
        table.scan().to_arrow()
    except ValueError as error:
        assert "equality" in str(error), error
    else:
        raise AssertionError("pyiceberg reads equality deletes by now: say so on the page")
    deletes = sum(int(summary.additional_properties.get("added-equality-deletes", 0)) for summary in commits)
    print(f"ok: {len(commits)} commits, {deletes:,} equality deletes")


def grow(archive, stream, endpoint, name):
    columns = {"number": IntegerType(), "carrier": StringType(), "speed": FloatType(), "op": StringType()}
    iceberg_tables.create(endpoint, name, columns)
    rows = list(itertools.islice(flights(archive), GROWING))
    kept = [{column: row[column] for column in ("number", "carrier", "op")} | {"speed": 0.5} for row in rows]
    third = GROWING // 3
    # Half-way there are more columns, and values that are too large for those that are.
    for row, more in zip(kept[third:], rows[third:]):
        row["distance"] = more["distance"]
        row["route"] = {"origin": more["origin"], "dest": more["dest"]}
        row["speed"] = 0.123456789
    for row in kept[2 * third:]:
        row["number"] += 2**40
        row["route"]["stops"] = [1, 2]
    for start, end in itertools.pairwise([0, third, 2 * third, GROWING]):
        part = kept[:end]
        iceberg_tables.put(stream, part[start:])
        iceberg_tables.compare(endpoint, name, {row["number"]: row for row in part}, "number")
    # There is nothing that pyiceberg does not read.
    table = iceberg_tables.catalog(endpoint).load_table(name)
    found = {row["number"]: row for row in table.scan().to_arrow().to_pylist()}
    assert len(found) == len(kept)
    for row in kept:
        assert found[row["number"]]["speed"] == row["speed"], row
        assert (found[row["number"]]["route"] or {}).get("stops") == row.get("route", {}).get("stops"), row
    schema = {field.name: str(field.field_type) for field in table.schema().fields}
    assert schema == {"number": "long", "carrier": "string", "speed": "double", "op": "string", "distance": "long",
                      "route": schema["route"]}, schema
    assert not any(field.required for field in table.schema().fields)
    print(f"ok: {len(table.metadata.schemas)} schemas, the last {schema}")


{"insert": insert, "change": change, "grow": grow}[sys.argv[1]](*sys.argv[2:])
