"""`Aggregate` in somebody's row-wise job."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp

import beam_pipelines as bp
from beam_pipelines.errors import ExpressionError, UsageError

SCHEMA = pa.schema([("shop", pa.string()), ("price", pa.float64()), ("at", pa.timestamp("us", "UTC"))])
NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)


class Sale(NamedTuple):
    shop: str
    price: float | None
    at: dt.datetime


SALES = [Sale(shop, price, NOON + dt.timedelta(hours=hour)) for shop, price, hour in
         (("a", 1.0, 3), ("a", 3.0, 1), ("a", None, 2), ("b", 5.0, 0))]  # fmt: skip
TEXT = "count(*) as n, stddev_pop(price) as sd, last(price) as latest, max(at) as until"
A = {"n": 3, "sd": 1.0, "latest": 1.0, "until": NOON + dt.timedelta(hours=3)}
B = {"n": 1, "sd": 0.0, "latest": 5.0, "until": NOON}


def test_rows_of_any_kind_are_combined_by_key_and_globally() -> None:
    by_shop = bp.Aggregate(TEXT, SCHEMA, event_time="at")
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        sales = pipeline | beam.Create(SALES)
        tuples = sales | "Keyed" >> beam.Map(lambda sale: (sale.shop, sale)) | beam.CombinePerKey(by_shop)
        assert_that(tuples, equal_to([("a", A), ("b", B)]), "tuples")
        dicts = sales | "Dicts" >> beam.Map(lambda sale: (sale.shop, sale._asdict()))
        hot = dicts | "Hot" >> beam.CombinePerKey(by_shop).with_hot_key_fanout(3)
        assert_that(hot, equal_to([("a", A), ("b", B)]), "dicts, with Beam's own fanout")
        whole = sales | beam.CombineGlobally(bp.Aggregate("median(price) as mid", SCHEMA))
        assert_that(whole, equal_to([{"mid": 3.0}]), "globally")
        batch = pa.RecordBatch.from_pylist([sale._asdict() for sale in SALES], SCHEMA)
        batches = pipeline | "Batches" >> beam.Create([batch.slice(0, 2), batch.slice(2)])
        all_of = batches | "Of batches" >> beam.CombineGlobally(bp.Aggregate("mode(shop) as most", SCHEMA))
        assert_that(all_of, equal_to([{"most": "a"}]), "batches")


def test_nothing_is_combined_to_what_sql_says() -> None:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        nothing = bp.Aggregate(TEXT, SCHEMA, event_time="at")
        none = pipeline | beam.Create([], reshuffle=False) | beam.CombineGlobally(nothing)
        assert_that(none, equal_to([{"n": 0, "sd": None, "latest": None, "until": None}]))


def test_rows_come_out_with_a_schema_if_that_is_wanted() -> None:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        keyed = pipeline | beam.Create([(sale.shop, sale) for sale in SALES])
        rows = keyed | beam.CombinePerKey(bp.Aggregate(TEXT, SCHEMA, event_time="at", as_="row")) | beam.Values()
        assert [name for name, _ in rows.element_type._fields] == ["n", "sd", "latest", "until"]
        told = rows | beam.Map(lambda row: (row.n, row.sd, row.latest, row.until))
        later = Timestamp.from_utc_datetime(A["until"])
        assert_that(told, equal_to([(3, 1.0, 1.0, later), (1, 0.0, 5.0, Timestamp.from_utc_datetime(NOON))]))


def test_the_contract_says_the_event_time() -> None:
    contract = bp.Contract("sales", (bp.Field("x", pa.int64()), bp.Field("at", SCHEMA.field("at").type, required=True,
                                                                         event_time=True)))  # fmt: skip
    fn = bp.Aggregate("first(x) as x", contract)
    held = fn.create_accumulator()
    for x, hour in ((1, 2), (2, 1), (3, 3)):
        held = fn.add_input(held, {"x": x, "at": NOON + dt.timedelta(hours=hour)})
    assert fn.extract_output(held) == {"x": 2}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"aggregates": "sum(prise)"}, ExpressionError, "Did you mean 'price'"),
        ({"aggregates": "first(price)"}, ExpressionError, "needs an event time"),
        ({"as_": "tuple"}, UsageError, "the result is 'dict' or 'row', not 'tuple'"),
    ],
    ids=["column", "event time", "kind"],
)
def test_mistakes_are_told_where_it_is_made(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bp.Aggregate(**({"aggregates": "count(*)", "schema": SCHEMA} | arguments))
