"""Every public transform with a small input and what must come of it, written down by hand.

All cases that a runner can do are in one graph, which is submitted once.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import hmac
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_pipelines as bp
from beam_pipelines import dead_letters, ledger
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.contract.rules import QualityRule
from tests.conformance import (
    aggregate_cases,
    bigquery_cases,
    change_cases,
    kafka_cases,
    kept,
    kinesis_cases,
    lakehouse_cases,
    queue_cases,
    redis_cases,
    score_cases,
    stream_cases,
    table_cases,
)
from tests.conformance.case import Case, Outputs

Row = dict[str, Any]


def run(names: list[str], folder: Path, flags: list[str]) -> None:
    """Run the cases of these names as one pipeline; each has a folder of its own."""
    cases = [CASES[name] for name in names]
    more = ["--streaming"] if any(case.streaming for case in cases) else []
    with beam.Pipeline(argv=[*flags, *more]) as pipeline:
        for case in cases:
            place = folder / case.name
            place.mkdir(parents=True)
            kept.keep({f"{case.name}.{name}": output for name, output in case.build(pipeline, place).items()}, place)


def found(case: Case, folder: Path) -> dict[str, list[str]]:
    """What a case left in its folder, by the names of what is expected."""
    if case.found is not None:
        return case.found(folder / case.name)
    return {name: kept.read(folder / case.name, f"{case.name}.{name}") for name in case.expected(folder / case.name)}


MICROS = pa.timestamp("us", "UTC")
ORDERS = bp.Contract(
    "orders",
    (
        bp.Field("id", pa.int64(), primary_key_position=1),
        bp.Field("at", MICROS, required=True, event_time=True),
        bp.Field("country", pa.string(), enum=("DE", "FR")),
        bp.Field("price", pa.decimal128(10, 2), minimum=Decimal(0)),
        bp.Field("email", pa.string(), classification="restricted", mask=bp.Mask("keep_last", "4")),
    ),
    version="1.0.0",
)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 3, 30, hour, minute, tzinfo=timezone.utc)


def order(
    id: int | None, hour: int, country: str | None, price: str | None, email: str | None = None
) -> dict[str, Any]:
    return {"id": id, "at": at(hour, 30), "country": country, "price": price and Decimal(price), "email": email}


GOOD = [
    order(1, 10, "DE", "1.50", "ada@example.com"),
    order(2, 10, "FR", "0.25", "bob"),
    order(3, 12, None, None),
    order(9_007_199_254_740_993, 12, "DE", "99999999.99"),
]


def batches(pipeline: beam.Pipeline, label: str, *parts: list[dict[str, Any]]) -> beam.PCollection[pa.RecordBatch]:
    """Batches of orders, each stamped with its earliest event time."""
    stamped = [
        TimestampedValue(pa.RecordBatch.from_pylist(part, ORDERS.schema), min(row["at"] for row in part).timestamp())
        for part in parts
    ]
    return pipeline | f"{label}: input" >> beam.Create(stamped).with_output_types(pa.RecordBatch)


# Reading, decoding, validating

_LINES = {
    "a.jsonl": b'{"id": 1}\r\n\n{"id": "\xc3\xa9"}',
    "b.csv": b'id,name\n1,"two\nlines"\n2,x\n',
    "c.jsonl.gz": gzip.compress(b'{"id": 3}\n{"id": 4}\n', mtime=0)[:-8],  # without its checksum
}


def _read_files(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    (folder / "in").mkdir()
    for name, content in _LINES.items():
        (folder / "in" / name).write_bytes(content)
    read = pipeline | "ReadFiles" >> bp.ReadFiles(f"{folder}/in/*", split_bytes=8)
    return {"good": read.good, "dead_letters": read.dead_letters | _told("ReadFiles"), "ledger": read.ledger}


def _read_files_expected(folder: Path) -> dict[str, list[str]]:
    rows = [
        ("a.jsonl", 0, b'{"id": 1}'),
        ("a.jsonl", 12, b'{"id": "\xc3\xa9"}'),
        ("b.csv", 8, b'1,"two\nlines"'),
        ("b.csv", 22, b"2,x"),
        ("c.jsonl.gz", 0, b'{"id": 3}'),
        ("c.jsonl.gz", 10, b'{"id": 4}'),
    ]
    return {
        "good": kept.texts(
            [{"__payload": payload, "__source": f"{folder}/in/{name}", "__position": at} for name, at, payload in rows]
        ),
        "dead_letters": kept.texts([{"payload": b"", "rule": "file.truncated", "field": None, "position": 20}]),
        "ledger": kept.texts(
            [(("", "ReadFiles", "read", ""), 7), (("", "ReadFiles", "dead_lettered", "file.truncated"), 1)]
        ),
    }


def _read_dead_letters(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    (folder / "letters").mkdir()
    pq.write_table(pa.Table.from_pylist(_LETTERS, dead_letters.SCHEMA), folder / "letters" / "a.parquet")
    read = pipeline | "ReadDeadLetters" >> bp.ReadDeadLetters([f"{folder}/letters/*.parquet"])
    decoded = read.good | "letters: decode" >> bp.DecodeBatches(bp.Contract("ids", (bp.Field("id", pa.int64()),)))
    return {"good": decoded, "dead_letters": read.dead_letters | _told("ReadDeadLetters"), "ledger": read.ledger}


_LETTERS = [
    {"transform": "ValidateBatches", "rule": "enum", "message": "is wrong", "failures": []} | letter
    for letter in (
        {"payload": b'{"id": 7}', "record_format": "jsonl", "source": "a.jsonl", "position": 30},
        {"payload": b"x,8", "record_format": "csv", "csv_header": b"name,id", "source": "b.csv", "position": 8},
        {"payload": None, "record_format": None, "source": "c.jsonl", "position": 0},
    )
]


def _read_dead_letters_expected(_: Path) -> dict[str, list[str]]:
    rows = [(7, b'{"id": 7}', "a.jsonl", 30), (8, b"x,8", "b.csv", 8)]
    return {
        "good": kept.texts(
            [{"id": id, "__payload": payload, "__source": name, "__position": at} for id, payload, name, at in rows]
        ),
        "dead_letters": kept.texts([{"payload": None, "rule": "letter.no_payload", "field": None, "position": 0}]),
        "ledger": kept.texts(
            [
                (("", "ReadDeadLetters", "read", ""), 3),
                (("", "ReadDeadLetters", "dead_lettered", "letter.no_payload"), 1),
            ]
        ),
    }


def _told(label: str) -> beam.PTransform:
    """Of dead letters, what tells them apart."""
    return f"{label}: told" >> beam.Map(
        lambda letters: letters.select(["payload", "rule", "field", "position"])
    ).with_output_types(pa.RecordBatch)


_RAW = [
    b'{"id":1,"at":"2024-03-30T10:30:00Z","country":"DE","price":1.50,"email":"ada@example.com"}',
    b'{"id":1.7,"at":"2024-03-30T10:30:00Z","country":"ES","price":-1}',
    b'{"id":2,"at":"2024-03-30T12:30:00',
]


def _raw(pipeline: beam.Pipeline, label: str) -> beam.PCollection[pa.RecordBatch]:
    def positions(count: int) -> pa.Array:
        return pa.array(range(count), pa.int64())

    # What a batch is, is in its metadata, which has to come through the coder.
    lines = raw_batch(pa.array(_RAW, pa.binary()), "lines", positions(3), {b"record.format": b"jsonl"})
    fields = [b"2024-03-30T12:30:00Z,7,FR,", b"2024-03-30T12:30:00Z,8,FR"]
    header = {b"record.format": b"csv", b"csv.header": b"at,id,country,price"}
    table = raw_batch(pa.array(fields, pa.binary()), "table", positions(2), header)
    return pipeline | f"{label}: input" >> beam.Create([lines, table]).with_output_types(pa.RecordBatch)


def _decode(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    def judged(batch: pa.RecordBatch) -> list[str]:
        return [
            repr(
                (
                    *(row["id"], row["at"] and row["at"].isoformat(), row["price"], row["__position"]),
                    *((failure["rule"], failure["field"]) for failure in row.get("__failures") or ()),
                )
            )
            for row in batch.to_pylist()
        ]

    decoded = _raw(pipeline, "DecodeBatches") | "DecodeBatches" >> bp.DecodeBatches(ORDERS)
    return {"decoded": decoded | "DecodeBatches: judged" >> beam.FlatMap(judged).with_output_types(str)}


def _decode_expected(folder: Path) -> dict[str, list[str]]:
    half_past_ten, half_past_twelve = at(10, 30).isoformat(), at(12, 30).isoformat()
    rows: list[Any] = [
        (1, half_past_ten, Decimal("1.50"), 0),
        (None, half_past_ten, Decimal("-1.00"), 1, ("type", "id")),
        (None, None, None, 2, ("json.malformed", None)),
        (7, half_past_twelve, None, 0),
        (None, None, None, 1, ("csv.ragged", None)),
    ]
    return {"decoded": kept.texts(rows)}


_BAD = [order(None, 11, "DE", "1.00"), order(5, 11, "ES", "-1.00")]


def _validate(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    good, letters, entries = batches(pipeline, "ValidateBatches", GOOD[:2], GOOD[2:] + _BAD) | bp.ValidateBatches(
        ORDERS
    )
    return {"good": good, "dead_letters": letters | _rules("ValidateBatches"), "ledger": entries}


def _rules(label: str) -> beam.PTransform:
    """Of dead letters, all failures and the payload."""

    def shown(letters: pa.RecordBatch) -> list[str]:
        return [
            repr((row["payload"], [(failure["rule"], failure["field"]) for failure in row["failures"]]))
            for row in letters.to_pylist()
        ]

    return f"{label}: rules" >> beam.FlatMap(shown).with_output_types(str)


_FAILURES = ([("required", "id")], [("enum", "country"), ("minimum", "price")])


def _refusals(stage: str) -> list[tuple[tuple[str, ...], int]]:
    return [(("", stage, "dead_lettered", rule), 1) for rule in ("required", "enum")]


def _validate_expected(folder: Path) -> dict[str, list[str]]:
    return {
        "good": kept.texts(GOOD),
        "dead_letters": kept.texts([(None, rules) for rules in _FAILURES]),
        "ledger": kept.texts(_refusals("ValidateBatches")),
    }


# The data set as a whole

_QUALITY = dataclasses.replace(
    ORDERS,
    fields=tuple(dataclasses.replace(field, unique=field.name == "id") for field in ORDERS.fields),
    quality=(
        QualityRule("nullValues", "mustBeLessThan", 50, ("country",), unit="percent"),
        QualityRule("duplicateValues", "mustBe", 0, ("country", "at"), severity="warning"),
        QualityRule("sql", "mustBe", 0, query="SELECT count(*) FROM {object} WHERE price > 1"),
    ),
)


def _quality(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    again = [GOOD[1], {**GOOD[0], "id": 7}]
    results, entries = batches(pipeline, "CheckQuality", GOOD[:2], GOOD[2:], again) | bp.CheckQuality(
        _QUALITY, shards=2
    )
    return {"results": results | "as text" >> beam.Map(str), "ledger": entries}


def _quality_expected(folder: Path) -> dict[str, list[str]]:
    found = {
        "nullValues of country is 16.67, must be below 50 percent": "passed",
        "duplicateValues of id is 1, must be 0": "failed",
        "duplicateValues of country, at is 2, must be 0": "warned",
        "sql: SELECT count(*) FROM {object} WHERE price > 1 is 3, must be 0": "failed",
    }
    return {
        "results": sorted(found),
        "ledger": kept.texts([(("", "CheckQuality", f"quality_{end}", rule), 6) for rule, end in found.items()]),
    }


# Rows of somebody's own job


def _rows(pipeline: beam.Pipeline, label: str) -> beam.PCollection[dict[str, Any]]:
    rows = [TimestampedValue(row, row["at"].timestamp() + 60) for row in GOOD + _BAD]
    return (
        pipeline
        | f"{label}: input" >> beam.Create(rows).with_output_types(dict[str, Any])
        | f"{label}: hours" >> beam.WindowInto(FixedWindows(3600))
    )


def _in_hour(row: dict[str, Any]) -> Any:
    """A row with its time, a minute after its event time, and its window."""
    start = row["at"].replace(minute=0).timestamp()
    return row, f"Timestamp({int(row['at'].timestamp()) + 60})", f"[{start}, {start + 3600})"


def _validate_rows(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    good, letters, entries = _rows(pipeline, "ValidateRows") | bp.ValidateRows(ORDERS)
    return {"good": good, "dead_letters": letters | _rules("ValidateRows"), "ledger": entries}


def _validate_rows_expected(folder: Path) -> dict[str, list[str]]:
    payloads = [
        b'{"id":null,"at":"2024-03-30T11:30:00Z","country":"DE","price":"1.00","email":null}',
        b'{"id":5,"at":"2024-03-30T11:30:00Z","country":"ES","price":"-1.00","email":null}',
    ]
    return {
        "good": kept.texts([_in_hour(row) for row in GOOD]),
        "dead_letters": kept.texts(list(zip(payloads, _FAILURES, strict=True))),
        "ledger": kept.texts([(("", "ValidateRows", "read", ""), 6), *_refusals("ValidateRows")]),
    }


def _rows_to_batches(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    gathered = _rows(pipeline, "RowsToBatches") | bp.RowsToBatches(ORDERS, max_rows=2)
    names = [*ORDERS.names, "__publish_time"]
    return {"batches": gathered | "RowsToBatches: own" >> beam.Map(lambda batch: batch.select(names))}


def _rows_to_batches_expected(folder: Path) -> dict[str, list[str]]:
    minute = timedelta(minutes=1)
    return {"batches": kept.texts([{**row, "__publish_time": row["at"] + minute} for row in GOOD + _BAD])}


def _batches_to_rows(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    def shown(row: beam.Row, time: Any = beam.DoFn.TimestampParam) -> str:
        return repr((row.id, str(row.at), row.country, row.price, row.email, str(time)))

    made = batches(pipeline, "BatchesToRows", GOOD[:3], GOOD[3:])
    rows = made | "BatchesToRows: rows" >> bp.BatchesToRows(ORDERS, "row")
    return {
        "dicts": made | "BatchesToRows: dicts" >> bp.BatchesToRows(ORDERS),
        # Beam Rows with a schema are coded field by field between stages.
        "rows": rows | beam.Reshuffle() | "BatchesToRows: shown" >> beam.Map(shown).with_output_types(str),
    }


def _batches_to_rows_expected(folder: Path) -> dict[str, list[str]]:
    timed = [(row, f"Timestamp({int(row['at'].timestamp())})") for row in GOOD]
    return {
        "dicts": kept.texts([(row, time, "GlobalWindow") for row, time in timed]),
        "rows": kept.texts(
            [(row["id"], time, row["country"], row["price"], row["email"], time) for row, time in timed]
        ),
    }


# Transforming


def _deduplicate(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    later = [{**GOOD[0], "at": at(9, 59), "country": "FR"}, {**GOOD[1], "at": at(10, 31)}]
    distinct = batches(pipeline, "DeduplicateBatches", GOOD, later) | bp.DeduplicateBatches(ORDERS, shards=3)
    # Nothing may be late downstream: a window drops late rows without a word.
    hours = (
        distinct.good
        | "DeduplicateBatches: ids" >> beam.FlatMap(lambda batch: [(id, 1) for id in batch.column("id").to_pylist()])
        | "DeduplicateBatches: hours" >> beam.WindowInto(FixedWindows(3600))
        | "DeduplicateBatches: per id" >> beam.CombinePerKey(sum)
        | "DeduplicateBatches: text" >> beam.Map(repr).with_output_types(str)
    )
    return {"good": distinct.good, "ledger": distinct.ledger, "hours": hours}


def _deduplicate_expected(folder: Path) -> dict[str, list[str]]:
    return {
        "good": kept.texts([{**GOOD[0], "at": at(9, 59), "country": "FR"}, *GOOD[1:]]),
        "ledger": kept.texts([(("", "DeduplicateBatches", "duplicate", ""), 2)]),
        "hours": kept.texts([(row["id"], 1) for row in GOOD]),
    }


def _mask(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    (folder / "key").write_text("k1:" + "00" * 32)
    contract = bp.Contract(
        "people",
        (
            bp.Field("id", pa.int64(), required=True, classification="restricted", mask=bp.Mask("pseudonym")),
            bp.Field("email", pa.string(), classification="restricted", mask=bp.Mask("keep_last", "4")),
        ),
    )
    made = batches(pipeline, "MaskBatches", GOOD)
    return {
        "masked": made
        | "MaskBatches: two" >> beam.Map(lambda batch: batch.select(["id", "email"])).with_output_types(pa.RecordBatch)
        | bp.MaskBatches(contract, bp.KeyReference(str(folder / "key")))
    }


def _mask_expected(folder: Path) -> dict[str, list[str]]:
    def pseudonym(value: int) -> str:
        digest = hmac.new(bytes(32), str(value).encode(), hashlib.sha256).digest()[:16]
        return f"k1:{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

    emails = ["***********.com", "***", None, None]
    rows = [{"id": pseudonym(row["id"]), "email": email} for row, email in zip(GOOD, emails, strict=True)]
    return {"masked": kept.texts(rows)}


_SQL = "count(*) as n, sum(price) as revenue, max(id) as top"


def _aggregate(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    made = batches(pipeline, "AggregateBatches", GOOD[:1], GOOD[1:])
    hourly = bp.AggregateBatches(
        ORDERS.schema, _SQL, group_by=["country"], window="fixed:1h", event_time="at", shards=2
    )
    ever = bp.AggregateBatches(ORDERS.schema, _SQL)
    by_hour = made | "AggregateBatches: hourly" >> hourly
    by_all = made | "AggregateBatches: ever" >> ever
    return {"hourly": by_hour.panes, "ever": by_all.panes, "ledger": by_hour.ledger}


def pane(hour: int | None, n: int, revenue: str | None, top: int, **group: str | None) -> dict[str, Any]:
    return {
        "window_start": None if hour is None else at(hour),
        "window_end": None if hour is None else at(hour + 1),
        **group,
        "n": n,
        "revenue": revenue and Decimal(revenue),
        "top": top,
        "__rows": n,
    }


def _aggregate_expected(folder: Path) -> dict[str, list[str]]:
    hourly = [
        pane(10, 1, "1.50", 1, country="DE"),
        pane(10, 1, "0.25", 2, country="FR"),
        pane(12, 1, None, 3, country=None),
        pane(12, 1, "99999999.99", 9_007_199_254_740_993, country="DE"),
    ]
    return {
        "hourly": kept.texts(hourly),
        "ever": kept.texts([pane(None, 4, "100000001.74", 9_007_199_254_740_993)]),
        "ledger": kept.texts([(("aggregates", "AggregateBatches", "aggregated", ""), 4)]),
    }


def _aggregate_stream(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    """The first hour's rows out of order, its window closed by the watermark, then the other hour's."""
    coder = RecordBatchCoder()
    # As bytes, since runners in other languages take the stream's elements apart.
    made = [coder.encode(pa.RecordBatch.from_pylist(part, ORDERS.schema)) for part in (GOOD[1:2], GOOD[:1], GOOD[2:])]
    stream = (
        TestStream(coder=beam.coders.BytesCoder())
        .advance_watermark_to(at(9).timestamp())
        .add_elements([TimestampedValue(batch, at(10, 30).timestamp()) for batch in made[:2]])
        .advance_watermark_to(at(11).timestamp())
        .add_elements([TimestampedValue(made[2], at(12, 30).timestamp())])
        .advance_watermark_to_infinity()
        .with_output_types(bytes)
    )
    hourly = bp.AggregateBatches(ORDERS.schema, _SQL, group_by=["country"], window="fixed:1h", event_time="at")
    batches = pipeline | stream | "Decoded" >> beam.Map(coder.decode).with_output_types(pa.RecordBatch)
    aggregated = batches | hourly
    # Which rows are late depends on the runner's watermark: the tests of windows say it for the direct runner.
    key = ("aggregates", "AggregateBatches", "in panes or late", "")
    counted = (
        aggregated.panes | "In panes" >> beam.Map(lambda batch: (key, sum(batch.column("__rows").to_pylist()))),
        aggregated.late | "Late" >> beam.Map(lambda batch: (key, batch.num_rows)),
        aggregated.ledger | "Reached" >> beam.Filter(lambda entry: entry[0][2] == "aggregated"),
    )
    return {"ledger": counted | "Counts" >> beam.Flatten()}


def _aggregate_stream_expected(folder: Path) -> dict[str, list[str]]:
    outcomes = ("aggregated", "in panes or late")
    return {"ledger": kept.texts([(("aggregates", "AggregateBatches", outcome, ""), 4) for outcome in outcomes])}


# Writing


def _lake(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    run = bp.RunIdentity("run-1", "conformance", "f1")
    lake = str(folder / "lake")
    valid = batches(pipeline, "lake", GOOD[:2], GOOD[2:] + _BAD) | "lake: valid" >> bp.ValidateBatches(ORDERS)
    read = pipeline | "lake: read" >> beam.Create([ledger.entry("ReadFiles", ledger.READ, 6)])
    files = [
        valid.good | bp.WriteToLake(lake, run.run_id, "rows", ORDERS.schema, ["country"]),
        valid.dead_letters | bp.WriteDeadLetters(str(folder / "vault"), run, format="jsonl"),
    ]
    (files, [read, valid.ledger]) | bp.FinalizeRun(lake, run)
    return {}


def _lake_expected(folder: Path) -> dict[str, list[str]]:
    return {
        "rows": kept.texts(GOOD),
        "letters": kept.texts([("run-1", [rule for rule, _ in rules]) for rules in _FAILURES]),
        "balance": kept.texts([(6, 4, 2, True)]),
        "left over": kept.texts(["_runs/run-1/balance.json", "_runs/run-1/manifest.json"]),
        "manifest": kept.texts([True]),
    }


def _lake_found(folder: Path) -> dict[str, list[str]]:
    lake = folder / "lake"
    country = ds.partitioning(pa.schema({"country": pa.string()}), flavor="hive")
    rows = ds.dataset(lake / "rows", format="parquet", partitioning=country).to_table().select(ORDERS.schema.names)
    files = list((folder / "vault").rglob("*.jsonl"))
    letters = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    balance = json.loads((lake / "_runs/run-1/balance.json").read_text())
    manifest = json.loads((lake / "_runs/run-1/manifest.json").read_text())
    shown = {str(file.relative_to(lake)) for file in (lake / "rows").rglob("*") if file.is_file()}
    shown |= {str(file) for file in files}
    headline = ("read", "written", "dead_lettered", "balanced")
    return {
        "rows": kept.texts(rows.to_pylist()),
        "letters": kept.texts(
            [(letter["run_id"], [failure["rule"] for failure in letter["failures"]]) for letter in letters]
        ),
        "balance": kept.texts([tuple(balance[name] for name in headline)]),
        "left over": kept.texts(
            [str(file.relative_to(lake)) for file in (lake / "_runs").rglob("*") if file.is_file()]
        ),
        "manifest": kept.texts([{file["path"] for file in manifest["files"]} == shown]),
    }


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("ReadFiles", ("ReadFiles",), _read_files, _read_files_expected),
        Case("ReadDeadLetters", ("ReadDeadLetters",), _read_dead_letters, _read_dead_letters_expected),
        Case("DecodeBatches", ("DecodeBatches",), _decode, _decode_expected),
        Case("ValidateBatches", ("ValidateBatches",), _validate, _validate_expected),
        Case("CheckQuality", ("CheckQuality",), _quality, _quality_expected),
        Case("ValidateRows", ("ValidateRows",), _validate_rows, _validate_rows_expected),
        Case("RowsToBatches", ("RowsToBatches",), _rows_to_batches, _rows_to_batches_expected),
        Case("BatchesToRows", ("BatchesToRows",), _batches_to_rows, _batches_to_rows_expected),
        Case("DeduplicateBatches", ("DeduplicateBatches",), _deduplicate, _deduplicate_expected),
        Case("MaskBatches", ("MaskBatches",), _mask, _mask_expected),
        Case("AggregateBatches", ("AggregateBatches",), _aggregate, _aggregate_expected),
        Case(
            "AggregateBatches_TestStream",
            ("AggregateBatches",),
            _aggregate_stream,
            _aggregate_stream_expected,
            streaming=True,
        ),
        *aggregate_cases.CASES,
        *change_cases.CASES,
        *score_cases.CASES,
        *kafka_cases.CASES,
        *kinesis_cases.CASES,
        *queue_cases.CASES,
        *redis_cases.CASES,
        *table_cases.CASES,
        *lakehouse_cases.CASES,
        *bigquery_cases.CASES,
        *stream_cases.CASES,
        Case("lake", ("WriteToLake", "WriteDeadLetters", "FinalizeRun"), _lake, _lake_expected, _lake_found),
    )
}
