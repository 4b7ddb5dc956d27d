"""Kafka's messages → raw batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from beam_pipelines.columnar.binary_arrays import binary_array
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, PROVENANCE, SOURCE_TYPE
from beam_pipelines.dead_letters import failure, failures_column

_COLUMNS = {PAYLOAD: pa.binary(), **PROVENANCE}
_HEADERS = PROVENANCE["__attributes"]


def raw_batch_of(
    messages: Sequence[Message], topic: str, partition: int, metadata: Mapping[bytes, bytes] | None = None
) -> pa.RecordBatch:
    """Put messages of one partition into a raw batch; `__payload` is null in tombstones.

    Offset, partition, key, headers (`__attributes`) and the time that Kafka has for it (`__publish_time`, the
    producer's or the log's as the topic is set) are kept of each.
    """
    columns = {
        PAYLOAD: binary_array(list(map(Message.value, messages))),
        "__source": _same(topic, len(messages)),
        "__partition": pa.repeat(pa.scalar(partition, pa.int32()), len(messages)),
        "__position": _offsets(messages),
        "__publish_time": _times(messages),
        "__key": binary_array(list(map(Message.key, messages))),
        "__attributes": _headers(messages),
    }
    return pa.record_batch([columns[name] for name in _COLUMNS], names=list(_COLUMNS), metadata=metadata)


def failed_batch(topic: str, partition: int, position: int, rule: str, message: str) -> pa.RecordBatch:
    """Make a batch of one row for what stands at a position and can't be had: it becomes a dead letter."""
    columns = {
        PAYLOAD: pa.nulls(1, pa.binary()),
        "__source": _same(topic, 1),
        "__partition": pa.array([partition], pa.int32()),
        "__position": pa.array([position], pa.int64()),
        FAILURES: failures_column([[failure(rule, None, None, message)]]),
    }
    return pa.record_batch(list(columns.values()), names=list(columns))


def _same(topic: str, rows: int) -> pa.Array:
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([topic], pa.string())).cast(SOURCE_TYPE)


def _offsets(messages: Sequence[Message]) -> pa.Array:
    """Offsets of a partition only grow: where none is left out, the first and the last say all of them."""
    if not messages:
        return pa.array([], pa.int64())
    first, last = messages[0].offset(), messages[-1].offset()
    if last - first + 1 == len(messages):
        return pa.array(np.arange(first, last + 1))
    return pa.array(np.fromiter(map(Message.offset, messages), np.int64, len(messages)))


def _times(messages: Sequence[Message]) -> pa.Array:
    # Flat, so that no pair outlives the next one: as a list they cost twice as much.
    told = np.fromiter(chain.from_iterable(map(Message.timestamp, messages)), np.int64, 2 * len(messages))
    kinds, millis = told[0::2], told[1::2]
    return pa.array(millis * 1000, mask=kinds == TIMESTAMP_NOT_AVAILABLE).cast(PROVENANCE["__publish_time"])


def _headers(messages: Sequence[Message]) -> pa.Array:
    if not any(map(Message.headers, messages)):
        return pa.nulls(len(messages), _HEADERS)
    # Pairs, not a dict: Kafka lets a header come twice.
    return pa.array([message.headers() for message in messages], _HEADERS)
