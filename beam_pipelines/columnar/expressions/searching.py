"""Functions that find, cut and replace inside strings. Patterns are constants; regular expressions are RE2's."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.nested import pick
from beam_pipelines.columnar.expressions.node import Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.text import constant_text, strings
from beam_pipelines.columnar.expressions.types import BOOLEAN, INTEGER, STRING

_FOUND: dict[str, Callable[..., Values]] = {
    "CONTAINS": pc.match_substring,
    "STARTS_WITH": pc.starts_with,
    "ENDS_WITH": pc.ends_with,
}


def found(function: str, node: Node, pattern: Node, sql: str) -> Node:
    """CONTAINS, STARTS_WITH, ENDS_WITH."""
    wanted = constant_text(pattern, f"what {function} looks for")
    return apply(_found, strings(function, node), BOOLEAN, sql, function, wanted)


def position(node: Node, pattern: Node, sql: str) -> Node:
    """STRPOS: where a text is first found, in characters from 1; 0 when it isn't."""
    return apply(_position, strings("STRPOS", node), INTEGER, sql, constant_text(pattern, "what STRPOS looks for"))


def replace(node: Node, pattern: Node, replacement: Node, sql: str) -> Node:
    """REPLACE of each occurrence."""
    old, new = (constant_text(each, "what REPLACE takes and puts") for each in (pattern, replacement))
    return apply(_replace, strings("REPLACE", node), STRING, sql, old, new)


def split_part(node: Node, delimiter: Node, place: int, sql: str) -> Node:
    """SPLIT_PART: the part at a place from 1, or from -1 backwards; '' when there are fewer."""
    between = constant_text(delimiter, "what SPLIT_PART splits at")
    if not between or place == 0:
        raise OperandError(f"'{sql}': SPLIT_PART takes a delimiter and a place from 1 on, or from -1 backwards")
    return apply(_split_part, strings("SPLIT_PART", node), STRING, sql, between, place)


def matches(node: Node, pattern: Node, sql: str) -> Node:
    """REGEXP_MATCHES: whether the pattern is found anywhere."""
    return apply(_matches, strings("REGEXP_MATCHES", node), BOOLEAN, sql, _pattern(pattern, "REGEXP_MATCHES"))


def replace_matches(node: Node, pattern: Node, replacement: Node, everywhere: bool, sql: str) -> Node:
    r"""REGEXP_REPLACE of the first match, or everywhere; \1 is the first group."""
    put = constant_text(replacement, "what REGEXP_REPLACE puts")
    wanted = _pattern(pattern, "REGEXP_REPLACE")
    _check(lambda: pc.replace_substring_regex(pa.array([""]), wanted, put), f"'{put}' can't replace '{wanted}'")
    limit = None if everywhere else 1
    return apply(_replace_matches, strings("REGEXP_REPLACE", node), STRING, sql, wanted, put, limit)


def extract_match(node: Node, pattern: Node, group: int, sql: str) -> Node:
    """REGEXP_EXTRACT: the first match, or a group of it; '' when there is none."""
    wanted = _pattern(pattern, "REGEXP_EXTRACT")
    # Grouped, and the rest of the text around it is taken away: so any group is reached by its number.
    whole = rf"\A(?s:.*?)({wanted})(?s:.*)\z"
    put = rf"\{group + 1}"
    _check(lambda: pc.replace_substring_regex(pa.array([""]), whole, put), f"'{wanted}' has no group {group}")
    return apply(_extract_match, strings("REGEXP_EXTRACT", node), STRING, sql, wanted, whole, put)


def _pattern(node: Node, function: str) -> str:
    pattern = constant_text(node, f"the pattern of {function}")
    _check(lambda: pc.match_substring_regex(pa.array([""]), pattern), f"'{pattern}' is not a regular expression of RE2")
    return pattern


def _check(run: Callable[[], object], message: str) -> None:
    try:
        run()
    except pa.ArrowInvalid:
        raise OperandError(message) from None


def _found(values: Values, function: str, pattern: str) -> Values:
    return _FOUND[function](values, pattern)


def _position(values: Values, pattern: str) -> Values:
    if not pattern:
        return pc.if_else(pc.is_valid(values), pa.scalar(1, INTEGER), pa.scalar(None, INTEGER))
    before = pc.list_element(pc.split_pattern(values, pattern, max_splits=1), 0)
    place = pc.add(pc.utf8_length(before), 1)
    return pc.if_else(pc.match_substring(values, pattern), place, 0).cast(INTEGER)


def _replace(values: Values, old: str, new: str) -> Values:
    return pc.replace_substring(values, old, new) if old else values


def _split_part(values: Values, delimiter: str, place: int) -> Values:
    part = pick(pc.split_pattern(values, delimiter), place - 1 if place > 0 else place)
    return pc.if_else(pc.is_valid(values), pc.fill_null(part, ""), pa.scalar(None, STRING))


def _matches(values: Values, pattern: str) -> Values:
    return pc.match_substring_regex(values, pattern)


def _replace_matches(values: Values, pattern: str, put: str, limit: int | None) -> Values:
    return pc.replace_substring_regex(values, pattern, put, max_replacements=limit)


def _extract_match(values: Values, pattern: str, whole: str, put: str) -> Values:
    cut = pc.replace_substring_regex(values, whole, put, max_replacements=1)
    return pc.if_else(pc.match_substring_regex(values, pattern), cut, "")
