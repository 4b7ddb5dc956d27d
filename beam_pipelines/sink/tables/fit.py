"""Which rows a table can't take, and why: asked before a commit of thousands fails for one of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.sink.tables.table import Column

REQUIRED = "table.required"
TOO_LONG = "table.too_long"
DOES_NOT_FIT = "table.does_not_fit"

_Failure = dict[str, str | None]


def misfits(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.Array | None:
    """A `__failures` column that is null for rows that fit, or None if all do. Values are never told.

    >>> rows = pa.record_batch({"id": [1, None], "note": ["long", "ok"]})
    >>> found = misfits(rows, [Column("id", pa.int64(), required=True), Column("note", pa.string(), longest=3)])
    >>> [[each["rule"] for each in failures] for failures in found.to_pylist()]
    [['table.too_long'], ['table.required']]
    """
    found: dict[int, list[_Failure]] = {}
    for column in columns:
        if column.name in batch.schema.names:
            for rule, message, rows in _of_column(batch.column(column.name), column):
                for row in rows:
                    found.setdefault(row, []).append(failure(rule, column.name, None, message))
    return failures_column([found.get(row) for row in range(batch.num_rows)]) if found else None


def _of_column(values: pa.Array, column: Column) -> list[tuple[str, str, list[int]]]:
    told = []
    if column.required and values.null_count:
        told.append((REQUIRED, "is null, which the table doesn't take", _true(values.is_null())))
    if column.longest is not None:
        text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        lengths = pc.utf8_length(values) if text else pc.binary_length(values)
        unit = "characters" if text else "bytes"
        rows = _true(pc.greater(lengths, column.longest))
        if rows:
            told.append((TOO_LONG, f"is longer than the table's {column.longest} {unit}", rows))
    rows = _not_castable(values, column.type)
    if rows:
        told.append((DOES_NOT_FIT, f"has no exact value of the table's type {column.type}", rows))
    return told


def _true(mask: pa.Array) -> list[int]:
    return pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()


def _not_castable(values: pa.Array, kind: pa.DataType, first: int = 0) -> list[int]:
    """Rows whose value doesn't cast to a type, found by halves: a column that fits costs one cast."""
    if values.type == kind:
        return []
    try:
        values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            return [first]
        half = len(values) // 2
        return [*_not_castable(values[:half], kind, first), *_not_castable(values[half:], kind, first + half)]
    return []
