"""Payloads that make a decoder fail, which none should: they become dead letters, and never block a stream.

A batch that fails is tried again, then its halves, down to the rows that do it; so one poison message of 16,384 costs
some thirty tries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pyarrow as pa

from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.errors import ContractViolation, UsageError

RULE = "decode.failed"
"""Rule of the dead letters: a defect of the decoder, whose payload is worth a report."""

TRIES = 3
"""Of a single row, before it is given up."""

Decode = Callable[[pa.RecordBatch], pa.RecordBatch]

_log = logging.getLogger(__name__)


def decode_around_poison(batch: pa.RecordBatch, decode: Decode) -> Iterator[pa.RecordBatch]:
    """Decode a raw batch whatever is in it: yields it decoded, or in parts around rows that can't be.

    These are null and have a failure, as rows that break the format have. What says that the pipeline is wrong
    (UsageError, ContractViolation) or that memory is short is raised as it is.

    >>> def picky(batch: pa.RecordBatch) -> pa.RecordBatch:
    ...     if b"poison" in batch.column(PAYLOAD).to_pylist():
    ...         raise KeyError("poison")
    ...     return batch
    >>> raw = pa.record_batch({PAYLOAD: [b"a", b"poison", b"b"]})
    >>> [part.num_rows for part in decode_around_poison(raw, picky)]
    [1, 1, 1]
    """
    found = _tried(batch, decode)
    if isinstance(found, pa.RecordBatch):
        yield found
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from decode_around_poison(batch.slice(0, half), decode)
        yield from decode_around_poison(batch.slice(half), decode)
    else:
        again = (_tried(batch, decode) for _ in range(TRIES - 1))
        passed = next((each for each in again if isinstance(each, pa.RecordBatch)), None)
        yield _given_up(batch, decode, type(found).__name__) if passed is None else passed


def _tried(batch: pa.RecordBatch, decode: Decode) -> pa.RecordBatch | Exception:
    try:
        return decode(batch)
    except (UsageError, ContractViolation, MemoryError):
        raise
    except Exception as error:
        if PAYLOAD not in batch.schema.names:
            raise  # columns of a file: nothing that a dead letter could hold
        return error


def _given_up(row: pa.RecordBatch, decode: Decode, kind: str) -> pa.RecordBatch:
    """The row as one that couldn't be decoded: as of no payload, with its own beside it."""
    _log.error("a payload made the decoder fail %d times: %s", TRIES, kind)
    place = row.schema.get_field_index(PAYLOAD)
    hollow = decode(row.set_column(place, row.schema.field(place).with_nullable(True), pa.nulls(1, pa.binary())))
    told = failures_column([[failure(RULE, None, None, f"made the decoder fail ({kind}), {TRIES} times")]])
    whole = hollow.set_column(hollow.schema.get_field_index(PAYLOAD), row.schema.field(place), row.column(place))
    if FAILURES in whole.schema.names:
        return whole.set_column(whole.schema.get_field_index(FAILURES), FAILURES, told)
    return whole.append_column(FAILURES, told)
