"""Rows scored by a model, and those that are unlike the others."""

from __future__ import annotations

from typing import TypeAlias

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import BatchesToRows, DetectAnomalies, RowsToBatches, ScoreBatches
from examples.embedding.orders import ORDERS, Row

Rows: TypeAlias = beam.PCollection[Row]

POINTS = pa.schema([("id", pa.int64()), ("x", pa.float64())])


@beam.ptransform_fn
def score_them(orders: Rows, card: str) -> Rows:
    """A model's outputs beside its features; the workers that score need memory, or an accelerator, others don't."""
    points = orders | beam.Map(lambda order: {"id": order["id"], "x": order["amount"]})
    batches = points | RowsToBatches(POINTS)  # 1
    scores = batches | (score := ScoreBatches(POINTS, card)).with_resource_hints(min_ram="2GB")  # 2
    rows = scores.good | BatchesToRows(score.contract)  # 3
    return rows | beam.Map(lambda point: (point["id"], point["y"], point["model_id"]))


@beam.ptransform_fn
def find_outliers(orders: Rows) -> Rows:
    """Rows whose value is unlike the others of their group."""
    many = orders | beam.FlatMap(lambda order: [{**order, "amount": float(each)} for each in (1, 2, 3, 100)])
    batches = many | RowsToBatches(ORDERS)  # 1
    marked = batches | (detect := DetectAnomalies(ORDERS, "amount", group_by=["id"], method="iqr", shards=1))  # 2
    rows = marked | BatchesToRows(detect.contract)  # 3
    return rows | beam.Filter(lambda order: order["anomaly"]) | beam.Map(lambda order: (order["id"], order["amount"]))
