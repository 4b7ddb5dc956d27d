"""The batch as unit of work: its bounds, how it is cut, joined and stamped with a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

MAX_BATCH_ROWS = 16_384
"""Rows in one element. Enough that Python's cost per batch (about 1 ms a stage) is small per row."""

MAX_BATCH_BYTES = 8 << 20
"""Bytes in one element: a tenth of the 80 MB that Dataflow's Streaming Engine takes for one element
(Dataflow documentation, "Quotas and limits"; 2 GB without it)."""


def split_to_bounds(
    batch: pa.RecordBatch, max_rows: int = MAX_BATCH_ROWS, max_bytes: int = MAX_BATCH_BYTES
) -> Iterator[pa.RecordBatch]:
    """Yield slices of the batch, each within both bounds; a single row over the bytes goes alone."""
    waiting = [batch.slice(start, max_rows) for start in range(0, batch.num_rows, max_rows)][::-1]
    while waiting:
        piece = waiting.pop()
        if piece.num_rows == 1 or piece.nbytes <= max_bytes:
            yield piece
        else:
            half = piece.num_rows // 2
            waiting += [piece.slice(half), piece.slice(0, half)]


def concat(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Join batches of one schema into one contiguous batch. ValueError when there are none."""
    return pa.concat_batches(list(batches))


def earliest_micros(times: pa.Array) -> int | None:
    """Earliest of timestamp("us") values in microseconds since the epoch; None if there is none.

    Elements are stamped with it: Beam Python checks no skew, and an output earlier than its element
    is not held by the watermark.
    """
    value = pc.min(times.cast(pa.int64())).as_py()
    return None if value is None else int(value)
