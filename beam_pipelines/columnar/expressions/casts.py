"""Bringing values to another type: silently where nothing is lost, else by CAST and TRY_CAST.

CAST rounds a decimal half away from zero and a float64 half to even, as DuckDB does; it never wraps or
cuts off: a value that doesn't fit, or text that isn't a value of the type, is an error. TRY_CAST gives
NULL for it. Text is read as ISO 8601 for dates and timestamps; a timestamp without zone is UTC.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import FLOAT, Kind, kind_of, name_of

_HAS_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)$"
_HAS_TIME = r"\d:\d"


def convert(node: Node, type: pa.DataType) -> Node:
    """Bring a node to a type that `common_type` found for it."""
    if node.type == type:
        return node
    source = kind_of(node.type)
    if source == "null":
        return Literal(pa.scalar(None, type), node.sql)
    if isinstance(node, Literal) and node.from_text:
        return _read_literal(node, type)
    return apply(_convert, (node,), type, node.sql, type)


def cast(node: Node, type: pa.DataType, sql: str, forgiving: bool = False) -> Node:
    """CAST, or when forgiving TRY_CAST."""
    source, target = kind_of(node.type), kind_of(type)
    if source == "null":
        return Literal(pa.scalar(None, type), sql)
    if node.type == type:
        return node
    if target not in _CASTS.get(source, {}) and source != target:
        known = ", ".join(sorted(_CASTS.get(source, {})))
        raise OperandError(f"no CAST from {name_of(node.type)} to {name_of(type)}; there is one to {known or 'none'}")
    kernel = _CASTS.get(source, {}).get(target, _plain)
    return apply(_forgiving if forgiving else _strict, (node,), type, sql, type, kernel)


def _read_literal(node: Literal, type: pa.DataType) -> Node:
    read = cast(Literal(node.value, node.sql), type, node.sql, forgiving=True)
    if isinstance(read, Literal) and not read.value.is_valid and node.value.is_valid:
        form = "YYYY-MM-DD" if kind_of(type) == "date" else "YYYY-MM-DD HH:MM:SS"
        raise OperandError(f"{node.sql} is not a {name_of(type)} ({form})")
    return read


def decimal_to_float(values: Values) -> Values:
    """Turn decimals into float64: the nearest one up to 15 digits and 22 after the point, else within 2 ulp.

    Arrow's own cast multiplies by 0.1 ** scale, so that 0.7 becomes 0.7000000000000001.
    """
    if isinstance(values, pa.Scalar):
        return pa.scalar(None if not values.is_valid else float(values.as_py()), FLOAT)
    if not len(values):
        return pa.array([], FLOAT)
    end = values.offset + len(values)
    words = np.frombuffer(values.buffers()[1], np.int64, count=2 * end).reshape(-1, 2)[values.offset :]
    low, high = words[:, 0], words[:, 1]
    numbers = low.astype(np.float64)
    wide = high != low >> 63  # not only the sign
    if wide.any():
        numbers[wide] = high[wide].astype(np.float64) * 2.0**64 + low[wide].view(np.uint64).astype(np.float64)
    numbers /= 10.0**values.type.scale
    known = values.is_valid().to_numpy(zero_copy_only=False) if values.null_count else None
    return pa.array(numbers, mask=None if known is None else ~known)


def _convert(values: Values, type: pa.DataType) -> Values:
    try:
        if pa.types.is_floating(type):
            return _to_float(values, type)
        return _integer_to_decimal(values, type) if pa.types.is_integer(values.type) else values.cast(type)
    except pa.ArrowInvalid:
        raise OverflowError(f"a value has more digits than {name_of(type)}") from None


def _strict(values: Values, type: pa.DataType, kernel: Callable[[Values, pa.DataType], Values]) -> Values:
    try:
        return kernel(values, type)
    except pa.ArrowInvalid:
        raise ValueError(f"a value can't become {name_of(type)}; TRY_CAST gives NULL for it") from None


def _forgiving(values: Values, type: pa.DataType, kernel: Callable[[Values, pa.DataType], Values]) -> Values:
    try:
        return kernel(values, type)
    except pa.ArrowInvalid:
        encoded = values.dictionary_encode()

    def one(value: pa.Array) -> pa.Array:
        try:
            return kernel(value, type)
        except pa.ArrowInvalid:
            return pa.nulls(1, type)

    distinct = encoded.dictionary  # each distinct value alone: only columns with bad values come here
    return pa.concat_arrays([one(distinct.slice(place, 1)) for place in range(len(distinct))]).take(encoded.indices)


def _plain(values: Values, type: pa.DataType) -> Values:
    return values.cast(type)


def _to_float(values: Values, type: pa.DataType) -> Values:
    # Unsafe: an integer beyond 2**53 becomes the nearest float64, which a safe cast refuses.
    return decimal_to_float(values) if pa.types.is_decimal(values.type) else values.cast(type, safe=False)


def _integer_to_decimal(values: Values, type: pa.DataType) -> Values:
    # Arrow wants room for all digits of an int64 at once, even if the values have few.
    if not pa.types.is_decimal(type) or type.precision - type.scale >= 19:
        return values.cast(type)
    return values.cast(pa.decimal128(19, 0)).cast(type)


def _to_boolean(values: Values, type: pa.DataType) -> Values:  # noqa: ARG001
    return pc.not_equal(values, 0)


def _round_float(values: Values, type: pa.DataType) -> Values:
    return pc.round(values, 0, "half_to_even").cast(type)


def _round_decimal(values: Values, type: pa.DataType) -> Values:
    scale = type.scale if pa.types.is_decimal(type) else 0
    wide = values.cast(pa.decimal256(min(76, values.type.precision + 1), values.type.scale))
    # Through decimal128(38, 0): Arrow has no cast from decimal256 to the small integers.
    narrow = pa.decimal128(38, scale)
    return (pc.round(wide, scale, "half_towards_infinity") if scale < wide.type.scale else wide).cast(narrow).cast(type)


def _text_to_decimal(values: Values, type: pa.DataType) -> Values:
    return _round_decimal(values.cast(pa.decimal256(75, 37)), type)


def _text_to_date(values: Values, type: pa.DataType) -> Values:
    return values.cast(type)


def _text_to_timestamp(values: Values, type: pa.DataType) -> Values:
    zoned = pc.match_substring_regex(values, _HAS_ZONE)
    zoned = pc.and_(zoned, pc.match_substring_regex(values, _HAS_TIME))  # not the -02 of a date
    none = pa.scalar(None, values.type)
    with_zone = pc.if_else(zoned, values, none).cast(type)
    without = pc.if_else(zoned, none, values).cast(pa.timestamp("us")).cast(type)
    return pc.coalesce(with_zone, without)


_CASTS: dict[Kind, dict[Kind, Callable[[Values, pa.DataType], Values]]] = {
    "boolean": {"integer": _plain, "string": _plain},
    "integer": {"boolean": _to_boolean, "decimal": _integer_to_decimal, "float": _to_float, "string": _plain},
    "decimal": {"integer": _round_decimal, "decimal": _round_decimal, "float": _to_float, "string": _plain},
    "float": {"integer": _round_float, "decimal": _plain, "string": _plain},
    "string": {
        "boolean": _plain,
        "integer": _plain,
        "decimal": _text_to_decimal,
        "float": _plain,
        "date": _text_to_date,
        "timestamp": _text_to_timestamp,
    },
    "date": {"timestamp": _plain, "string": _plain},
    "timestamp": {"date": _plain, "string": _plain},
}
