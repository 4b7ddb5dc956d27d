"""Rows' columns beside a table's: what can't be written at all, and what has to be looked at row by row. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from beam_pipelines.errors import did_you_mean
from beam_pipelines.sink.tables.table import Column


def conflicts(rows: pa.Schema, table: pa.Schema, *, evolve_hint: str = "") -> list[str]:
    """What keeps rows of one schema from a table of another, a sentence each; none if they can be written.

    A column of another kind is a conflict; one of the same kind whose values may be too large isn't, since rows are
    judged by `columns_of`. Columns that rows don't have are null in the table, if it takes nulls.

    >>> conflicts(pa.schema({"id": pa.int64()}), pa.schema({"idd": pa.int64(), "id": pa.int32()}))
    []
    >>> conflicts(pa.schema({"id": pa.string()}), pa.schema({"id": pa.int32()}))
    ["column 'id' is int32 in the table, and string in the rows"]
    """
    found, there, given = [], set(table.names), set(rows.names)  # which Arrow makes anew whenever it is asked
    for field in rows:
        if field.name not in there:
            near = did_you_mean(field.name, there)
            found.append(f"the table has no column '{field.name}'.{near}{evolve_hint}")
        elif not fits(field.type, table.field(field.name).type):
            theirs = table.field(field.name).type
            found.append(f"column '{field.name}' is {theirs} in the table, and {field.type} in the rows")
    needed = [field.name for field in table if not field.nullable and field.name not in given]
    return found + [f"the table needs a value of '{name}', which the rows don't have" for name in needed]


def columns_of(rows: pa.Schema, table: pa.Schema, needed: Sequence[str] = ()) -> list[Column]:
    """What a table takes of rows; `needed` are columns without which a row can't be found again, such as a key."""
    there = set(table.names)
    return [
        Column(field.name, table.field(field.name).type, not table.field(field.name).nullable or field.name in needed)
        for field in rows
        if field.name in there
    ]


def fits(rows: pa.DataType, table: pa.DataType) -> bool:
    """Whether at least some values of a type are values of another, without becoming something else.

    >>> fits(pa.int64(), pa.int32()), fits(pa.int64(), pa.string()), fits(pa.int32(), pa.decimal128(10, 2))
    (True, False, True)
    """
    return rows == table or (any(_pairs(rows, table)) and _casts(rows, table))


def _casts(rows: pa.DataType, table: pa.DataType) -> bool:
    try:
        pa.array([], rows).cast(table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


def _pairs(rows: Any, table: Any) -> Iterator[bool]:
    kinds = pa.types
    if kinds.is_integer(rows):
        yield kinds.is_integer(table) or kinds.is_decimal(table) or kinds.is_floating(table)
    if kinds.is_floating(rows):  # Arrow rounds to fewer bits without a word
        yield kinds.is_floating(table) and table.bit_width >= rows.bit_width
    if kinds.is_decimal(rows):
        yield kinds.is_decimal(table)
    if kinds.is_timestamp(rows) and kinds.is_timestamp(table):
        yield (rows.tz is None) == (table.tz is None)
    if kinds.is_date(rows) or kinds.is_time(rows):
        yield kinds.is_date(table) if kinds.is_date(rows) else kinds.is_time(table)
    if _is_text(rows):
        yield _is_text(table)
    if _is_binary(rows):
        yield _is_binary(table)
    if kinds.is_struct(rows) and kinds.is_struct(table):
        names = [table.field(place).name for place in range(table.num_fields)]
        children = [rows.field(place) for place in range(rows.num_fields)]
        yield [child.name for child in children] == names and all(
            fits(child.type, table.field(child.name).type) for child in children
        )
    if _is_list(rows) and _is_list(table):
        yield fits(rows.value_type, table.value_type)
    if kinds.is_map(rows) and kinds.is_map(table):
        yield fits(rows.key_type, table.key_type) and fits(rows.item_type, table.item_type)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)
