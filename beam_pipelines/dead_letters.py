"""Dead letters: one envelope for every row that a stage refuses, with its payload unchanged.

Dead letters hold raw payloads, so they are as sensitive as the source they came from.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.provenance import FAILURE_TYPE, FAILURES, PAYLOAD, PROVENANCE

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
    and provenance columns if it has them. `event_time` names its column of event times (a date counts
    from its midnight in UTC).
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
        "payload": column(PAYLOAD, pa.binary()),
        "source": column("__source", pa.string()),
        **{name.removeprefix("__"): column(name, kind) for name, kind in PROVENANCE.items() if name != "__source"},
        "event_time": column(event_time or "", pa.timestamp("us", "UTC")),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


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
