"""Rows filtered, derived, reshaped and joined; keys remembered in a stream."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue

import beam_pipelines as bp
from beam_pipelines.columnar.coder import RecordBatchCoder
from tests.conformance import kept
from tests.conformance.case import Case, Outputs

_TIME = pa.timestamp("us", "UTC")
_CARTS = bp.Contract(
    "carts",
    (
        bp.Field("id", pa.int64(), primary_key_position=1),
        bp.Field("at", _TIME, required=True, event_time=True),
        bp.Field("shop", pa.string()),
        bp.Field.object("buyer", [bp.Field("name", pa.string())]),
        bp.Field.array("items", bp.Field("item", pa.string())),
        bp.Field("net", pa.int64()),
        bp.Field("tax", pa.int64()),
    ),
)


def _at(hour: int) -> datetime:
    return datetime(2024, 3, 30, hour, tzinfo=timezone.utc)


def _cart(id: int, hour: int, shop: str | None, name: str | None, items: list[str] | None, net: int) -> dict[str, Any]:
    buyer = None if name is None else {"name": name}
    return {"id": id, "at": _at(hour), "shop": shop, "buyer": buyer, "items": items, "net": net, "tax": net // 5}


_ROWS = [
    _cart(1, 9, "a", "Ada", ["x", "y"], 100),
    _cart(2, 10, "b", None, None, 50),
    _cart(3, 11, "a", "Eve", [], 2**62),
    _cart(4, 12, "c", "Bob", ["z"], 5),
    _cart(5, 13, None, "Joe", ["x"], 10),
]


def _batches(pipeline: beam.Pipeline, label: str) -> beam.PCollection[pa.RecordBatch]:
    made = [
        TimestampedValue(pa.RecordBatch.from_pylist(part, _CARTS.schema), part[0]["at"].timestamp())
        for part in (_ROWS[:2], _ROWS[2:])
    ]
    return pipeline | f"{label}: input" >> beam.Create(made).with_output_types(pa.RecordBatch)


def _change(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    derive = bp.DeriveColumns(_CARTS, {"gross": "net * 2 + tax", "items": "items"})
    flatten = bp.FlattenStructs(derive.contract)
    explode = bp.ExplodeArrays(flatten.contract, "items")
    where = bp.FilterBatches(explode.contract, "gross > 20")
    select = bp.SelectColumns(where.contract, "* EXCLUDE (net, at) RENAME (buyer_name AS buyer), at")
    derived = _batches(pipeline, "change") | "change: derive" >> derive
    exploded = derived.good | "change: flatten" >> flatten | "change: explode" >> explode
    kept_rows = exploded.good | "change: where" >> where
    ledgers = (derived.ledger, exploded.ledger, kept_rows.ledger) | "change: ledgers" >> beam.Flatten()
    letters = derived.dead_letters | "change: told" >> beam.Map(
        lambda letters: letters.select(["transform", "rule", "field", "event_time"])
    ).with_output_types(pa.RecordBatch)
    return {"good": kept_rows.good | "change: select" >> select, "dead_letters": letters, "ledger": ledgers}


def _change_expected(folder: Path) -> dict[str, list[str]]:
    rows = [(1, "a", "Ada", "x", 20, 220, 9), (1, "a", "Ada", "y", 20, 220, 9), (2, "b", None, None, 10, 110, 10),
            (5, None, "Joe", "x", 2, 22, 13)]  # fmt: skip
    names = ("id", "shop", "buyer", "items", "tax", "gross", "at")
    letter = {"transform": "DeriveColumns", "rule": "expression.overflow", "field": "gross", "event_time": _at(11)}
    return {
        "good": kept.texts([dict(zip(names, (*row[:-1], _at(row[-1])), strict=True)) for row in rows]),
        "dead_letters": kept.texts([letter]),
        "ledger": kept.texts(
            [
                (("", "DeriveColumns", "dead_lettered", "expression.overflow"), 1),
                (("", "ExplodeArrays", "added", ""), 1),
                (("", "FilterBatches", "filtered", ""), 1),
            ]
        ),
    }


def _turn(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    unpivot = bp.UnpivotBatches(_CARTS, ["net", "tax"], names="what", values="much")
    pivot = bp.PivotBatches(unpivot.contract, ["shop"], "what", "much", ["tax", "net"], keep="last", shards=2)
    long = _batches(pipeline, "turn") | "turn: long" >> unpivot
    wide = long.good | "turn: wide" >> pivot
    return {"good": wide.good, "ledger": (long.ledger, wide.ledger) | "turn: ledgers" >> beam.Flatten()}


def _turn_expected(folder: Path) -> dict[str, list[str]]:
    names = ("shop", "at", "tax", "net")
    rows = [("a", _at(11), 2**62 // 5, 2**62), ("b", _at(10), 10, 50), ("c", _at(12), 1, 5), (None, _at(13), 2, 10)]
    counts = [("UnpivotBatches", "added", 5), ("PivotBatches", "duplicate", 2), ("PivotBatches", "merged", 4)]
    return {
        "good": kept.texts([dict(zip(names, row, strict=True)) for row in rows]),
        "ledger": kept.texts([(("", stage, what, ""), rows) for stage, what, rows in counts]),
    }


_SHOPS = pa.record_batch({"shop": ["b", "a"], "city": ["Köln", "Ulm"]})
_RATES = pa.RecordBatch.from_pylist(
    [
        {"shop": shop, "since": _at(hour), "rate": rate}
        for shop, hour, rate in (("a", 8, 1.5), ("a", 10, 2.5), ("b", 7, 9.5))
    ],
    pa.schema([("shop", pa.string()), ("since", _TIME), ("rate", pa.float64())]),
)


def _table(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    shops = pipeline | "table: shops" >> beam.Create([_SHOPS]).with_output_types(pa.RecordBatch)
    rates = pipeline | "table: rates" >> beam.Create([_RATES.slice(0, 1), _RATES.slice(1)]).with_output_types(
        pa.RecordBatch
    )
    city = bp.JoinTable(_CARTS, shops, _SHOPS.schema, "shop", how="required", name="shops")
    rate = bp.JoinTable(
        city.contract, rates, _RATES.schema, "shop", as_of=bp.AsOf("at", "since", timedelta(hours=2)), name="rates"
    )
    joined = _batches(pipeline, "table") | "table: city" >> city
    rated = joined.good | "table: rate" >> rate
    letters = joined.dead_letters | "table: told" >> beam.Map(
        lambda letters: letters.select(["transform", "rule", "message", "event_time"])
    ).with_output_types(pa.RecordBatch)
    shown = rated.good | "table: shown" >> beam.Map(
        lambda batch: batch.select(["id", "city", "rate"])
    ).with_output_types(pa.RecordBatch)
    ledgers = (joined.ledger, rated.ledger) | "table: ledgers" >> beam.Flatten()
    return {"good": shown, "dead_letters": letters, "ledger": ledgers}


def _table_expected(folder: Path) -> dict[str, list[str]]:
    rows = [{"id": 1, "city": "Ulm", "rate": 1.5}, {"id": 2, "city": "Köln", "rate": None},
            {"id": 3, "city": "Ulm", "rate": 2.5}]  # fmt: skip
    letter = {"transform": "JoinTable", "rule": "join.unmatched", "message": "shops has no row with this shop"}
    return {
        "good": kept.texts(rows),
        "dead_letters": kept.texts([{**letter, "event_time": _at(hour)} for hour in (12, 13)]),
        "ledger": kept.texts(
            [
                (("", "JoinTable", "unmatched", "shops"), 2),
                (("", "JoinTable", "dead_lettered", "join.unmatched"), 2),
                (("", "JoinTable", "unmatched", "rates"), 1),
            ]
        ),
    }


def _both(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    rates = pipeline | "both: rates" >> beam.Create([_RATES.slice(0, 1), _RATES.slice(1)]).with_output_types(
        pa.RecordBatch
    )
    join = bp.JoinBatches(_CARTS, _RATES.schema, "shop", take="rate", shards=3, name="rates")
    joined = (_batches(pipeline, "both"), rates) | "both: join" >> join
    # Nothing may be late downstream: a window drops late rows without a word.
    hours = (
        joined.good
        | "both: rows" >> beam.FlatMap(lambda batch: [(str(row["rate"]), row["id"]) for row in batch.to_pylist()])
        | "both: hours" >> beam.WindowInto(beam.window.FixedWindows(3600))
        | "both: ids" >> beam.CombinePerKey(sum)
        | "both: text" >> beam.Map(repr).with_output_types(str)
    )
    return {"hours": hours, "ledger": joined.ledger}


def _both_expected(folder: Path) -> dict[str, list[str]]:
    by_hour = [("1.5", 1), ("2.5", 1), ("9.5", 2), ("1.5", 3), ("2.5", 3), ("None", 4), ("None", 5)]
    return {
        "hours": kept.texts(by_hour),
        "ledger": kept.texts([(("", "JoinBatches", "added", ""), 2), (("", "JoinBatches", "unmatched", "rates"), 2)]),
    }


def _stream(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    """Keys that come again at once, and while they are remembered. When one is forgotten is the runner's watermark's
    to say: the tests of deduplication say it for the direct runner."""
    coder = RecordBatchCoder()

    def made(*ids: int, hour: int) -> Any:
        rows = [_cart(id, hour, None, None, None, 0) for id in ids]
        encoded = coder.encode(pa.RecordBatch.from_pylist(rows, _CARTS.schema))
        return TimestampedValue(encoded, _at(hour).timestamp())

    stream = (
        TestStream(coder=beam.coders.BytesCoder())
        .advance_watermark_to(_at(1).timestamp())
        .add_elements([made(1, 2, 1, hour=2)])
        .advance_watermark_to(_at(3).timestamp())
        .add_elements([made(2, 3, hour=3)])
        .advance_watermark_to(_at(5).timestamp())
        .add_elements([made(1, 3, hour=5)])
        .advance_watermark_to_infinity()
        .with_output_types(bytes)
    )
    batches = pipeline | stream | "Decoded" >> beam.Map(coder.decode).with_output_types(pa.RecordBatch)
    distinct = batches | bp.DeduplicateBatches(_CARTS, shards=2, time_to_live=timedelta(hours=4))
    fresh = distinct.good | "Fresh" >> beam.Map(lambda batch: (("", "fresh", "", ""), batch.num_rows))
    return {"ledger": (distinct.ledger, fresh) | "Counts" >> beam.Flatten()}


def _stream_expected(folder: Path) -> dict[str, list[str]]:
    return {"ledger": kept.texts([(("", "DeduplicateBatches", "duplicate", ""), 4), (("", "fresh", "", ""), 3)])}


CASES = (
    Case(
        "change",
        ("DeriveColumns", "FlattenStructs", "ExplodeArrays", "FilterBatches", "SelectColumns"),
        _change,
        _change_expected,
    ),
    Case("turn", ("UnpivotBatches", "PivotBatches"), _turn, _turn_expected),
    Case("JoinTable", ("JoinTable",), _table, _table_expected),
    Case("JoinBatches", ("JoinBatches",), _both, _both_expected),
    Case("DeduplicateBatches_TestStream", ("DeduplicateBatches",), _stream, _stream_expected, streaming=True),
)
