"""Raw batches, and the columns that tell where a row came from for as long as it travels.

A raw batch holds `__payload` (the record's bytes, unchanged, without its line end) and those of the
provenance columns that its source has; `__source` and `__position` are always there. Of a file that
holds columns and no bytes of records (Parquet, ORC, Avro) it has `__record` instead, the file's columns
as one struct, which costs nothing to make; only of a row that is refused a payload is made, its JSON.
Decoding adds a contract's columns beside them; sinks and aggregates leave them behind.
"""

from __future__ import annotations

import pyarrow as pa

PAYLOAD = "__payload"
RECORD = "__record"
"""A row as its file has it, in a struct: instead of a payload, and as far as a payload goes."""

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
"""Key in a raw batch's schema metadata: what its payloads are (`decode.formats.FORMATS`), or that it has columns."""

COLUMNS = "columns"
"""The record format of batches with `__record`."""

CSV_HEADER = b"csv.header"
"""Key in a raw batch's schema metadata: the header record of the file its rows came from."""


XML_ENCODING = b"xml.encoding"
"""Key in a raw batch's schema metadata: the encoding of its XML payloads, if not that which XML assumes."""


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


def column_batch(
    records: pa.StructArray, source: str, positions: pa.Array, metadata: dict[bytes, bytes] | None = None
) -> pa.RecordBatch:
    """Make a raw batch of rows that a file holds as columns.

    >>> rows = pa.StructArray.from_arrays([pa.array([1, 2])], ["id"])
    >>> column_batch(rows, "f.parquet", pa.array([0, 1])).schema.names
    ['__record', '__source', '__position']
    """
    told = {RECORD_FORMAT: COLUMNS.encode(), **(metadata or {})}
    raw = raw_batch(pa.nulls(len(records), pa.binary()), source, positions, told)
    return raw.set_column(0, RECORD, records).replace_schema_metadata(told)


def without_provenance(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch's own columns only. ValueError if rows in it still carry failures."""
    if FAILURES in batch.schema.names and batch.column(FAILURES).null_count < batch.num_rows:
        raise ValueError("rows that failed decoding reached a sink: put ValidateBatches after DecodeBatches")
    ours = {PAYLOAD, RECORD, FAILURES, *PROVENANCE}
    own = [name for name in batch.schema.names if name not in ours]
    return batch if len(own) == batch.num_columns else batch.select(own)
