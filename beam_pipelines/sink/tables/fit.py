"""Which rows a table can't take, and why: asked before a commit of thousands fails for one of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.sink.tables.table import Column

REQUIRED = "table.required"
TOO_LONG = "table.too_long"
DOES_NOT_FIT = "table.does_not_fit"

_DAYS = -719_162, 2_932_896
"""From 1 January 1 to 31 December 9999, counted from 1970."""

_Failure = dict[str, str | None]


def misfits(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.Array | None:
    """A `__failures` column that is null for rows that fit, or None if all do. Values are never told.

    >>> rows = pa.record_batch({"id": [1, None], "note": ["long", "ok"]})
    >>> found = misfits(rows, [Column("id", pa.int64(), required=True), Column("note", pa.string(), longest=3)])
    >>> [[each["rule"] for each in failures] for failures in found.to_pylist()]
    [['table.too_long'], ['table.required']]
    """
    found: dict[int, list[_Failure]] = {}
    there = set(batch.schema.names)
    for column in columns:
        if column.name in there:
            for rule, message, rows in _of_column(batch.column(column.name), column):
                for row in rows:
                    found.setdefault(row, []).append(failure(rule, column.name, None, message))
    return failures_column([found.get(row) for row in range(batch.num_rows)]) if found else None


def _of_column(values: pa.Array, column: Column) -> list[tuple[str, str, list[int]]]:
    told = []
    if column.required and values.null_count:
        told.append((REQUIRED, "is null, which the table doesn't take", _true(values.is_null())))
    rows = _not_castable(values, column.type)
    if rows:
        told.append((DOES_NOT_FIT, f"has no exact value of the table's type {column.type}", rows))
        fits = np.ones(len(values), np.bool_)
        fits[rows] = False
        values = pc.if_else(pa.array(fits), values, None)
    if column.finite and pa.types.is_floating(values.type):
        rows = _true(pc.invert(pc.is_finite(values)))
        if rows:
            told.append((DOES_NOT_FIT, "is no number that the table takes", rows))
    if column.inner is not None:
        rows = inner_nulls(_cast(values, column.type), column.inner)
        if rows:
            told.append((REQUIRED, "holds a null where the table takes none", rows))
    if column.calendar:
        rows = out_of_calendar(_cast(values, column.type))
        if rows:
            told.append((DOES_NOT_FIT, "holds a time that isn't within the years 1 to 9999", rows))
    limited = column.longest is not None or column.longest_bytes is not None
    if limited or column.pattern is not None or not column.nul or column.json:
        told += _of_text(_cast(values, column.type), column)
    return told


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _of_text(values: pa.Array, column: Column) -> Iterator[tuple[str, str, list[int]]]:
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if column.longest is not None:
        lengths = pc.utf8_length(values) if text else pc.binary_length(values)
        rows = _true(pc.greater(lengths, column.longest))
        if rows:
            unit = "characters" if text else "bytes"
            yield TOO_LONG, f"is longer than the table's {column.longest} {unit}", rows
    if column.longest_bytes is not None:
        rows = _true(pc.greater(pc.binary_length(values), column.longest_bytes))
        if rows:
            yield TOO_LONG, f"is longer than the table's {column.longest_bytes} bytes", rows
    if column.json:
        texts = values if text else json_text(values)
        rows = [row for row, each in enumerate(texts.to_pylist()) if each is not None and not _is_json(each)]
        if rows:
            yield DOES_NOT_FIT, "is no JSON that the table takes", rows
    if column.pattern is not None:
        rows = _true(pc.invert(pc.match_substring_regex(values, f"^(?:{column.pattern})$")))
        if rows:
            yield DOES_NOT_FIT, "is no value of the table's type", rows
    # One look through all of a column's bytes costs next to nothing; to look into each text costs 20 ns.
    if not column.nul and text and any(b"\0" in buffer.to_pybytes() for buffer in values.buffers()[2:] if buffer):
        rows = _true(pc.match_substring(values, "\0"))
        if rows:
            yield DOES_NOT_FIT, "holds the character NUL, which the table doesn't take", rows


def inner_nulls(values: pa.Array, kind: pa.DataType) -> list[int]:
    """Rows of nested values with a null where the type says that there is none.

    >>> whole = pa.list_(pa.field("item", pa.int64(), nullable=False))
    >>> inner_nulls(pa.array([[1], [1, None], None]), whole)
    [1]
    """
    found: set[int] = set()
    if pa.types.is_list(kind):
        items = pc.list_flatten(values)
        wrong = set(inner_nulls(items, kind.value_type))
        if not kind.value_field.nullable:
            wrong.update(_true(items.is_null()))
        if wrong:
            found.update(pc.list_parent_indices(values).take(pa.array(sorted(wrong))).to_pylist())
    elif pa.types.is_struct(kind):
        for place, field in enumerate(kind):
            child = pc.struct_field(values, [place])
            found.update(inner_nulls(child, field.type))
            if not field.nullable:
                found.update(_true(pc.and_(values.is_valid(), child.is_null())))
    return sorted(found)


def out_of_calendar(values: pa.Array) -> list[int]:
    """Rows that hold a time before the year 1 or after 9999.

    >>> out_of_calendar(pa.array([0, 10**7], pa.int32()).cast(pa.date32()))
    [1]
    """
    kind = values.type
    if pa.types.is_list(kind):
        wrong = out_of_calendar(pc.list_flatten(values))
        return sorted(set(pc.list_parent_indices(values).take(pa.array(wrong, pa.int64())).to_pylist()))
    if pa.types.is_struct(kind):
        children = [pc.struct_field(values, [place]) for place in range(kind.num_fields)]
        return sorted({row for child in children for row in out_of_calendar(child)})
    if pa.types.is_date(kind) and kind.bit_width == 32:
        least, most = _DAYS
        numbers = values.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        least, most = _DAYS[0] * 86_400 * second, (_DAYS[1] + 1) * 86_400 * second - 1
        numbers = values.cast(pa.int64())
        if kind.unit == "ns":
            return []  # reaches from 1677 to 2262
    else:
        return []
    return _true(pc.or_(pc.less(numbers, least), pc.greater(numbers, most)))


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, strict=True)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return "\\u0000" not in text


def _true(mask: pa.Array) -> list[int]:
    return pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()


def _not_castable(values: pa.Array, kind: pa.DataType, first: int = 0) -> list[int]:
    """Rows whose value doesn't cast to a type, found by halves: a column that fits costs one cast."""
    if values.type == kind:
        return []
    try:
        made = values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            return [first]
        half = len(values) // 2
        return [*_not_castable(values[:half], kind, first), *_not_castable(values[half:], kind, first + half)]
    if pa.types.is_timestamp(values.type) and pa.types.is_date(kind):  # Arrow cuts off the time of day in silence
        return [first + row for row in _true(pc.not_equal(made.cast(values.type), values))]
    if pa.types.is_floating(values.type) and pa.types.is_floating(kind) and kind.bit_width < values.type.bit_width:
        rounded = pc.and_not(pc.not_equal(made.cast(values.type), values), pc.is_nan(values))
        return [first + row for row in _true(rounded)]
    return []
