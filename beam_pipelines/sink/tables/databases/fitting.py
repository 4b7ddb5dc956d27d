"""Which values a database's columns take, asked of types before there are rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

_NUMBER = r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_HEX = "[0-9A-Fa-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"


def pattern_of(kind: str, labels: Sequence[str]) -> str | None:
    """The regular expression of the texts that are values of a type, as far as there is one.

    >>> pattern_of("mood", ["sad", "ok?"])
    'sad|ok\\\\?'
    """
    if labels:
        return "|".join(re.escape(label) for label in labels)
    return {"uuid": _UUID, "numeric": _NUMBER}.get(kind)


def castable(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one Arrow type are meant where a column has another: numbers as numbers, times as times.

    >>> castable(pa.int64(), pa.int16()), castable(pa.int64(), pa.timestamp("us")), castable(pa.string(), pa.date32())
    (True, False, True)
    """
    if pa.types.is_dictionary(given):
        return castable(given.value_type, wanted)
    first, second = _family(given), _family(wanted)
    if first == second == "list":
        return castable(given.value_type, wanted.value_type)
    if first in ("nested", "list") or second in ("nested", "list"):
        return False
    if first == "null" or second == "text" or first == "text":
        return "bytes" not in (first, second) or first == second or first == "null"
    return first == second


def _family(kind: pa.DataType) -> str:
    kinds = pa.types
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        return "list"
    if kinds.is_nested(kind):
        return "nested"
    if kinds.is_null(kind):
        return "null"
    if kinds.is_boolean(kind):
        return "boolean"
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return "number"
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return "text"
    if kinds.is_time(kind):
        return "time of day"
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return "time"
    if kinds.is_duration(kind):
        return "duration"
    return (
        "bytes"
        if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind)
        else str(kind)
    )
