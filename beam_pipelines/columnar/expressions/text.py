"""Functions on strings. Lengths and places count characters (code points), not bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import INTEGER, STRING, take

_TRIMS = {"BOTH": pc.utf8_trim, "LEADING": pc.utf8_ltrim, "TRAILING": pc.utf8_rtrim}


def lower(node: Node, sql: str) -> Node:
    """LOWER."""
    return apply(pc.utf8_lower, _strings("LOWER", node), STRING, sql)


def upper(node: Node, sql: str) -> Node:
    """UPPER. Letter by letter: 'ß' stays as it is."""
    return apply(pc.utf8_upper, _strings("UPPER", node), STRING, sql)


def length(node: Node, sql: str) -> Node:
    """LENGTH in characters."""
    return apply(_length, _strings("LENGTH", node), INTEGER, sql)


def trim(node: Node, characters: str, side: str, sql: str) -> Node:
    """TRIM of spaces, or of other characters; side is BOTH, LEADING or TRAILING."""
    return apply(_trim, _strings("TRIM", node), STRING, sql, _TRIMS[side], characters)


def substring(node: Node, start: int, count: int | None, sql: str) -> Node:
    """SUBSTRING from a 1-based place; places before the first count towards the length, as in SQL."""
    if start < 0:
        raise OperandError(f"SUBSTRING starts at 1 or later, not at {start}")
    if count is not None and count < 0:
        raise OperandError(f"SUBSTRING takes a length of 0 or more, not {count}")
    end = None if count is None else max(0, start - 1 + count)
    return apply(_slice, _strings("SUBSTRING", node), STRING, sql, max(0, start - 1), end)


def join(nodes: Sequence[Node], sql: str, pass_nulls_over: bool) -> Node:
    """|| (NULL when an operand is) and CONCAT (a NULL is passed over)."""
    return apply(_join, _strings("CONCAT" if pass_nulls_over else "||", *nodes), STRING, sql, pass_nulls_over)


def constant_text(node: Node, what: str) -> str:
    """The value of a node that must be a quoted constant."""
    if not isinstance(node, Literal) or not pa.types.is_string(node.type) or not node.value.is_valid:
        raise OperandError(f"{what} must be a quoted constant, not '{node.sql}'")
    return str(node.value)


def constant_integer(node: Node, what: str) -> int:
    """The value of a node that must be a constant integer."""
    if not isinstance(node, Literal) or not pa.types.is_integer(node.type) or not node.value.is_valid:
        raise OperandError(f"{what} must be a constant integer, not '{node.sql}'")
    return int(node.value.as_py())


def _strings(function: str, *nodes: Node) -> tuple[Node, ...]:
    for node in nodes:
        take(node, ("string",), function)
    return tuple(convert(node, STRING) for node in nodes)


def _length(values: Values) -> Values:
    return pc.utf8_length(values).cast(INTEGER)


def _trim(values: Values, kernel: Callable[..., Values], characters: str) -> Values:
    return kernel(values, characters=characters)


def _slice(values: Values, start: int, end: int | None) -> Values:
    return pc.utf8_slice_codeunits(values, start, end)


def _join(*arguments: Values) -> Values:
    *values, pass_nulls_over = arguments
    if pass_nulls_over:  # Arrow's own null_handling="skip" loses a row whose strings are all null (pyarrow 25)
        values = [pc.fill_null(part, "") for part in values]
    return pc.binary_join_element_wise(*values, "")
