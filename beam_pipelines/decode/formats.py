"""One decoder for each record format, chosen by name or by what the batch says of itself."""

from __future__ import annotations

import pyarrow as pa

from beam_pipelines.columnar.failures import failures_column, flattened
from beam_pipelines.columnar.provenance import (
    COLUMNS,
    CSV_HEADER,
    FAILURES,
    PAYLOAD,
    RECORD,
    RECORD_FORMAT,
    XML_ENCODING,
)
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.columns import decode_columns
from beam_pipelines.decode.csv_rows import decode_csv_rows
from beam_pipelines.decode.decoded import Decoded
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout, decode_fixed_width
from beam_pipelines.decode.json_lines import decode_json_lines
from beam_pipelines.decode.xml_rows import decode_xml_rows
from beam_pipelines.errors import UsageError, did_you_mean

AUTO = "auto"
FORMATS = ("jsonl", "csv", "fixed", "xml", COLUMNS)
"""Names of the record formats; `auto` is the one in the batch's schema metadata (`record.format`)."""


def check_format_name(format: str) -> None:
    """Raise UsageError for a format that there isn't."""
    if format not in (AUTO, *FORMATS):
        raise UsageError(f"'{format}' is not a record format.{did_you_mean(format, (AUTO, *FORMATS))}")


def decode(
    batch: pa.RecordBatch,
    contract: Contract,
    format: str = AUTO,
    dialect: CsvDialect | None = None,
    layout: FixedWidthLayout | None = None,
) -> pa.RecordBatch:
    """Decode the payloads of a raw batch, or its `__record`, whatever the format then.

    Out come the contract's columns (all nullable), `_extra` if the contract keeps unknown fields, all
    columns of the raw batch, and `__failures` if any row failed. No row is dropped or moved: what can't
    be decoded is null and has a failure. Raises UsageError for a batch that isn't raw or doesn't say its
    format, ContractViolation for an unknown field of a frozen contract.

    >>> from beam_pipelines.contract.model import Field
    >>> from beam_pipelines.columnar.provenance import raw_batch
    >>> raw = raw_batch(pa.array([b'{"id": 1}', b"{}"]), "orders.jsonl", pa.array([0, 10]))
    >>> decode(raw, Contract("orders", (Field("id", pa.int64()),)), "jsonl").column("id").to_pylist()
    [1, None]
    """
    if RECORD in batch.schema.names:
        return _beside(batch, decode_columns(batch.column(RECORD), contract))
    if PAYLOAD not in batch.schema.names:
        raise UsageError(f"a batch to decode has no column '{PAYLOAD}', it has: {', '.join(batch.schema.names)}")
    metadata = batch.schema.metadata or {}
    if format == AUTO:
        if RECORD_FORMAT not in metadata:
            raise UsageError(
                f"a batch doesn't say its record format in its schema metadata ('{RECORD_FORMAT.decode()}'): "
                f"name one of {', '.join(FORMATS)}"
            )
        format = metadata[RECORD_FORMAT].decode()
    check_format_name(format)
    payloads = batch.column(PAYLOAD)
    if format == "csv":
        decoded = decode_csv_rows(payloads, contract, dialect, metadata.get(CSV_HEADER))
    elif format == "fixed":
        decoded = decode_fixed_width(payloads, contract, layout)
    elif format == "xml":
        decoded = decode_xml_rows(payloads, contract, metadata.get(XML_ENCODING, b"").decode() or None)
    elif format == COLUMNS:
        raise UsageError(f"a batch whose rows are columns has no column '{RECORD}'")
    else:
        decoded = decode_json_lines(payloads, contract)
    return _beside(batch, decoded)


def _beside(batch: pa.RecordBatch, decoded: Decoded) -> pa.RecordBatch:
    """Put decoded columns before those of the raw batch."""
    columns = dict(decoded.columns)
    for name in batch.schema.names:
        if name not in columns:
            columns[name] = batch.column(name)
    if decoded.found:
        before = [flattened(batch.column(FAILURES))] if FAILURES in batch.schema.names else []
        columns[FAILURES] = failures_column([*before, *decoded.found], batch.num_rows)
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns), metadata=batch.schema.metadata)
