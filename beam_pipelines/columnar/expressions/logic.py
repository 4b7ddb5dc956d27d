"""Comparisons and three-valued logic, as SQL has them: with NULL the answer is NULL, AND and OR are Kleene's.

Floats compare as IEEE 754 says (NaN equals nothing). Integers and decimals compare exactly, whatever
their digits; an integer and a float64 compare as float64.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Choose, Literal, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import (
    BOOLEAN,
    MAX_DIGITS,
    MAX_WIDE_DIGITS,
    common_type,
    digits_of,
    kind_of,
    name_of,
    take,
)

_START, _END = r"\A", r"\z"

_COMPARISONS = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def compare(sign: str, left: Node, right: Node, sql: str) -> Node:
    """One of = <> < <= > >=."""
    pair = _comparable(sign, left, right)
    return apply(_COMPARISONS[sign], pair, BOOLEAN, sql)


def same(left: Node, right: Node, sql: str, negated: bool) -> Node:
    """IS [NOT] DISTINCT FROM: a comparison in which NULL equals NULL."""
    return apply(_same, _comparable("=", left, right), BOOLEAN, sql, negated)


def both(left: Node, right: Node, sql: str) -> Node:
    """AND."""
    return apply(pc.and_kleene, _truths("AND", left, right), BOOLEAN, sql)


def either(left: Node, right: Node, sql: str) -> Node:
    """OR."""
    return apply(pc.or_kleene, _truths("OR", left, right), BOOLEAN, sql)


def negated(node: Node, sql: str) -> Node:
    """NOT."""
    return apply(pc.invert, _truths("NOT", node), BOOLEAN, sql)


def is_null(node: Node, sql: str) -> Node:
    """IS NULL. A NaN is a value."""
    return apply(pc.is_null, (node,), BOOLEAN, sql)


def is_truth(node: Node, truth: bool, sql: str) -> Node:
    """IS TRUE, IS FALSE: never NULL."""
    return apply(_is_truth, _truths("IS", node), BOOLEAN, sql, truth)


def is_in(node: Node, members: Sequence[Node], sql: str) -> Node:
    """IN (…): NULL when nothing equals and the value or a member is NULL."""
    type = common_type([node, *members])
    constants = [convert(member, type) for member in members]
    if all(isinstance(member, Literal) for member in constants) and not pa.types.is_null(type):
        values = [member.value for member in constants if isinstance(member, Literal)]
        known = pa.array([value.as_py() for value in values if value.is_valid], type)
        return apply(_is_in, (convert(node, type),), BOOLEAN, sql, known, len(known) < len(values))
    return reduce(lambda left, right: either(left, right, sql), [compare("=", node, member, sql) for member in members])


def like(node: Node, pattern: Node, sql: str, escape: str | None = None, ignore_case: bool = False) -> Node:
    """LIKE and ILIKE with a constant pattern. There is no escape character unless ESCAPE names one."""
    take(node, ("string",), "LIKE")
    if not isinstance(pattern, Literal) or kind_of(pattern.type) not in ("string", "null"):
        raise OperandError(f"the pattern of LIKE must be a quoted constant, not '{pattern.sql}'")
    if escape is not None and len(escape) != 1:
        raise OperandError(f"ESCAPE takes one character, not '{escape}'")
    if not pattern.value.is_valid or kind_of(node.type) == "null":
        return Literal(pa.scalar(None, BOOLEAN), sql)
    return apply(_matches, (node,), BOOLEAN, sql, _pattern(pattern.value.as_py(), escape), ignore_case)


def choose(conditions: Sequence[Node], results: Sequence[Node], sql: str) -> Node:
    """CASE WHEN; `results` has one more than the conditions, its ELSE."""
    type = common_type(results)
    return Choose(_truths("WHEN", *conditions), tuple(convert(result, type) for result in results), type, sql)


def coalesce(nodes: Sequence[Node], sql: str) -> Node:
    """COALESCE."""
    type = common_type(nodes)
    return apply(pc.coalesce, [convert(node, type) for node in nodes], type, sql)


def null_if(node: Node, other: Node, sql: str) -> Node:
    """NULLIF: NULL where both are equal."""
    return apply(_null_if, (node, compare("=", node, other, sql)), node.type, sql)


def extreme(sign: str, nodes: Sequence[Node], sql: str) -> Node:
    """GREATEST (sign >=) and LEAST (sign <=); a NULL is passed over, as in DuckDB and PostgreSQL."""
    type = common_type(nodes)
    if kind_of(type) in ("null", "other"):
        raise OperandError(f"values of type {name_of(type)} have no order")
    parts = [convert(node, type) for node in nodes]
    return reduce(lambda left, right: apply(_extreme, (left, right), type, sql, sign), parts)


def _truths(word: str, *nodes: Node) -> tuple[Node, ...]:
    for node in nodes:
        take(node, ("boolean",), word)
    return tuple(convert(node, BOOLEAN) for node in nodes)


def _comparable(sign: str, left: Node, right: Node) -> tuple[Node, Node]:
    type = common_type((left, right))
    kind = kind_of(type)
    if kind == "other":
        raise OperandError(f"'{sign}' can't compare values of type {name_of(type)}")
    if kind == "decimal":
        digits = [digits_of(node) for node in (left, right) if kind_of(node.type) != "null"]
        scale = max(scale for _, scale in digits)
        if max(total - scale for total, scale in digits) + scale > MAX_DIGITS:
            wide = pa.decimal256(MAX_WIDE_DIGITS, scale)
            return apply(_widen, (left,), wide, left.sql, wide), apply(_widen, (right,), wide, right.sql, wide)
    return convert(left, type), convert(right, type)


def _widen(values: Values, type: pa.DataType) -> Values:
    if pa.types.is_integer(values.type):
        values = values.cast(pa.decimal128(19, 0))
    return values.cast(type)


def _same(left: Values, right: Values, negated: bool) -> Values:
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    equal = pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)
    return pc.invert(equal) if negated else equal


def _is_truth(values: Values, truth: bool) -> Values:
    return pc.fill_null(values if truth else pc.invert(values), False)


def _is_in(values: Values, known: pa.Array, null_member: bool) -> Values:
    found = pc.is_in(values, value_set=known)
    sure = found if null_member else pc.is_valid(values)
    return pc.if_else(sure, found, pa.scalar(None, BOOLEAN))


def _matches(values: Values, pattern: str, ignore_case: bool) -> Values:
    return pc.match_substring_regex(values, pattern, ignore_case=ignore_case)


def _pattern(like: str, escape: str | None) -> str:
    """Translate a LIKE pattern into a regular expression of RE2 for the whole text."""
    pieces, letters = [], iter(like)
    for letter in letters:
        if letter == escape:
            following = next(letters, None)
            if following is None:
                raise OperandError(f"the pattern '{like}' ends with its escape character")
            pieces.append(re.escape(following))
        else:
            pieces.append({"%": ".*", "_": "."}.get(letter, re.escape(letter)))
    # Without the open ends the search is unanchored there, which is what they mean.
    first, last = bool(pieces) and pieces[0] == ".*", len(pieces) > 1 and pieces[-1] == ".*"
    text = "".join(pieces[first : len(pieces) - last])
    return f"(?s){'' if first else _START}{text}{'' if last else _END}"


def _null_if(values: Values, equal: Values) -> Values:
    return pc.if_else(pc.fill_null(equal, False), pa.scalar(None, values.type), values)


def _extreme(left: Values, right: Values, sign: str) -> Values:
    return pc.coalesce(pc.if_else(_COMPARISONS[sign](left, right), left, right), left, right)
