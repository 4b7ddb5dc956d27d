"""Values that a contract states (bounds, enums) and the Arrow types they are of."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", "UTC")
MAX_DECIMAL_PRECISION = 38
"""Digits of a decimal128."""


SIMPLE = (pa.string(), pa.bool_(), pa.int32(), pa.int64(), pa.float64(), pa.date32(), TIMESTAMP)
"""Types of values that hold no others, decimals aside."""

MAX_LEVELS = 15
"""Levels of objects, arrays and maps inside each other: what BigQuery takes (its quotas, "nested RECORD type")."""


def is_supported(kind: pa.DataType) -> bool:
    """Tell whether a field can be of this type.

    >>> is_supported(pa.int64()), is_supported(pa.int8()), is_supported(pa.list_(pa.int64()))
    (True, False, True)
    """
    if is_nested(kind):
        return levels(kind) <= MAX_LEVELS and all(is_supported(inner) for inner in inner_types(kind))
    return kind in SIMPLE or (pa.types.is_decimal128(kind) and 0 <= kind.scale <= kind.precision)


def is_nested(kind: pa.DataType) -> bool:
    """Tell whether its values are objects, arrays or maps, which hold other values.

    >>> is_nested(pa.list_(pa.int64())), is_nested(pa.string())
    (True, False)
    """
    return bool(pa.types.is_struct(kind) or pa.types.is_list(kind) or pa.types.is_map(kind))


def inner_types(kind: pa.DataType) -> list[pa.DataType]:
    """The types of the values that those of a nested type hold, in order."""
    if pa.types.is_struct(kind):
        return [field.type for field in kind]
    if pa.types.is_map(kind):
        return [kind.key_type, kind.item_type]
    return [kind.value_type] if pa.types.is_list(kind) else []


def levels(kind: pa.DataType) -> int:
    """How many objects, arrays and maps are inside each other, the outermost included.

    >>> levels(pa.list_(pa.struct([("a", pa.int64())]))), levels(pa.int64())
    (2, 0)
    """
    return 1 + max(map(levels, inner_types(kind)), default=0) if is_nested(kind) else 0


def nullable(kind: pa.DataType) -> pa.DataType:
    """The same type, in which any value inside may be null: that one is required is a rule, not a type.

    >>> nullable(pa.struct([pa.field("a", pa.int64(), nullable=False)]))
    StructType(struct<a: int64>)
    """
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, nullable(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(nullable(kind.key_type), nullable(kind.item_type))
    return pa.list_(nullable(kind.value_type)) if pa.types.is_list(kind) else kind


def is_number(kind: pa.DataType) -> bool:
    """Tell whether its values are whole, floating or decimal numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_ordered(kind: pa.DataType) -> bool:
    """Tell whether its values can have a minimum and a maximum."""
    return bool(is_number(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def first(kind: pa.DataType) -> Any:
    """The least value of a number type that is exact; None for others."""
    if pa.types.is_integer(kind):
        return -(1 << (kind.bit_width - 1))
    return last(kind).copy_negate() if pa.types.is_decimal(kind) else None  # minus alone rounds to 28 digits


def last(kind: pa.DataType) -> Any:
    """The greatest value of a number type that is exact; None for others."""
    if pa.types.is_integer(kind):
        return (1 << (kind.bit_width - 1)) - 1
    if pa.types.is_decimal(kind):
        return Decimal((0, (9,) * kind.precision, -kind.scale))
    return None


def step(kind: pa.DataType) -> Any:
    """The distance between neighbouring values; None for floats, which have no one distance."""
    if pa.types.is_integer(kind):
        return 1
    if pa.types.is_decimal(kind):
        return Decimal((0, (1,), -kind.scale))
    if pa.types.is_date(kind):
        return datetime.timedelta(days=1)
    return datetime.timedelta(microseconds=1) if pa.types.is_timestamp(kind) else None


def misfit(value: object, kind: pa.DataType) -> str | None:
    """Return why a value is not one of this type, or None when it is.

    >>> misfit(1.5, pa.int64())
    'is not a whole number'
    >>> misfit(7, pa.int64()) is None
    True
    """
    if is_nested(kind):
        return f"is a plain value, not {kind}"
    if pa.types.is_string(kind):
        return None if isinstance(value, str) else "is not a string: put it in quotes"
    if pa.types.is_boolean(kind):
        return None if isinstance(value, bool) else "is not true or false"
    if pa.types.is_date(kind):
        plain = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
        return None if plain else "is not a date"
    if pa.types.is_timestamp(kind):
        if not isinstance(value, datetime.datetime):
            return "is not a timestamp"
        return "has no time zone" if value.tzinfo is None else None
    return _number_misfit(value, kind)


def _number_misfit(value: object, kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind):
        if not isinstance(value, int) or isinstance(value, bool):
            return "is not a whole number"
        return None if first(kind) <= value <= last(kind) else f"is not in the range of {kind}"
    if pa.types.is_floating(kind):
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "is not a number"
        return None if abs(value) <= _MAX_FLOAT else "is not finite"
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return "is not an exact number: write it as an int or a Decimal"
    exact = Decimal(value)
    if not exact.is_finite():
        return "is not finite"
    if not first(kind) <= exact <= last(kind):
        return f"is not in the range of {kind}"
    fits = int(exact.as_tuple().exponent) >= -_MAX_PLACES and is_multiple(exact, step(kind))
    return None if fits else f"has more decimal places than {kind}"


_MAX_FLOAT = sys.float_info.max
_MAX_PLACES = 400  # more take long to reckon with, and mean nothing


def is_multiple(value: Any, of: Any) -> bool:
    """Tell whether a number is a whole multiple of another, exactly as both are written.

    >>> is_multiple(0.3, 0.1)
    True
    """
    return (Fraction(str(value)) / Fraction(str(of))).denominator == 1
