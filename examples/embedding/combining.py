"""Rows joined and aggregated."""

from __future__ import annotations

from typing import Any, TypeAlias

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import (
    Aggregate,
    AggregateBatches,
    BatchesToRows,
    EnrichBatches,
    JoinBatches,
    JoinTable,
    MeasureFunnel,
    RowsToBatches,
    SplitLateRows,
)
from examples.embedding.orders import ORDERS, Row

Rows: TypeAlias = beam.PCollection[Row]

NAMES = pa.record_batch({"code": ["DE", "FR"], "name": ["Germany", "France"]})
HOURLY: dict[str, Any] = {"group_by": ["country"], "window": "fixed:1h", "event_time": "at"}
STEPS = {"small": "amount < 50", "large": "amount >= 50"}
BUYERS: dict[str, Any] = {"user": "customer", "within": "2h", "event_time": "at"}


@beam.ptransform_fn
def name_countries(orders: Rows) -> Rows:
    """Columns of a table that fits into memory."""
    table = orders.pipeline | beam.Create([NAMES]).with_output_types(pa.RecordBatch)
    batches = orders | RowsToBatches(ORDERS)  # 1
    joined = batches | (join := JoinTable(ORDERS, table, NAMES.schema, [("country", "code")]))  # 2
    rows = joined.good | BatchesToRows(join.contract)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["name"]))


@beam.ptransform_fn
def ask_for_countries(orders: Rows, uri: str) -> Rows:
    """What a store knows of a key, asked for in batches and remembered."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    enriched = batches | (enrich := EnrichBatches(ORDERS, uri, NAMES.schema, [("country", "code")]))  # 2
    rows = enriched.good | BatchesToRows(enrich.contract)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["name"]))


@beam.ptransform_fn
def join_two_large_inputs(orders: Rows) -> Rows:
    """Two inputs of any size."""
    payments = orders | beam.Filter(lambda order: order["id"] != 2) | beam.Map(lambda row: {"id": row["id"], "paid": 1})
    kind = pa.schema([("id", pa.int64()), ("paid", pa.int64())])
    both = (orders | RowsToBatches(ORDERS), payments | "Payments" >> RowsToBatches(kind))  # 1
    joined = both | (join := JoinBatches(ORDERS, kind, "id", shards=1))  # 2
    rows = joined.good | BatchesToRows(join.contract)  # 3
    return rows | "Paid" >> beam.Map(lambda order: (order["id"], order["paid"]))


@beam.ptransform_fn
def sellings_per_hour(orders: Rows) -> Rows:
    """SQL aggregates by event-time window and group."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    aggregates = batches | (hourly := AggregateBatches(ORDERS.schema, "sum(amount) AS sold", **HOURLY))  # 2
    rows = aggregates.panes | BatchesToRows(hourly.output_schema)  # 3
    return rows | beam.Map(lambda pane: (pane["window_start"].hour, pane["country"], pane["sold"]))


@beam.ptransform_fn
def from_small_to_large(orders: Rows) -> Rows:
    """How many users came how far along a row of steps."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    came = batches | (funnel := MeasureFunnel(ORDERS.schema, STEPS, **BUYERS))  # 2
    rows = came.panes | BatchesToRows(funnel.output_schema)  # 3
    return rows | beam.Map(lambda pane: (pane["small"], pane["large"], pane["conversion"]))


@beam.ptransform_fn
def median_of_each_country(orders: Rows) -> Rows:
    """The same aggregates as a CombineFn: rows need not become batches."""
    keyed = orders | beam.Map(lambda order: (order["country"], order))  # 1
    medians = keyed | beam.CombinePerKey(Aggregate("median(amount) AS median", ORDERS))  # 2
    return medians | beam.MapTuple(lambda country, found: (country, found["median"]))  # 3


@beam.ptransform_fn
def split_late(orders: Rows) -> Rows:
    """Rows whose window has closed, apart from the others."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    split = batches | SplitLateRows("fixed:1h", "at", allowed_lateness="10m")  # 2
    rows = split.on_time | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: order["id"])
