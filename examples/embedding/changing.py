"""Rows filtered, derived, selected, exploded, flattened, turned and deduplicated."""

from __future__ import annotations

from typing import TypeAlias

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import (
    BatchesToRows,
    DeduplicateBatches,
    DeriveColumns,
    ExplodeArrays,
    FilterBatches,
    FlattenStructs,
    PivotBatches,
    RowsToBatches,
    SelectColumns,
    UnpivotBatches,
)
from examples.embedding.orders import ORDERS, Row

Rows: TypeAlias = beam.PCollection[Row]

CARTS = pa.schema([("id", pa.int64()), ("items", pa.list_(pa.string()))])
BUYERS = pa.schema([("id", pa.int64()), ("buyer", pa.struct([("name", pa.string()), ("city", pa.string())]))])
SALES = pa.schema([("country", pa.string()), ("morning", pa.float64()), ("evening", pa.float64())])
LONG = pa.schema([("country", pa.string()), ("part", pa.string()), ("sold", pa.float64())])


@beam.ptransform_fn
def keep_large(orders: Rows) -> Rows:
    """Orders that an SQL condition is true for."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    kept = batches | FilterBatches(ORDERS, "amount > 10 AND country = 'DE'")  # 2
    rows = kept.good | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: order["id"])


@beam.ptransform_fn
def add_tax(orders: Rows) -> Rows:
    """A column computed from others."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    derived = batches | (derive := DeriveColumns(ORDERS, {"tax": "amount * 0.5"}))  # 2
    rows = derived.good | BatchesToRows(derive.contract)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["tax"]))


@beam.ptransform_fn
def rename(orders: Rows) -> Rows:
    """Columns chosen and renamed."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    selected = batches | (select := SelectColumns(ORDERS, "id AS order_id, country"))  # 2
    rows = selected | BatchesToRows(select.contract)  # 3
    return rows | beam.Map(lambda order: {**order, "country": order["country"].lower()})


@beam.ptransform_fn
def one_row_for_each_item(orders: Rows) -> Rows:
    """A row of each element of an array."""
    carts = orders | beam.Map(lambda order: {"id": order["id"], "items": ["cup"] * (order["id"] - 1)})
    batches = carts | RowsToBatches(CARTS)  # 1
    exploded = batches | (explode := ExplodeArrays(CARTS, "items", keep_empty=False))  # 2
    return exploded.good | BatchesToRows(explode.contract)  # 3


@beam.ptransform_fn
def flatten_buyers(orders: Rows) -> Rows:
    """Columns of a struct's fields."""
    nested = orders | beam.Map(lambda order: {"id": order["id"], "buyer": {"name": order["customer"], "city": "Ulm"}})
    batches = nested | RowsToBatches(BUYERS)  # 1
    flat = batches | (flatten := FlattenStructs(BUYERS))  # 2
    return flat | BatchesToRows(flatten.contract)  # 3


@beam.ptransform_fn
def columns_to_rows(orders: Rows) -> Rows:
    """A row of each of several columns."""
    wide = orders | beam.Map(lambda order: {"country": order["country"], "morning": order["amount"], "evening": 1.0})
    batches = wide | RowsToBatches(SALES)  # 1
    long = batches | (turn := UnpivotBatches(SALES, ["morning", "evening"], names="part", values="sold"))  # 2
    return long.good | BatchesToRows(turn.contract)  # 3


@beam.ptransform_fn
def rows_to_columns(orders: Rows) -> Rows:
    """A column for each of several names."""
    long = orders | beam.Map(lambda order: {"country": order["country"], "part": f"h{order['at']:%H}", "sold": 2.0})
    batches = long | RowsToBatches(LONG)  # 1
    wide = batches | (turn := PivotBatches(LONG, ["country"], "part", "sold", ["h09", "h10"], shards=1))  # 2
    return wide.good | BatchesToRows(turn.contract)  # 3


@beam.ptransform_fn
def each_order_once(orders: Rows) -> Rows:
    """One row for each primary key."""
    twice = orders | beam.FlatMap(lambda order: [order, {**order, "customer": "again"}])
    batches = twice | RowsToBatches(ORDERS)  # 1
    distinct = batches | DeduplicateBatches(ORDERS, shards=1)  # 2
    rows = distinct.good | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: order["id"])
