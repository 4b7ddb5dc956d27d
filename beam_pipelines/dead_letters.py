"""Dead letters: one envelope for every row that a stage refuses, with its payload unchanged.

Dead letters hold raw payloads, so they are as sensitive as the source they came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import (
    COLUMNS,
    CSV_HEADER,
    FAILURE_TYPE,
    FAILURES,
    PAYLOAD,
    PROVENANCE,
    RECORD,
    RECORD_FORMAT,
    SOURCE_TYPE,
)

SCHEMA = pa.schema(
    [
        pa.field("pipeline", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("transform", pa.string(), nullable=False),
        pa.field("contract", pa.string()),
        pa.field("contract_version", pa.string()),
        pa.field("rule", pa.string(), nullable=False),  # of the first failure
        pa.field("field", pa.string()),
        pa.field("message", pa.string(), nullable=False),
        pa.field("failures", pa.list_(FAILURE_TYPE), nullable=False),  # all of them, values masked if sensitive
        pa.field("payload", pa.binary()),
        pa.field("source", pa.string()),
        *(pa.field(name.removeprefix("__"), kind) for name, kind in PROVENANCE.items() if name != "__source"),
        pa.field("event_time", pa.timestamp("us", "UTC")),
        pa.field("record_format", pa.string()),  # of the payload, by which a replay decodes it
        pa.field("csv_header", pa.binary()),
    ]
)
"""Columns of a batch of dead letters. `pipeline` and `run_id` are stamped by the sink."""


def letters_of(
    refused: pa.RecordBatch,
    *,
    transform: str,
    contract: str | None = None,
    contract_version: str | None = None,
    event_time: str | None = None,
) -> pa.RecordBatch:
    """Put rows into envelopes.

    `refused` carries `__failures` (list of FAILURE_TYPE, at least one in each row), and its payload
    and provenance columns if it has them; of a `__record` the payload is its JSON. `event_time` names its
    column of event times (a date counts from its midnight in UTC).
    """
    rows = refused.num_rows
    present = refused.schema.names
    failures = refused.column(FAILURES)
    first = pc.list_element(failures, 0)

    def column(name: str, kind: pa.DataType) -> pa.Array:
        if name not in present:
            return pa.nulls(rows, kind)
        values = refused.column(name)
        return values if values.type == kind else values.cast(kind)

    metadata = refused.schema.metadata or {}
    columns = {
        "pipeline": pa.nulls(rows, pa.string()),
        "run_id": pa.nulls(rows, pa.string()),
        "transform": pa.repeat(pa.scalar(transform), rows),
        "contract": pa.repeat(pa.scalar(contract, pa.string()), rows),
        "contract_version": pa.repeat(pa.scalar(contract_version, pa.string()), rows),
        "rule": pc.struct_field(first, "rule"),
        "field": pc.struct_field(first, "field"),
        "message": pc.struct_field(first, "message"),
        "failures": failures,
        "payload": json_text(refused.column(RECORD)).cast(pa.binary())
        if RECORD in present
        else column(PAYLOAD, pa.binary()),
        "source": column("__source", pa.string()),
        **{name.removeprefix("__"): column(name, kind) for name, kind in PROVENANCE.items() if name != "__source"},
        "event_time": column(event_time or "", pa.timestamp("us", "UTC")),
        "record_format": pa.repeat(_text(metadata, RECORD_FORMAT), rows),
        "csv_header": pa.repeat(pa.scalar(metadata.get(CSV_HEADER), pa.binary()), rows),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _text(metadata: Mapping[bytes, bytes], key: bytes) -> pa.Scalar:
    text = metadata[key].decode() if key in metadata else None
    return pa.scalar("jsonl" if text == COLUMNS else text, pa.string())  # as the payload is written then


def raw_batches(letters: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Take letters out of their envelopes: the raw batches they were, one for each format and header.

    Letters without a payload or a format are left out: there is nothing to decode.
    """
    whole = letters.filter(pc.invert(is_hollow(letters)))
    kinds = pa.Table.from_batches([whole]).group_by(["record_format", "csv_header"]).aggregate([]).to_pylist()
    for kind in kinds:
        same = pc.equal(whole.column("record_format"), kind["record_format"])
        header = kind["csv_header"]
        headers = whole.column("csv_header")
        same = pc.and_(same, pc.is_null(headers) if header is None else pc.equal(headers, header).fill_null(False))
        rows = whole.filter(same)
        metadata = {RECORD_FORMAT: kind["record_format"].encode()}
        if header is not None:
            metadata[CSV_HEADER] = header
        columns = {PAYLOAD: rows.column("payload"), "__source": rows.column("source").cast(SOURCE_TYPE)}
        columns |= {name: rows.column(name.removeprefix("__")) for name in PROVENANCE if name != "__source"}
        kept = {name: values for name, values in columns.items() if values.null_count < len(values) or name == PAYLOAD}
        schema = pa.schema([pa.field(name, values.type) for name, values in kept.items()], metadata=metadata)
        yield pa.RecordBatch.from_arrays(list(kept.values()), schema=schema)


def is_hollow(letters: pa.RecordBatch) -> pa.Array:
    """Which letters hold nothing that could be decoded."""
    return pc.or_(pc.is_null(letters.column("payload")), pc.is_null(letters.column("record_format")))


def count_by_rule(letters: pa.RecordBatch) -> dict[str, int]:
    """Number of letters for each rule, for the ledger."""
    counts = pc.value_counts(letters.column("rule"))
    return {item["values"]: item["counts"] for item in counts.to_pylist()}


def failure(rule: str, field: str | None, value: str | None, message: str) -> dict[str, str | None]:
    """One failure as a Python value of FAILURE_TYPE."""
    return {"rule": rule, "field": field, "value": value, "message": message}


def failures_column(failures: Sequence[list[dict[str, str | None]] | None]) -> pa.Array:
    """Make a `__failures` column: for each row a list of failures, or None."""
    return pa.array(failures, pa.list_(FAILURE_TYPE))
