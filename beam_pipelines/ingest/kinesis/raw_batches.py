"""Kinesis' records → raw batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, PROVENANCE, SOURCE_TYPE
from beam_pipelines.dead_letters import failure, failures_column

SEQUENCE_NUMBER = "kinesis.sequence_number"
"""Name in `__attributes` of a record's sequence number, whose 186 bits don't fit into `__position`."""

AGGREGATED = "kinesis.aggregated"
"""Rule of records that hold several, as the Kinesis Producer Library packs them: they aren't taken apart here."""

_AGGREGATED = b"\xf3\x89\x9a\xc2"  # what such records begin with (aggregation-format.md of the library)


def position_of(sequence_number: str) -> int:
    """Make 63 bits of a sequence number: of two records of a shard they are equal once in 10**18 pairs.

    >>> position_of("49590338271490256608559692538361571095921575989136588898")
    6751319335555791008
    """
    return int.from_bytes(hashlib.blake2b(sequence_number.encode(), digest_size=8).digest()) >> 1


def raw_batch_of(
    records: Sequence[Mapping[str, Any]], stream: str, shard: int, metadata: Mapping[bytes, bytes] | None = None
) -> pa.RecordBatch:
    """Put records of one shard, as the service gives them, into a raw batch.

    The partition key is `__key`, the time of arrival `__publish_time`.
    """
    rows = len(records)
    numbers = [record["SequenceNumber"] for record in records]
    columns = {
        PAYLOAD: pa.array([record["Data"] for record in records], pa.binary()),
        "__source": _same(stream, rows),
        "__partition": pa.repeat(pa.scalar(shard, pa.int32()), rows),
        "__position": pa.array(list(map(position_of, numbers)), pa.int64()),
        "__publish_time": pa.array(
            [record.get("ApproximateArrivalTimestamp") for record in records], PROVENANCE["__publish_time"]
        ),
        "__key": pa.array([record["PartitionKey"].encode() for record in records], pa.binary()),
        "__attributes": pa.array(
            [[(SEQUENCE_NUMBER, number.encode())] for number in numbers], PROVENANCE["__attributes"]
        ),
    }
    batch = pa.record_batch(list(columns.values()), names=list(columns), metadata=dict(metadata or {}))
    packed = [record["Data"].startswith(_AGGREGATED) for record in records]
    if not any(packed):
        return batch
    said = [failure(AGGREGATED, None, None, "holds several records, packed by the Kinesis Producer Library")]
    return batch.append_column(FAILURES, failures_column([said if each else None for each in packed]))


def lost_batch(stream: str, shard: int, after: str, rule: str, message: str) -> pa.RecordBatch:
    """Make a batch of one row for what can't be had behind a sequence number: it becomes a dead letter."""
    columns = {
        PAYLOAD: pa.nulls(1, pa.binary()),
        "__source": _same(stream, 1),
        "__partition": pa.array([shard], pa.int32()),
        "__position": pa.array([position_of(after)], pa.int64()),
        "__attributes": pa.array([[(SEQUENCE_NUMBER, after.encode())]], PROVENANCE["__attributes"]),
        FAILURES: failures_column([[failure(rule, None, None, message)]]),
    }
    return pa.record_batch(list(columns.values()), names=list(columns))


def _same(stream: str, rows: int) -> pa.Array:
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([stream], pa.string())).cast(SOURCE_TYPE)
