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
    return apply(pc.utf8_lower, strings("LOWER", node), STRING, sql)


def upper(node: Node, sql: str) -> Node:
    """UPPER. Letter by letter: 'ß' stays as it is."""
    return apply(pc.utf8_upper, strings("UPPER", node), STRING, sql)


def length(node: Node, sql: str) -> Node:
    """LENGTH in characters."""
    return apply(_length, strings("LENGTH", node), INTEGER, sql)


def trim(node: Node, characters: str, side: str, sql: str) -> Node:
    """TRIM of spaces, or of other characters; side is BOTH, LEADING or TRAILING."""
    return apply(_trim, strings("TRIM", node), STRING, sql, _TRIMS[side], characters)


def substring(node: Node, start: int, count: int | None, sql: str) -> Node:
    """SUBSTRING from a 1-based place; places before the first count towards the length, as in SQL."""
    if start < 0:
        raise OperandError(f"SUBSTRING starts at 1 or later, not at {start}")
    if count is not None and count < 0:
        raise OperandError(f"SUBSTRING takes a length of 0 or more, not {count}")
    end = None if count is None else max(0, start - 1 + count)
    return apply(_slice, strings("SUBSTRING", node), STRING, sql, max(0, start - 1), end)


def left(node: Node, count: int, sql: str) -> Node:
    """LEFT: so many characters from the start."""
    return apply(_slice, strings("LEFT", node), STRING, sql, 0, _not_negative("LEFT", count))


def right(node: Node, count: int, sql: str) -> Node:
    """RIGHT: so many characters from the end."""
    return apply(_tail, strings("RIGHT", node), STRING, sql, _not_negative("RIGHT", count))


def pad(node: Node, width: int, character: str, sql: str, on_left: bool) -> Node:
    """LPAD and RPAD to a width; longer strings are cut to it."""
    function = "LPAD" if on_left else "RPAD"
    if len(character) != 1:
        raise OperandError(f"{function} fills with one character, not '{character}'")
    width = _not_negative(function, width)
    return apply(_pad, strings(function, node), STRING, sql, width, character, on_left)


def reverse(node: Node, sql: str) -> Node:
    """REVERSE, character by character."""
    return apply(pc.utf8_reverse, strings("REVERSE", node), STRING, sql)


def join(nodes: Sequence[Node], sql: str, pass_nulls_over: bool) -> Node:
    """|| (NULL when an operand is) and CONCAT (a NULL is passed over)."""
    return apply(_join, strings("CONCAT" if pass_nulls_over else "||", *nodes), STRING, sql, pass_nulls_over)


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


def strings(function: str, *nodes: Node) -> tuple[Node, ...]:
    """Operands of a function on strings. OperandError for others."""
    for node in nodes:
        take(node, ("string",), function)
    return tuple(convert(node, STRING) for node in nodes)


def _not_negative(function: str, count: int) -> int:
    if count < 0:
        raise OperandError(f"{function} takes a number of characters of 0 or more, not {count}")
    return count


def _tail(values: Values, count: int) -> Values:
    return pc.utf8_slice_codeunits(values, -count) if count else pc.utf8_slice_codeunits(values, 0, 0)


def _pad(values: Values, width: int, character: str, on_left: bool) -> Values:
    fill = pc.utf8_lpad if on_left else pc.utf8_rpad
    return fill(pc.utf8_slice_codeunits(values, 0, width), width=width, padding=character)


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
