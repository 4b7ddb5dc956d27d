"""Arithmetic: exact for integers and decimals, or an overflow that says so; never a silent wrap.

integer ∘ integer   int64, checked
decimal ∘ decimal   exact: + and - keep the larger scale, * adds the scales; an integer is a decimal of
                    scale 0. A result of more than 38 digits is computed in 76 and checked when it comes.
float64 ∘ any       float64 (IEEE 754)
/                   float64 always; DIV is the whole part for integers; % has the sign of the dividend
x / 0, x % 0        NULL, as in SQLite and MySQL: one bad row doesn't end a run
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import (
    FLOAT,
    INTEGER,
    MAX_DIGITS,
    MAX_WIDE_DIGITS,
    common_type,
    digits_of,
    kind_of,
    name_of,
    take,
)

_KERNELS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "+": (pc.add_checked, pc.add),
    "-": (pc.subtract_checked, pc.subtract),
    "*": (pc.multiply_checked, pc.multiply),
}


def calculate(sign: str, left: Node, right: Node, sql: str) -> Node:
    """+, - or * of two numbers."""
    kinds = _number_kinds(sign, left, right)
    if "null" in kinds:
        return Literal(pa.scalar(None, common_type((left, right))), sql)
    checked, unchecked = _KERNELS[sign]
    if "float" in kinds:
        return apply(unchecked, (convert(left, FLOAT), convert(right, FLOAT)), FLOAT, sql)
    if kinds == {"integer"}:
        return apply(_integers, (convert(left, INTEGER), convert(right, INTEGER)), INTEGER, sql, checked)
    (p1, s1), (p2, s2) = digits_of(left), digits_of(right)
    if sign == "*":
        precision, scale = p1 + p2 + 1, s1 + s2
    else:
        scale = max(s1, s2)
        precision = max(p1 - s1, p2 - s2) + scale + 1
    if scale > MAX_DIGITS or precision > MAX_WIDE_DIGITS + 1:
        raise OperandError(
            f"'{sql}' needs {precision} digits, {scale} of them after the point, and a decimal has {MAX_DIGITS}: "
            "CAST an operand to fewer"
        )
    pair = (convert(left, pa.decimal128(p1, s1)), convert(right, pa.decimal128(p2, s2)))
    if precision <= MAX_DIGITS:
        return apply(unchecked, pair, pa.decimal128(precision, scale), sql)
    return apply(_wide_decimals, pair, pa.decimal128(MAX_DIGITS, scale), sql, unchecked, precision, scale)


def divide(left: Node, right: Node, sql: str) -> Node:
    """/ as float64; NULL when the divisor is 0."""
    kinds = _number_kinds("/", left, right)
    if "null" in kinds:
        return Literal(pa.scalar(None, FLOAT), sql)
    return apply(_divide, (convert(left, FLOAT), convert(right, FLOAT)), FLOAT, sql)


def divide_whole(left: Node, right: Node, sql: str) -> Node:
    """// of integers, truncated towards zero; NULL when the divisor is 0."""
    _integers_only("//", left, right)
    return apply(_divide_whole, (convert(left, INTEGER), convert(right, INTEGER)), INTEGER, sql)


def remainder(left: Node, right: Node, sql: str) -> Node:
    """% of integers or floats, with the sign of the dividend; NULL when the divisor is 0."""
    kinds = _number_kinds("%", left, right)
    if "float" in kinds:
        return apply(_remainder_float, (convert(left, FLOAT), convert(right, FLOAT)), FLOAT, sql)
    _integers_only("%", left, right)
    return apply(_remainder, (convert(left, INTEGER), convert(right, INTEGER)), INTEGER, sql)


def negate(node: Node, sql: str) -> Node:
    """Unary minus."""
    take(node, ("integer", "decimal", "float"), "-")
    if kind_of(node.type) == "integer":
        return apply(_integers, (convert(node, INTEGER),), INTEGER, sql, pc.negate_checked)
    return apply(pc.negate, (node,), node.type, sql)


def absolute(node: Node, sql: str) -> Node:
    """ABS."""
    take(node, ("integer", "decimal", "float"), "ABS")
    if kind_of(node.type) == "integer":
        return apply(_integers, (convert(node, INTEGER),), INTEGER, sql, pc.abs_checked)
    return apply(pc.abs, (node,), node.type, sql)


