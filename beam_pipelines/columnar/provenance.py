"""Raw batches, and the columns that tell where a row came from for as long as it travels.

A raw batch holds `__payload` (the record's bytes, unchanged, without its line end) and those of the
provenance columns that its source has; `__source` and `__position` are always there. Decoding adds a
contract's columns beside them; sinks and aggregates leave them behind.
"""

from __future__ import annotations

import pyarrow as pa

PAYLOAD = "__payload"
FAILURES = "__failures"
"""What a row failed before it was judged: decoding fills it, validation empties it."""

EXTRA = "_extra"
"""Unknown fields under `onSchemaChange: evolve`, as the text of a JSON object; null in rows that have none."""

FAILURE_TYPE = pa.struct(
    [
        pa.field("rule", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("value", pa.string()),
        pa.field("message", pa.string(), nullable=False),
    ]
)

SOURCE_TYPE = pa.dictionary(pa.int32(), pa.string())

PROVENANCE: dict[str, pa.DataType] = {
    "__source": SOURCE_TYPE,  # file, topic or subscription
    "__partition": pa.int32(),
    "__position": pa.int64(),  # byte offset in the (decompressed) file, or the log's offset
    "__publish_time": pa.timestamp("us", "UTC"),
    "__key": pa.binary(),
    "__attributes": pa.map_(pa.string(), pa.binary()),
}

RECORD_FORMAT = b"record.format"
"""Key in a raw batch's schema metadata: what its payloads are, `jsonl` or `csv`."""

CSV_HEADER = b"csv.header"
"""Key in a raw batch's schema metadata: the header record of the file its rows came from."""


def raw_batch(
    payloads: pa.Array,
    source: str,
    positions: pa.Array,
    metadata: dict[bytes, bytes] | None = None,
) -> pa.RecordBatch:
    """Make a raw batch of one source; `positions` are int64, one for each payload.

    >>> raw_batch(pa.array([b"a", b"b"]), "f.jsonl", pa.array([0, 2])).num_rows
    2
    """
    sources = pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), len(payloads)), pa.array([source], pa.string())
    )
    schema = pa.schema(
        [(PAYLOAD, pa.binary()), ("__source", SOURCE_TYPE), ("__position", pa.int64())], metadata=metadata
    )
    return pa.RecordBatch.from_arrays([payloads, sources, positions], schema=schema)


def without_provenance(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch's own columns only. ValueError if rows in it still carry failures."""
    if FAILURES in batch.schema.names and batch.column(FAILURES).null_count < batch.num_rows:
        raise ValueError("rows that failed decoding reached a sink: put ValidateBatches after DecodeBatches")
    own = [name for name in batch.schema.names if name != PAYLOAD and name != FAILURES and name not in PROVENANCE]
    return batch if len(own) == batch.num_columns else batch.select(own)
