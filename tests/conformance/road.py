"""The whole road of `event_analytics`: made-up events, and what must come of them, computed row by row.

Nothing of the package takes part in the expectation but the names of the rules.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import hmac
import json
import math
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from beam_pipelines.launch.cli import main

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: purchases
name: Purchases
version: 1.2.0
status: active
schema:
  - name: purchases
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: country, logicalType: string, required: true, partitioned: true, partitionKeyPosition: 1}
      - {name: email, logicalType: string, classification: restricted,
         customProperties: [{property: mask, value: pseudonym}]}
      - {name: price, logicalType: number, physicalType: "decimal(12,2)", required: true,
         logicalTypeOptions: {minimum: 0}}
      - {name: weight, logicalType: number}
      - {name: quantity, logicalType: integer, physicalType: int, required: true}
    customProperties:
      - {property: deduplicate, value: true}
"""
KEY = bytes(range(32))
AGGREGATES = (
    "count(*) as events, sum(price * quantity) as revenue, max(price) as top, "
    "count(distinct email) as buyers, avg(weight) as weight"
)

_START = datetime.datetime(2024, 3, 30, 22, tzinfo=datetime.timezone.utc)
_EVENTS = 600
_COUNTRIES = ("DE", "FR", "Réunion/974", "日本")
_NAMES = ("id", "at", "country", "email", "price", "weight", "quantity")


def _event(number: int) -> dict[str, Any]:
    """Events come out of order, over about ten hours."""
    at = _START + datetime.timedelta(seconds=(number * 7919) % 36_000, microseconds=number)
    return {
        "id": 9_007_199_254_740_993 + number,  # more than a float holds
        "at": at.isoformat().replace("+00:00", "Z"),
        "country": _COUNTRIES[number % 4],
        "email": None if number % 11 == 0 else f"user{number % 37}@example.com",
        "price": Decimal(number * 101).scaleb(-2),
        "weight": number / 7,  # not a fraction that a float holds
        "quantity": number % 5 + 1,
    }


def _json(event: dict[str, Any]) -> bytes:
    members = (
        f"{json.dumps(name)}:{value if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)}"
        for name, value in event.items()
    )
    return ("{" + ",".join(members) + "}").encode()


def _csv(event: dict[str, Any]) -> bytes:
    return ",".join("" if event[name] is None else str(event[name]) for name in _NAMES).encode()


def _lines() -> dict[str, list[tuple[bytes, dict[str, Any] | tuple[str, str | None]]]]:
    """For each file its records, each with its event or with (rule, field) of the first failure."""
    files: dict[str, list[tuple[bytes, Any]]] = {"a.jsonl.gz": [], "b.jsonl.gz": [], "c.csv": []}
    for number in range(_EVENTS):
        event = _event(number)
        name = ("a.jsonl.gz", "b.jsonl.gz", "c.csv")[number % 3]
        code = _csv if name == "c.csv" else _json
        if number % 31 == 7:
            files[name].append((code(event | {"price": Decimal("-0.01")}), ("minimum", "price")))
        elif number % 31 == 8:
            files[name].append((code(event | {"country": None}), ("required", "country")))
        elif number % 31 == 9 and name == "c.csv":
            files[name].append((code(event) + b",more,", ("csv.ragged", None)))
        elif number % 31 == 9:
            files[name].append((b'{"id": 1, \xff', ("json.invalid_utf8", None)))
        else:
            files[name].append((code(event), event))
        if number % 50 == 0:  # the same purchase again, later and in another file: the first one counts
            later = event | {"at": (_START + datetime.timedelta(days=1, seconds=number)).isoformat(), "quantity": 1000}
            files["b.jsonl.gz"].append((_json(later), later))
    return files


