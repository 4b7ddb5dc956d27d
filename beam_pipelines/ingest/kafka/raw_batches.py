"""Kafka's messages → raw batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

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
    times = [message.timestamp() for message in messages]
    columns = {
        PAYLOAD: pa.array([message.value() for message in messages], pa.binary()),
        "__source": _same(topic, len(messages)),
        "__partition": pa.repeat(pa.scalar(partition, pa.int32()), len(messages)),
        "__position": pa.array([message.offset() for message in messages], pa.int64()),
        "__publish_time": pa.array(
            [None if kind == TIMESTAMP_NOT_AVAILABLE else time * 1000 for kind, time in times], pa.int64()
        ).cast(PROVENANCE["__publish_time"]),
        "__key": pa.array([message.key() for message in messages], pa.binary()),
        "__attributes": _headers([message.headers() for message in messages]),
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


def _headers(headers: Sequence[list[tuple[str, bytes | None]] | None]) -> pa.Array:
    if not any(headers):
        return pa.nulls(len(headers), _HEADERS)
    # Pairs, not a dict: Kafka lets a header come twice.
    return pa.array(headers, _HEADERS)
