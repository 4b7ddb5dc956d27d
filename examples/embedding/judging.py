"""Rows validated, data sets judged, values hidden."""

from __future__ import annotations

from typing import TypeAlias

import apache_beam as beam

from beam_pipelines import (
    BatchesToRows,
    CheckQuality,
    MaskBatches,
    RowsToBatches,
    ValidateBatches,
    ValidateRows,
    masked_schema,
)
from beam_pipelines.dead_letters import SCHEMA
from examples.embedding.orders import ORDERS, Row

Rows: TypeAlias = beam.PCollection[Row]


@beam.ptransform_fn
def validate_them(orders: Rows) -> Rows:
    """Rows judged where they are, the refused ones with every reason."""
    negative = orders | beam.Map(lambda order: {**order, "amount": order["amount"] - 10})
    outcome = negative | ValidateRows(ORDERS)  # 1
    good = outcome.good | "Good" >> beam.Map(lambda order: (order["id"], "good"))
    refused = outcome.dead_letters | BatchesToRows(SCHEMA)  # 2
    rules = refused | "Rules" >> beam.Map(lambda letter: (letter["rule"], letter["field"]))
    return (good, rules) | beam.Flatten()  # 3


@beam.ptransform_fn
def validate_in_batches(orders: Rows) -> Rows:
    """Rows judged as batches, for other stages of batches to follow."""
    foreign = orders | beam.Map(lambda order: {**order, "country": "DE" if order["id"] > 1 else "XX"})
    batches = foreign | RowsToBatches(ORDERS)  # 1
    valid = batches | ValidateBatches(ORDERS)  # 2
    rows = valid.good | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: order["id"])


@beam.ptransform_fn
def judge_the_whole(orders: Rows) -> Rows:
    """Rules about the data set: what each counted, and whether it passed."""
    gaps = orders | beam.Map(lambda order: {**order, "amount": None if order["id"] == 2 else order["amount"]})
    batches = gaps | RowsToBatches(ORDERS)  # 1
    report = batches | CheckQuality(ORDERS, shards=1)  # 2
    return report.results | beam.Map(lambda result: (result.metric, result.rows, result.passed))  # 3


@beam.ptransform_fn
def hide_names(orders: Rows) -> Rows:
    """Values hidden as the contract says."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    masked = batches | MaskBatches(ORDERS)  # 2
    rows = masked | BatchesToRows(masked_schema(ORDERS))  # 3
    return rows | beam.Map(lambda order: order["customer"])
