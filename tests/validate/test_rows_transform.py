from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.test_stream import TestStream as Stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, IntervalWindow, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines import dead_letters, ledger
from beam_pipelines.columnar.rows_transform import BatchesToRows
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import UsageError
from beam_pipelines.validate.rows_transform import ValidateRows

ORDERS = Contract(
    "orders",
    (
        Field("id", pa.int64(), required=True),
        Field("price", pa.decimal128(10, 2), minimum=Decimal(0)),
        Field("at", pa.timestamp("us", "UTC"), event_time=True),
    ),
    version="1.2.0",
)


class Order(NamedTuple):
    id: int
    price: Decimal | None
    at: Timestamp


@dataclasses.dataclass
class Purchase:
    id: int
    price: Decimal | float
    at: Timestamp


class _Stamped(beam.DoFn):
    def process(self, row: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Any:
        yield (row["id"], timestamp, window)


NOON = Timestamp.from_rfc3339("2024-01-31T12:00:00Z")


def test_each_kind_of_row_comes_out_as_it_went_in() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        ids = pipeline | beam.Create([1, 2, -3], reshuffle=False)

        tuples = ids | "T" >> beam.Map(lambda i: Order(i, Decimal(i), NOON)).with_output_types(Order)
        good = tuples | "Tuples" >> ValidateRows(ORDERS)
        assert good.good.element_type == Order
        assert_that(good.good, equal_to([Order(1, Decimal(1), NOON), Order(2, Decimal(2), NOON)]), label="tuples")

        rows = ids | "R" >> beam.Map(lambda i: beam.Row(id=int(i), price=float(i), at=NOON))
        good = rows | "Rows" >> ValidateRows(ORDERS)
        values = good.good | beam.Map(lambda row: (type(row), row.id, row.price, row.at))
        assert_that(values, equal_to([(beam.Row, i, Decimal(i), NOON) for i in (1, 2)]), label="rows")

        classes = ids | "C" >> beam.Map(lambda i: Purchase(i, i / 2, NOON)).with_output_types(Purchase)
        good = classes | "Classes" >> ValidateRows(ORDERS)
        assert_that(good.good, equal_to([Purchase(i, Decimal(i) / 2, NOON) for i in (1, 2)]), label="classes")

        dicts = ids | "D" >> beam.Map(lambda i: {"id": i, "price": str(i), "at": "2024-01-31T13:00:00+01:00", "x": 0})
        good = dicts | "Dicts" >> ValidateRows(ORDERS)
        found = good.good | "DD" >> beam.Map(lambda row: (row["id"], row["price"], row["at"].isoformat(), len(row)))
        expected = [(i, Decimal(i), "2024-01-31T12:00:00+00:00", 3) for i in (1, 2)]
        assert_that(found, equal_to(expected), label="dicts")

        asked = dicts | "Asked" >> ValidateRows(ORDERS, as_=Order)
        assert_that(asked.good, equal_to([Order(i, Decimal(i), NOON) for i in (1, 2)]), label="asked")


def test_refused_rows_are_dead_letters_that_hold_the_row_and_are_counted() -> None:
    rows = [
        {"id": 1, "price": 1.5, "at": NOON},
        {"id": None, "price": -1, "at": NOON},
        {"id": "x", "price": 1, "at": None},
        "not a row",
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        checked = pipeline | beam.Create(rows, reshuffle=False) | ValidateRows(ORDERS)
        letters = checked.dead_letters | BatchesToRows(dead_letters.SCHEMA)
        found = letters | beam.Map(
            lambda letter: (
                json.loads(letter["payload"]),
                [(each["rule"], each["field"]) for each in letter["failures"]],
                letter["contract_version"],
                letter["event_time"] is None,
            )
        )
        noon = "Timestamp(1706702400)"
        expected = [
            ({"id": None, "price": -1, "at": noon}, [("required", "id"), ("minimum", "price")], "1.2.0", False),
            ({"id": "x", "price": 1, "at": None}, [("type", "id"), ("required", "at")], "1.2.0", True),
            ("not a row", [("type", None)], "1.2.0", True),
        ]
        assert_that(found, equal_to(expected), label="letters")
        counts = checked.ledger | beam.Map(lambda entry: (entry[0][2], entry[1])) | beam.CombinePerKey(sum)
        assert_that(counts, equal_to([(ledger.READ, 4), (ledger.DEAD_LETTERED, 3)]), label="ledger")


def test_rows_keep_their_timestamps_and_windows_whatever_their_event_time() -> None:
    rows = [(1, 5), (2, 65), (3, 7)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        timed = (
            pipeline
            | beam.Create(rows, reshuffle=False)
            | beam.MapTuple(lambda i, second: TimestampedValue({"id": i, "at": NOON}, second))
        )
        windowed = timed | beam.WindowInto(FixedWindows(60)) | "Windowed" >> ValidateRows(ORDERS)
        minutes = [IntervalWindow(Timestamp(0), Timestamp(60)), IntervalWindow(Timestamp(60), Timestamp(120))]
        expected = [(1, Timestamp(5), minutes[0]), (2, Timestamp(65), minutes[1]), (3, Timestamp(7), minutes[0])]
        assert_that(windowed.good | beam.ParDo(_Stamped()), equal_to(expected), label="windowed")

        untimed = pipeline | "U" >> beam.Create([{"id": 4, "at": NOON}]) | "Untimed" >> ValidateRows(ORDERS)
        found = untimed.good | "S" >> beam.ParDo(_Stamped()) | beam.Map(lambda row: row[:2])
        assert_that(found, equal_to([(4, MIN_TIMESTAMP)]), label="untimed")


def test_it_works_on_a_stream() -> None:
    stream = Stream().advance_watermark_to(0)
    stream.add_elements([TimestampedValue({"id": 1, "at": NOON}, 1), TimestampedValue({"id": None, "at": NOON}, 2)])
    stream.advance_watermark_to(10).add_elements([TimestampedValue({"id": 2, "at": NOON}, 12)])
    with beam.Pipeline(
        "BundleBasedDirectRunner", options=beam.options.pipeline_options.PipelineOptions(streaming=True)
    ) as p:
        checked = p | stream.advance_watermark_to_infinity() | ValidateRows(ORDERS)
        assert_that(checked.good | beam.Map(lambda row: row["id"]), equal_to([1, 2]))


def test_elements_that_are_no_rows_are_named_before_the_launch() -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    with pytest.raises(UsageError, match="these are <class 'str'>"):
        _ = pipeline | beam.Create(["id,price"]) | ValidateRows(ORDERS)
