"""Rows written: to a lake, a topic, and as dead letters."""

from __future__ import annotations

from typing import TypeAlias

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import (
    BatchesToRows,
    FinalizeRun,
    RowsToBatches,
    RunIdentity,
    ValidateRows,
    WriteDeadLetters,
    WriteToAmqp,
    WriteToKafka,
    WriteToKinesis,
    WriteToLake,
    WriteToMqtt,
    WriteToPubSub,
    WriteToRedis,
    WriteToTable,
)
from examples.embedding.orders import ORDERS, Row

Rows: TypeAlias = beam.PCollection[Row]


@beam.ptransform_fn
def keep_in_lake(orders: Rows, lake: str) -> Rows:
    """Rows in a lake, all or none, once the ledger balances. Masks come before it, if there is anything to hide."""
    valid = orders | ValidateRows(ORDERS)
    files = valid.good | RowsToBatches(ORDERS) | WriteToLake(lake, "a", "rows", ORDERS.schema)  # 1
    letters = valid.dead_letters | WriteDeadLetters(lake, RunIdentity("a", "orders", ""))  # 2
    manifest = ([files, letters], [valid.ledger]) | FinalizeRun(lake, RunIdentity("a", "orders", ""))  # 3
    return manifest | beam.Map(len) | beam.Map(bool)


@beam.ptransform_fn
def keep_refused(orders: Rows, lake: str) -> Rows:
    """Refused rows beside somebody's own sinks; FinalizeRun then publishes them."""
    outcome = orders | beam.Map(lambda order: {**order, "country": "XX"}) | ValidateRows(ORDERS)  # 1
    written = outcome.dead_letters | WriteDeadLetters(lake, RunIdentity("b", "orders", ""))  # 2
    return written | beam.Map(lambda file: file[3])  # 3


@beam.ptransform_fn
def publish(orders: Rows, uri: str) -> Rows:
    """A record of a topic for each row."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToKafka(uri, ORDERS.schema)  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3


@beam.ptransform_fn
def stream_out(orders: Rows, uri: str) -> Rows:
    """A record of a Kinesis stream for each row."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToKinesis(uri, ORDERS.schema)  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3


@beam.ptransform_fn
def publish_to_pubsub(orders: Rows, uri: str) -> Rows:
    """A message of a Pub/Sub topic for each row."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToPubSub(uri, ORDERS.schema)  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3


@beam.ptransform_fn
def publish_to_queue(orders: Rows, uri: str) -> Rows:
    """A message of a queue of RabbitMQ for each row."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToAmqp(uri, ORDERS.schema)  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3


@beam.ptransform_fn
def publish_to_mqtt(orders: Rows, uri: str) -> Rows:
    """A message of an MQTT topic for each row."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToMqtt(uri, ORDERS.schema)  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3


@beam.ptransform_fn
def serve(orders: Rows, uri: str) -> Rows:
    """The newest row of each key, where others look it up."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToRedis(uri, ORDERS.schema)  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3


@beam.ptransform_fn
def store(orders: Rows, uri: str, staging: str) -> Rows:
    """All rows in one commit of a store, which has its id."""
    batches = orders | RowsToBatches(ORDERS)  # 1
    written = batches | WriteToTable(uri, ORDERS.schema, staging=staging, commit_id="monday")  # 2
    return written.dead_letters | BatchesToRows(pa.schema([("rule", pa.string())]))  # 3
