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
    joined = pc.binary_join_element_wise(*(_literals(each) for each in columns), ",")
    return pc.binary_join_element_wise("(", joined, ")", "")


def _literals(values: pa.Array) -> pa.Array:
    kind, kinds = values.type, pa.types
    if kinds.is_dictionary(kind):
        return _literals(values.cast(kind.value_type))
    if kinds.is_boolean(kind):
        text = pc.if_else(values, "1", "0")
    elif kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        text = values.cast(pa.string())
    elif kinds.is_binary(kind):
        # Arrow has no function that makes hexadecimal digits.
        text = pa.array([None if each is None else f"x'{each.hex()}'" for each in values.to_pylist()], pa.string())
    else:
        # What has a zone is told in UTC, as the session has it.
        plain = values.cast(pa.timestamp(kind.unit)) if kinds.is_timestamp(kind) else values
        text = plain.cast(pa.string())
        if kinds.is_string(kind):
            for sign, escape in (("\\", "\\\\"), ("'", "''"), ("\0", "\\0")):
                text = pc.replace_substring(text, sign, escape)
        text = pc.binary_join_element_wise("'", text, "'", "")
    return pc.fill_null(text, "NULL")
