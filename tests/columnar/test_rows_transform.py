from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindow, IntervalWindow, TimestampedValue
from apache_beam.typehints import schemas
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD
from beam_pipelines.columnar.rows_transform import BatchesToRows, RowsToBatches, row_type
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import ContractError, UsageError

UTC = dt.timezone.utc
IDS = pa.schema([("id", pa.int64())])
ORDERS = Contract(
    "orders",
    (
        Field("id", pa.int64(), required=True),
        Field("price", pa.decimal128(10, 2)),
        Field("at", pa.timestamp("us", "UTC"), event_time=True),
        Field("day", pa.date32()),
        Field("n", pa.int32()),
    ),
)
NOON = dt.datetime(2024, 1, 31, 12, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"id": 1, "price": Decimal("1.50"), "at": NOON, "day": NOON.date(), "n": 3},
    {"id": 2, "price": None, "at": None, "day": None, "n": None},
]


class Order(NamedTuple):
    id: int
    price: Decimal | None
    at: dt.datetime | None


@dataclasses.dataclass
class Moment:
    at: Timestamp | None
    id: int
    note: str = dataclasses.field(default="", init=False)


class _Seen(beam.DoFn):
    """What a batch or a row is, with its timestamp and window."""

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Any:
        what = element.column("id").to_pylist() if isinstance(element, pa.RecordBatch) else element
        yield (what, timestamp, window)


def seconds(start: int, end: int) -> IntervalWindow:
    return IntervalWindow(Timestamp(start), Timestamp(end))


def test_batches_keep_windows_apart_and_are_stamped_with_their_earliest_row() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = (
            pipeline
            | beam.Create([15, 3, 12, 1, 4, 27], reshuffle=False)
            | beam.Map(lambda second: TimestampedValue({"id": second}, second))
        )
        windowed = rows | beam.WindowInto(FixedWindows(10)) | "Fixed" >> RowsToBatches(IDS) | "F" >> beam.ParDo(_Seen())
        assert_that(
            windowed,
            equal_to(
                [
                    ([3, 1, 4], Timestamp(1), seconds(0, 10)),
                    ([15, 12], Timestamp(12), seconds(10, 20)),
                    ([27], Timestamp(27), seconds(20, 30)),
                ]
            ),
            label="fixed",
        )
        unwindowed = rows | "Global" >> RowsToBatches(IDS) | "G" >> beam.ParDo(_Seen())
        assert_that(unwindowed, equal_to([([15, 3, 12, 1, 4, 27], Timestamp(1), GlobalWindow())]), label="global")
        two = rows | "Two" >> RowsToBatches(IDS, max_rows=2) | "T" >> beam.ParDo(_Seen()) | beam.Map(lambda s: s[:2])
        assert_that(
            two, equal_to([([15, 3], Timestamp(3)), ([12, 1], Timestamp(1)), ([4, 27], Timestamp(4))]), label="two"
        )
        narrow = rows | "Narrow" >> RowsToBatches(IDS, max_bytes=20) | "N" >> beam.ParDo(_Seen()) | beam.Map(len)
        assert_that(narrow, equal_to([3] * 3), label="narrow")
        # A window for each row: none of the batches fills up, all of them together do.
        apart = (
            rows
            | "Each" >> beam.WindowInto(FixedWindows(1))
            | "Apart" >> RowsToBatches(IDS, max_bytes=20)
            | "A" >> beam.ParDo(_Seen())
        )
        expected = [([s], Timestamp(s), seconds(s, s + 1)) for s in (15, 3, 12, 1, 4, 27)]
        assert_that(apart, equal_to(expected), label="apart")


def test_rows_that_do_not_fit_carry_failures_and_their_payload() -> None:
    def judged(batch: pa.RecordBatch) -> list[Any]:
        rules = [each and [wrong["field"] for wrong in each] for each in batch.column(FAILURES).to_pylist()]
        return list(zip(rules, map(json.loads, batch.column(PAYLOAD).to_pylist()), strict=True))

    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create([{"id": 1}, {"id": "two"}, None], reshuffle=False)
        found = rows | RowsToBatches(IDS) | beam.FlatMap(judged)
        assert_that(found, equal_to([(None, {"id": 1}), (["id"], {"id": "two"}), ([None], None)]))