def write(folder: Path) -> None:
    """Write the input files and the contract."""
    inputs = folder / "in"
    inputs.mkdir(parents=True)
    for name, lines in _lines().items():
        content = b"".join(record + b"\n" for record, _ in lines)
        if name.endswith(".csv"):
            content = ",".join(_NAMES).encode() + b"\n" + content
        (inputs / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (folder / "purchases.odcs.yaml").write_text(CONTRACT)
    (folder / "mask.key").write_text(f"k7:{KEY.hex()}\n")


def run(folder: Path, lake: Path, flags: list[str]) -> None:
    """Run the pipeline as a user does, in a process of its own."""
    code = main(
        [
            *("run", "event_analytics", "--input", f"{folder}/in/*", "--contract", f"{folder}/purchases.odcs.yaml"),
            *("--output", str(lake), "--run_id", "road", "--mask_key_file", f"{folder}/mask.key"),
            *("--window", "fixed:1h", "--group_by", "country", "--aggregate", AGGREGATES, *flags),
        ]
    )
    if code:
        raise SystemExit(f"event_analytics ended with exit code {code}")


def expected(folder: Path) -> dict[str, Any]:
    """What a lake must hold, in the form of `found`."""
    events: dict[int, dict[str, Any]] = {}
    letters = []
    rules: Counter[str] = Counter()
    read = duplicates = 0
    for name, lines in _lines().items():
        position = len(",".join(_NAMES)) + 1 if name == "c.csv" else 0
        for record, judged in lines:
            read += 1
            if isinstance(judged, tuple):
                letters.append((f"{folder}/in/{name}", position, record, *judged))
                rules[judged[0]] += 1
            else:
                known = events.get(judged["id"])
                duplicates += known is not None
                if known is None or _time(judged) < _time(known):
                    events[judged["id"]] = judged
            position += len(record) + 1
    rows = [event | {"at": _time(event), "email": _pseudonym(event["email"])} for event in events.values()]
    return {
        "rows": sorted((tuple(row[name] for name in sorted(_NAMES)) for row in rows), key=repr),
        "aggregates": sorted(_aggregated(rows), key=repr),
        "dead_letters": sorted(letters, key=repr),
        "balance": {
            "read": read,
            "written": len(rows),
            "dead_lettered": len(letters),
            "duplicate": duplicates,
            "filtered": 0,
            "late": 0,
            "balanced": True,
            "dead_letters_by_rule": dict(rules),
        },
    }


def _time(event: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(event["at"].replace("Z", "+00:00"))


def _pseudonym(value: str | None) -> str | None:
    if value is None:
        return None
    digest = hmac.new(KEY, value.encode(), hashlib.sha256).digest()[:16]
    return f"k7:{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _aggregated(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    groups: dict[tuple[datetime.datetime, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["at"].replace(minute=0, second=0, microsecond=0), row["country"]), []).append(row)
    for (start, country), members in groups.items():
        yield (
            start,
            start + datetime.timedelta(hours=1),
            country,
            len(members),
            sum((row["price"] * row["quantity"] for row in members), Decimal()),
            max(row["price"] for row in members),
            len({row["email"] for row in members} - {None}),
            math.fsum(row["weight"] for row in members) / len(members),
        )


def found(lake: Path) -> dict[str, Any]:
    """What a lake holds: sorted rows, aggregates and dead letters with exact values, and the balance."""
    country = ds.partitioning(pa.schema({"country": pa.string()}), flavor="hive")
    rows = ds.dataset(lake / "rows", format="parquet", partitioning=country).to_table()
    balance = json.loads((lake / "_runs/road/balance.json").read_text())
    headline = ("read", "written", "dead_lettered", "duplicate", "filtered", "late", "balanced", "dead_letters_by_rule")
    letters = ds.dataset(lake / "dead_letters", format="parquet").to_table()
    where = ("source", "position", "payload", "rule", "field")
    return {
        "rows": _sorted(rows.select(sorted(_NAMES))),
        "aggregates": _sorted(ds.dataset(lake / "aggregates", format="parquet").to_table()),
        "dead_letters": _sorted(letters.select(where)),
        "balance": {name: balance[name] for name in headline},
    }


def whole(lake: Path) -> dict[str, Any]:
    """All that two runners must agree on: `found`, whole dead letters, the whole balance."""
    letters = ds.dataset(lake / "dead_letters", format="parquet").to_table()
    balance = json.loads((lake / "_runs/road/balance.json").read_text())
    return found(lake) | {"dead_letters": _sorted(letters), "balance": balance}


def _sorted(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)
