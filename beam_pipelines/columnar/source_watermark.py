"""What the source of a stream had told of the time when it read a batch, in the batch's schema metadata."""

from __future__ import annotations

import pyarrow as pa

SOURCE_WATERMARK = b"stream.watermark"
"""Key of the latest watermark that the source had reported, in microseconds since the epoch.

Whatever the runner's watermark is when the batch comes: a row after this one came in time. A stage that changes
batches hands it on, one that joins them leaves it behind.
"""


def told_by_source(batch: pa.RecordBatch, before: pa.RecordBatch) -> pa.RecordBatch:
    """Hand on what the source told of the batch that this one was made of.

    >>> before = pa.record_batch({"a": [1]}, metadata={SOURCE_WATERMARK: b"5"})
    >>> told_by_source(pa.record_batch({"b": [2]}), before).schema.metadata
    {b'stream.watermark': b'5'}
    """
    told = (before.schema.metadata or {}).get(SOURCE_WATERMARK)
    return batch if told is None else batch.replace_schema_metadata({SOURCE_WATERMARK: told})


def with_source_watermark(batch: pa.RecordBatch, micros: int) -> pa.RecordBatch:
    """Tell of a batch, beside what its metadata say already."""
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), SOURCE_WATERMARK: str(micros).encode()})


def source_watermark(batch: pa.RecordBatch) -> int | None:
    """What the source had reported; None if it told nothing."""
    told = (batch.schema.metadata or {}).get(SOURCE_WATERMARK)
    return None if told is None else int(told)
