"""Rows of one key reduced to one, exactly: the same row is kept whatever the order they come in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.batches import concat
from beam_pipelines.columnar.shards import hash_rows
from beam_pipelines.errors import UsageError

MAX_SHARD_BYTES = 512 << 20
"""Distinct rows of one shard, in bytes. Four times as much is needed while a shard is sorted, and 2 GiB
are there even on a worker of 3.75 GB."""

COMPACT_BYTES = 32 << 20
"""Bytes of new rows that are gathered before they are compared with those kept."""

Keep = Literal["first", "last"]
"""Which row of a key stays, by event time."""

PLACE = ("__source", "__partition", "__position")
"""Provenance columns that order rows of equal event time."""

_CONTENT = "__content"


class Distinct(NamedTuple):
    """The rows that are kept, by event time, and how many were not."""

    rows: pa.RecordBatch
    duplicates: int


def keep_one(
    batch: pa.RecordBatch, keys: Sequence[str], event_time: str | None = None, keep: Keep = "first"
) -> pa.RecordBatch:
    """Return the first or last row of each key, by event time and then by place, in that order.

    First is the earliest event time (rows without one come last), then the lowest source, partition and
    position as far as the batch has them. Last is the latest (rows without one come before), then the
    highest. Rows without provenance are told apart by a hash of their content. Nulls in a key are equal.

    >>> batch = pa.record_batch({"id": [1, 2, 1], "at": [30, 20, 10]})
    >>> keep_one(batch, ["id"], "at").to_pydict()
    {'id': [1, 2], 'at': [10, 20]}
    """
    if batch.num_rows == 0:
        return batch
    places = [name for name in PLACE if name in batch.schema.names]
    order = ([event_time] if event_time is not None else []) + places
    columns = {name: _sortable(batch.column(name)) for name in dict.fromkeys([*keys, *order])}
    if not places:
        content = [field.name for field in batch.schema if not pa.types.is_nested(field.type)]
        columns[_CONTENT] = pa.array(hash_rows(batch, content))
        order.append(_CONTENT)
    sortable = pa.record_batch(columns)
    last = keep == "last"
    within = [(name, "descending" if last else "ascending") for name in order if name not in keys]
    by_key = pc.sort_indices(sortable, sort_keys=[*((name, "ascending") for name in keys), *within])
    starts = starts_of(sortable.select(list(keys)).take(by_key))
    first = by_key.filter(pa.array(starts))
    in_order = pc.sort_indices(sortable.take(first), sort_keys=[(name, "ascending") for name in order])
    return batch.take(first.take(in_order))


def deduplicate(
    pieces: Iterable[pa.RecordBatch],
    keys: Sequence[str],
    event_time: str | None = None,
    max_bytes: int = MAX_SHARD_BYTES,
    keep: Keep = "first",
) -> Distinct:
    """Reduce batches of one schema as `keep_one` does, holding only distinct rows on the way.

    UsageError when there are more than `max_bytes` of them. ValueError when there are no pieces.

    >>> pieces = [pa.record_batch({"id": [1, 2]}), pa.record_batch({"id": [2, 3]})]
    >>> deduplicate(pieces, ["id"]).duplicates
    1
    """
    held: list[pa.RecordBatch] = []
    rows = kept_bytes = new_bytes = 0
    for piece in pieces:
        rows += piece.num_rows
        held.append(piece)
        new_bytes += piece.nbytes
        if new_bytes > max(COMPACT_BYTES, kept_bytes):
            held = [_within(keep_one(concat(held), keys, event_time, keep), max_bytes)]
            kept_bytes, new_bytes = held[0].nbytes, 0
    kept = _within(keep_one(concat(held), keys, event_time, keep), max_bytes)
    return Distinct(kept, rows - kept.num_rows)


def _within(batch: pa.RecordBatch, max_bytes: int) -> pa.RecordBatch:
    if batch.nbytes > max_bytes:
        raise UsageError(
            f"a shard holds more than {max_bytes >> 20} MiB of distinct rows ({batch.num_rows} rows so far): "
            "deduplicate with more shards, at least twice as many"
        )
    return batch


def _sortable(values: pa.Array) -> pa.Array:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def starts_of(ordered: pa.RecordBatch) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell for each row of ordered keys whether it differs from the row before."""
    starts = np.zeros(ordered.num_rows, np.bool_)
    starts[0] = True
    for values in ordered.columns:
        here, before = values.slice(1), values.slice(0, len(values) - 1)
        differs = pc.or_(
            pc.fill_null(pc.not_equal(here, before), False),
            pc.not_equal(here.is_null(), before.is_null()),
        )
        starts[1:] |= differs.to_numpy(zero_copy_only=False)
    return starts
