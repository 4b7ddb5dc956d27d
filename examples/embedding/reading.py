"""Files, topics and dead letters read as rows."""

from __future__ import annotations

from typing import TypeAlias

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_pipelines import (
    BatchesToRows,
    DecodeBatches,
    ReadDeadLetters,
    ReadFiles,
    ReadFromAmqp,
    ReadFromKafka,
    ReadFromKinesis,
    ReadFromMqtt,
    ReadFromPubSub,
    ReadFromTable,
    ReplayFiles,
    WatchFiles,
)
from examples.embedding.orders import ORDERS, Row

Rows: TypeAlias = beam.PCollection[Row]


@beam.ptransform_fn
def read_any_file(begin: PBegin, pattern: str) -> Rows:
    """Records of files in any format, as the bytes they are."""
    raw = begin | ReadFiles(pattern)  # 1
    lines = raw.good | beam.FlatMap(lambda batch: batch.column("__payload").to_pylist())  # 2
    return lines | beam.Map(bytes.decode)  # 3


@beam.ptransform_fn
def read_orders(begin: PBegin, pattern: str) -> Rows:
    """Files as rows with the contract's types."""
    raw = begin | ReadFiles(pattern)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["amount"]))


@beam.ptransform_fn
def try_letters_again(begin: PBegin, pattern: str) -> Rows:
    """What a run refused, as rows again."""
    letters = begin | ReadDeadLetters([pattern])  # 1
    decoded = letters.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["country"]))


@beam.ptransform_fn
def read_topic(begin: PBegin, uri: str) -> Rows:
    """A topic's messages as rows."""
    raw = begin | ReadFromKafka(uri, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["amount"]))


@beam.ptransform_fn
def read_stream(begin: PBegin, uri: str) -> Rows:
    """A Kinesis stream's records as rows."""
    raw = begin | ReadFromKinesis(uri, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["amount"]))


@beam.ptransform_fn
def read_subscription(begin: PBegin, uri: str) -> Rows:
    """Messages of a Pub/Sub subscription as rows, acknowledged when they are safe."""
    raw = begin | ReadFromPubSub(uri, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    return decoded | BatchesToRows(ORDERS) | beam.Map(lambda order: (order["id"], order["amount"]))  # 3


@beam.ptransform_fn
def read_queue(begin: PBegin, uri: str) -> Rows:
    """Messages of a queue of RabbitMQ as rows."""
    raw = begin | ReadFromAmqp(uri, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    return decoded | BatchesToRows(ORDERS) | beam.Map(lambda order: (order["id"], order["amount"]))  # 3


@beam.ptransform_fn
def read_sensors(begin: PBegin, uri: str) -> Rows:
    """Messages of MQTT topics as rows."""
    raw = begin | ReadFromMqtt(uri, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    return decoded | BatchesToRows(ORDERS) | beam.Map(lambda order: (order["id"], order["amount"]))  # 3


@beam.ptransform_fn
def read_table(begin: PBegin, uri: str) -> Rows:
    """A table's rows, as the contract has them."""
    raw = begin | ReadFromTable(uri, ORDERS.names)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["amount"]))


@beam.ptransform_fn
def replay_orders(begin: PBegin, pattern: str) -> Rows:
    """Files as a stream, whose watermark follows the rows."""
    raw = begin | ReplayFiles(pattern, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order, at=beam.DoFn.TimestampParam: (order["id"], at.to_utc_datetime().hour))


@beam.ptransform_fn
def watch_orders(begin: PBegin, uri: str) -> Rows:
    """Files as they come into a folder."""
    raw = begin | WatchFiles(uri, ORDERS)  # 1
    decoded = raw.good | DecodeBatches(ORDERS)  # 2
    rows = decoded | BatchesToRows(ORDERS)  # 3
    return rows | beam.Map(lambda order: (order["id"], order["amount"]))
