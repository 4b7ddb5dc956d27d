"""Functions on numbers: roots, powers, logarithms in float64, and signs.

A value that has no real result (SQRT(-1), LN(0)) is an error of its row, as in DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Node, Values, apply
from beam_pipelines.columnar.expressions.types import BOOLEAN, FLOAT, INTEGER, Kind, take

_NUMBERS: tuple[Kind, ...] = ("integer", "decimal", "float")
_FLOATS: dict[str, tuple[Callable[[Values], Values], str]] = {
    "SQRT": (pc.sqrt_checked, "a negative number has no square root"),
    "LN": (pc.ln_checked, "only positive numbers have a logarithm"),
    "EXP": (pc.exp, ""),
}


def of_float(function: str, node: Node, sql: str) -> Node:
    """SQRT, LN, EXP."""
    take(node, _NUMBERS, function)
    return apply(_of_float, (convert(node, FLOAT),), FLOAT, sql, function)


def power(base: Node, exponent: Node, sql: str) -> Node:
    """POWER in float64."""
    for node in (base, exponent):
        take(node, _NUMBERS, "POWER")
    return apply(pc.power, (convert(base, FLOAT), convert(exponent, FLOAT)), FLOAT, sql)


def sign(node: Node, sql: str) -> Node:
    """SIGN: -1, 0 or 1."""
    take(node, _NUMBERS, "SIGN")
    return apply(_sign, (node,), INTEGER, sql)


def is_nan(node: Node, sql: str) -> Node:
    """ISNAN."""
    take(node, ("float",), "ISNAN")
    return apply(pc.is_nan, (convert(node, FLOAT),), BOOLEAN, sql)


def _of_float(values: Values, function: str) -> Values:
    kernel, wrong = _FLOATS[function]
    try:
        return kernel(values)
    except pa.ArrowInvalid:
        raise ValueError(wrong) from None


def _sign(values: Values) -> Values:
    return pc.sign(values).cast(INTEGER)