def round_to(node: Node, digits: int, sql: str, mode: str = "half_towards_infinity") -> Node:
    """ROUND (half away from zero), and with other modes FLOOR and CEIL.

    A decimal keeps so many digits after the point; a float64 is rounded as the binary number it is.
    """
    take(node, ("integer", "decimal", "float"), "ROUND")
    kind = kind_of(node.type)
    if kind == "null" or (kind == "integer" and digits >= 0):
        return node
    if kind == "float":
        return apply(pc.round, (node,), FLOAT, sql, digits, mode)
    if kind == "integer":
        return apply(_round_integers, (convert(node, INTEGER),), INTEGER, sql, digits, mode)
    precision, scale = node.type.precision, node.type.scale
    kept = max(0, min(digits, scale))
    type = pa.decimal128(min(MAX_DIGITS, precision - scale + kept + 1), kept)  # 9.9 becomes 10
    return apply(_round_decimals, (node,), type, sql, digits, mode, type)


def _number_kinds(sign: str, left: Node, right: Node) -> set[str]:
    kinds = {kind_of(left.type), kind_of(right.type)}
    if not kinds <= {"integer", "decimal", "float", "null"}:
        hint = ""
        if sign == "+" and "string" in kinds:
            hint = ": strings are joined by ||"
        elif "string" in kinds:
            hint = ": CAST the string to a number"
        elif kinds <= {"date", "timestamp"} and sign == "-":
            hint = ": DATE_DIFF('minute', start, end) tells how far apart times are"
        raise OperandError(f"'{sign}' takes numbers, not {name_of(left.type)} and {name_of(right.type)}{hint}")
    return {str(kind) for kind in kinds}


def _integers_only(sign: str, left: Node, right: Node) -> None:
    for node in (left, right):
        if kind_of(node.type) not in ("integer", "null"):
            raise OperandError(
                f"'{sign}' takes integers, not {name_of(left.type)} and {name_of(right.type)}: CAST to BIGINT or DOUBLE"
            )


def _integers(*arguments: Any) -> Values:
    *values, checked = arguments
    try:
        return checked(*values)
    except pa.ArrowInvalid:
        raise OverflowError("a result is beyond int64: CAST an operand to DECIMAL(38, 0) or DOUBLE") from None


def _wide_decimals(left: Values, right: Values, operation: Callable[..., Values], precision: int, scale: int) -> Values:
    # 38 and 38 digits multiplied would be declared as 77: one digit less on the left is checked, not lost.
    spare = max(0, precision - MAX_WIDE_DIGITS)
    try:
        left = left.cast(pa.decimal256(left.type.precision - spare, left.type.scale))
        right = right.cast(pa.decimal256(right.type.precision, right.type.scale))
        return operation(left, right).cast(pa.decimal128(MAX_DIGITS, scale))
    except pa.ArrowInvalid:
        raise OverflowError(
            f"a result has more than {MAX_DIGITS} digits: CAST an operand to fewer digits or to DOUBLE"
        ) from None


def _without_zeros(values: Values) -> Values:
    return pc.if_else(pc.equal(values, 0), pa.scalar(None, values.type), values)


def _divide(left: Values, right: Values) -> Values:
    return pc.divide(left, _without_zeros(right))


def _divide_whole(left: Values, right: Values) -> Values:
    return _integers(left, _without_zeros(right), pc.divide_checked)


def _remainder(left: Values, right: Values) -> Values:
    # By -1 and by 1 the remainder is the same, 0; but the smallest int64 divided by -1 overflows.
    divisor = _without_zeros(pc.if_else(pc.equal(right, -1), 1, right))
    return pc.subtract(left, pc.multiply(pc.divide(left, divisor), divisor))


def _remainder_float(left: Values, right: Values) -> Values:
    divisor = _without_zeros(right)
    known = pc.and_(pc.is_valid(left), pc.is_valid(divisor))
    pair = [_numbers(pc.fill_null(values, 1.0)) for values in (left, divisor)]
    with np.errstate(invalid="ignore"):
        return pc.if_else(known, pa.array(np.fmod(*pair)), pa.scalar(None, FLOAT))


def _numbers(values: Values) -> Any:
    return values.as_py() if isinstance(values, pa.Scalar) else values.to_numpy(zero_copy_only=False)


def _round_integers(values: Values, digits: int, mode: str) -> Values:
    return _integers(values, lambda numbers: pc.round(numbers, digits, mode))


def _round_decimals(values: Values, digits: int, mode: str, type: pa.DataType) -> Values:
    wide = values.cast(pa.decimal256(values.type.precision + 1, values.type.scale))
    try:
        return pc.round(wide, digits, mode).cast(type)
    except pa.ArrowInvalid:
        raise OverflowError(f"a result has more than {MAX_DIGITS} digits") from None
