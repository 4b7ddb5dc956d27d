"""Types that expressions compute with, their names for people, and the type that two of them share.

Columns of other types are brought to these: unsigned integers to int64 (uint64 to decimal(20, 0)),
float32 to float64, dictionaries and large strings to strings, timestamps to microseconds in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal as OneOf

import pyarrow as pa

from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError

Kind = OneOf["null", "boolean", "integer", "decimal", "float", "string", "binary", "date", "timestamp", "other"]

BOOLEAN = pa.bool_()
INTEGER = pa.int64()
FLOAT = pa.float64()
STRING = pa.string()
DATE = pa.date32()
TIMESTAMP = pa.timestamp("us", "UTC")

MAX_DIGITS = 38
"""Digits of a decimal128, the widest decimal that Parquet readers, BigQuery and Iceberg all take."""

MAX_WIDE_DIGITS = 76
"""Digits of a decimal256, in which results are computed before they are checked to fit 38."""

_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}


def kind_of(type: pa.DataType) -> Kind:
    """Which family a type belongs to."""
    checks: tuple[tuple[Kind, bool], ...] = (
        ("null", pa.types.is_null(type)),
        ("boolean", pa.types.is_boolean(type)),
        ("integer", pa.types.is_integer(type)),
        ("decimal", pa.types.is_decimal128(type)),
        ("float", pa.types.is_float64(type)),
        ("string", pa.types.is_string(type)),
        ("binary", pa.types.is_binary(type)),
        ("date", pa.types.is_date32(type)),
        ("timestamp", type == TIMESTAMP),
    )
    return next((kind for kind, holds in checks if holds), "other")


def name_of(type: pa.DataType) -> str:
    """A type's name for people.

    >>> name_of(pa.decimal128(10, 2)), name_of(pa.timestamp("us", "UTC"))
    ('decimal(10, 2)', 'timestamp')
    """
    kind = kind_of(type)
    if kind == "decimal":
        return f"decimal({type.precision}, {type.scale})"
    return str(type) if kind in ("integer", "other") else {"float": "float64"}.get(kind, kind)


def computed_type(stored: pa.DataType) -> pa.DataType:
    """The type that a column's values are computed with. OperandError for nanoseconds: they would lose digits."""
    if pa.types.is_dictionary(stored):
        return computed_type(stored.value_type)
    if pa.types.is_unsigned_integer(stored):
        return pa.decimal128(20, 0) if pa.types.is_uint64(stored) else INTEGER
    if pa.types.is_floating(stored):
        return FLOAT
    if pa.types.is_large_string(stored) or pa.types.is_string_view(stored):
        return STRING
    if pa.types.is_large_binary(stored) or pa.types.is_binary_view(stored) or pa.types.is_fixed_size_binary(stored):
        return pa.binary()
    if pa.types.is_decimal(stored) and stored.precision <= MAX_DIGITS:
        return pa.decimal128(stored.precision, stored.scale)
    if pa.types.is_date64(stored):
        return DATE
    if pa.types.is_timestamp(stored):
        if stored.unit == "ns":
            raise OperandError(f"is {stored}, whose nanoseconds a {name_of(TIMESTAMP)} in microseconds would lose")
        return TIMESTAMP
    return stored


def plain_literal(type: pa.DataType) -> Literal:
    """A NULL of a type, to ask what type it and others have in common."""
    return Literal(pa.scalar(None, type), "NULL")


def digits_of(node: Node) -> tuple[int, int]:
    """Precision and scale of an exact number: (digits, digits after the point)."""
    type = node.type
    if pa.types.is_decimal128(type):
        return type.precision, type.scale
    if isinstance(node, Literal) and node.value.is_valid:
        return len(str(abs(node.value.as_py()))), 0
    return _DIGITS[type.bit_width], 0


def common_type(nodes: Sequence[Node]) -> pa.DataType:
    """The type that takes the values of all nodes. OperandError when there is none.

    int and decimal: a decimal that holds both; any number and float64: float64; date and timestamp:
    timestamp; a quoted literal beside dates or timestamps: their type. A decimal that would need more
    than 38 digits gets 38, and a value that doesn't fit is an overflow when it comes.
    """
    nodes = [node for node in nodes if kind_of(node.type) != "null"]
    if not nodes:
        return pa.null()
    typed = [node for node in nodes if not (isinstance(node, Literal) and node.from_text)] or nodes
    kinds = {kind_of(node.type) for node in typed}
    if len(typed) < len(nodes) and kinds.isdisjoint({"date", "timestamp"}):
        typed, kinds = nodes, kinds | {"string"}
    first = typed[0].type
    if all(node.type == first for node in typed):
        return first
    if kinds <= {"integer", "decimal", "float"}:
        if "float" in kinds:
            return FLOAT
        if "decimal" not in kinds:
            return max((node.type for node in typed), key=_bit_width)
        digits = [digits_of(node) for node in typed]
        scale = max(scale for _, scale in digits)
        return pa.decimal128(min(MAX_DIGITS, max(total - scale for total, scale in digits) + scale), scale)
    if kinds == {"date", "timestamp"}:
        return TIMESTAMP
    other = next(node for node in typed if node.type != first)
    raise OperandError(f"{_and_type(typed[0])} and {_and_type(other)} have no type in common: CAST one of them")


def _bit_width(type: pa.DataType) -> int:
    return int(type.bit_width)


def _and_type(node: Node) -> str:
    return f"'{node.sql}' ({name_of(node.type)})"


def take(node: Node, kinds: Sequence[Kind], function: str) -> None:
    """Refuse an operand that is not of these kinds; NULL always is."""
    kind = kind_of(node.type)
    if kind == "null" or kind in kinds:
        return
    wanted = "number" if set(kinds) == {"integer", "decimal", "float"} else " or ".join(kinds)
    hint = ": CAST it to BIGINT, or count with FILTER (WHERE …)" if kind == "boolean" and "integer" in kinds else ""
    raise OperandError(f"{function} takes {wanted} values, but {_and_type(node)} is not{hint}")
