"""Values as MySQL's statements have them: what URIs say, and whole columns of rows. Pure.

Backslashes are escapes: the session's `sql_mode`, which is ours, has no NO_BACKSLASH_ESCAPES.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.sql.mysql.catalog import ColumnType

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def literal(text: str) -> str:
    r"""A text as it stands in a statement. ValueError for one with a NUL.

    >>> print(literal("O'Neil\\"))
    'O''Neil\\'
    """
    if "\0" in text:
        raise ValueError("a text with the character NUL is none that is asked for")
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def value(text: str, kind: ColumnType) -> str:
    """What is compared with a column, from a text: times as UTC. ValueError if it is no value of the column's type.

    >>> at = ColumnType("at", "datetime", "datetime(6)", None, None, None, 6, False, False, False)
    >>> value("2024-05-01T12:00:00+02:00", at)
    "'2024-05-01 10:00:00.000000'"
    """
    if pa.types.is_integer(kind.arrow or pa.null()):
        return str(int(text))  # in quotes it would be compared as a float
    if kind.kind in ("decimal", "float", "double"):
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"'{text}' is no number")
        return text
    if kind.kind == "date":
        return literal(date.fromisoformat(text).isoformat())
    if kind.kind in ("datetime", "timestamp"):
        at = datetime.fromisoformat(text)
        at = at.astimezone(timezone.utc).replace(tzinfo=None) if at.tzinfo else at
        return literal(at.isoformat(" ", "microseconds"))
    return literal(text)


def rows_of(columns: list[pa.Array]) -> pa.Array:
    r"""Rows as they stand after VALUES, a text each.

    >>> rows_of([pa.array([1, None]), pa.array(["it's \\", "b"])]).to_pylist()
    ["(1,'it''s \\\\')", "(NULL,'b')"]
    """
    parts: list[pa.Array | str] = ["("]
    for place, values in enumerate(columns):
        text, quoted = _texts(values)
        marks = ("'", "'") if quoted else ("", "")
        if values.null_count:
            # What is null has no quotes.
            text = pc.fill_null(pc.binary_join_element_wise(marks[0], text, marks[1], ""), "NULL")
            marks = ("", "")
        parts += ["," if place else "", marks[0], text, marks[1]]
    # In one go, since each makes all bytes anew.
    return pc.binary_join_element_wise(*_merged([*parts, ")"]), "")


def _merged(parts: list[pa.Array | str]) -> list[pa.Array | str]:
    """Parts with texts that follow each other made one."""
    merged: list[pa.Array | str] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _texts(values: pa.Array) -> tuple[pa.Array, bool]:
    """Values as they stand in a statement, and whether they stand in quotes there."""
    kind, kinds = values.type, pa.types
    if kinds.is_dictionary(kind):
        return _texts(values.cast(kind.value_type))
    if kinds.is_boolean(kind):
        return pc.if_else(values, "1", "0"), False
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return values.cast(pa.string()), False
    if kinds.is_binary(kind):
        # Arrow has no function that makes hexadecimal digits.
        digits = [None if each is None else f"x'{each.hex()}'" for each in values.to_pylist()]
        return pa.array(digits, pa.string()), False
    # What has a zone is told in UTC, as the session has it.
    plain = values.cast(pa.timestamp(kind.unit)) if kinds.is_timestamp(kind) else values
    text = plain if kinds.is_string(kind) else plain.cast(pa.string())
    held = b"".join(buffer.to_pybytes() for buffer in text.buffers()[2:] if buffer)
    for sign, escape in (("\\", "\\\\"), ("'", "''"), ("\0", "\\0")):
        if sign.encode() in held:  # mostly not, and to look through all bytes costs next to nothing
            text = pc.replace_substring(text, sign, escape)
    return text, True