def test_rows_come_out_as_dicts_rows_and_classes_with_their_event_time() -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        batches = (
            pipeline | beam.Create(ROWS, reshuffle=False) | beam.WindowInto(FixedWindows(60)) | RowsToBatches(ORDERS)
        )
        noon = Timestamp.from_utc_datetime(NOON)
        dicts = batches | "Dicts" >> BatchesToRows(ORDERS) | "D" >> beam.ParDo(_Seen())
        times = {1: noon, 2: MIN_TIMESTAMP}
        window = FixedWindows(60).assign(beam.transforms.window.WindowFn.AssignContext(MIN_TIMESTAMP))[0]
        assert_that(dicts, equal_to([(row, times[row["id"]], window) for row in ROWS]), label="dicts")

        orders = batches | "Orders" >> BatchesToRows(ORDERS, as_=Order)
        assert orders.element_type == Order
        assert_that(orders, equal_to([Order(1, Decimal("1.50"), NOON), Order(2, None, None)]), label="orders")

        moments = batches | "Moments" >> BatchesToRows(ORDERS, as_=Moment)
        assert_that(moments, equal_to([Moment(noon, 1), Moment(None, 2)]), label="moments")

        rows = batches | "Rows" >> BatchesToRows(ORDERS, as_="row") | beam.Reshuffle()  # through the schema's coder
        values = rows | beam.Map(lambda row: (row.id, row.price, row.at, row.day, row.n))
        expected = [(1, Decimal("1.50"), noon, NOON.date(), 3), (2, None, None, None, None)]
        assert_that(values, equal_to(expected), label="rows")

        again = rows | "Again" >> RowsToBatches(ORDERS) | beam.FlatMap(lambda b: b.select(ORDERS.names).to_pylist())
        assert_that(again, equal_to(ROWS), label="again")


def test_beam_rows_have_a_schema_that_beam_knows() -> None:
    fields = schemas.typing_to_runner_api(row_type(ORDERS.schema, "row")).row_type.schema.fields
    assert [(field.name, field.type.nullable) for field in fields] == [
        ("id", False),
        ("price", True),
        ("at", True),
        ("day", True),
        ("n", True),
    ]
    urns = [field.type.logical_type.urn for field in fields]
    assert urns[1:4] == [
        "beam:logical_type:decimal:v1",
        "beam:logical_type:micros_instant:v1",
        "beam:logical_type:date:v1",
    ]


def test_mistakes_are_named_before_the_launch() -> None:
    class Wrong(NamedTuple):
        idd: int

    with pytest.raises(UsageError, match=r"Wrong has a field 'idd', the batches have not\. Did you mean 'id'\?"):
        BatchesToRows(ORDERS, as_=Wrong)
    with pytest.raises(UsageError, match="rows are 'dict', 'row', a NamedTuple or a dataclass, not 'tuple'"):
        BatchesToRows(ORDERS, as_="tuple")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="Beam's rows keep 28 digits"):
        BatchesToRows(pa.schema([("money", pa.decimal128(38, 4))]), as_="row")
    with pytest.raises(UsageError, match=r"no column 'att' to take timestamps from\. Did you mean 'at'"):
        BatchesToRows(ORDERS, event_time="att")
    with pytest.raises(UsageError, match="at least one row"):
        RowsToBatches(ORDERS, max_rows=0)


def test_a_batch_without_a_column_is_named() -> None:
    with (
        pytest.raises(Exception, match=r"a batch has no column 'id'\. Did you mean 'idd'"),
        beam.Pipeline("FnApiRunner") as p,
    ):
        _ = p | beam.Create([pa.record_batch({"idd": [1]})]) | BatchesToRows(IDS)
