"""A contract's rules on one column: which rows break which rule, and what the rule says.

Each rule first looks at the column as a whole (its least and greatest value, its longest text), which
costs little when all is well; rows are told apart only when something is not. Null breaks no rule but
`required`, which is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import Rows
from beam_pipelines.columnar.nested import parts_of, valid_of
from beam_pipelines.contract.model import Field
from beam_pipelines.contract.values import is_multiple

_WIDE = Context(prec=76)  # twice what a decimal128 holds: nothing is rounded
_SHOWN_ENUM = 10
_EXACT_FLOAT = 2**53
"""Integers up to this size are exact as 64-bit floats."""

_BOUNDS = (
    ("minimum", pc.greater_equal, "must be at least {}"),
    ("exclusive_minimum", pc.greater, "must be above {}"),
    ("maximum", pc.less_equal, "must be at most {}"),
    ("exclusive_maximum", pc.less, "must be below {}"),
)


class Broken(NamedTuple):
    """Rows that break a rule, and the rule in words; they hold nothing of the rows."""

    rule: str
    rows: Rows
    message: str


def broken_rules(values: pa.Array, field: Field) -> Iterator[Broken]:
    """Yield the rules that values of the field's type break, in a fixed order; nothing when all is well.

    >>> [found.rule for found in broken_rules(pa.array([5, -1]), Field("n", pa.int64(), minimum=0))]
    ['minimum']
    """
    if field.children:
        yield from _broken_sizes(values, field)
        return
    if pa.types.is_floating(field.type) and not _all(finite := pc.is_finite(values)):
        yield Broken("not_finite", _rows(finite), "must be a finite number")
        values = pc.if_else(finite, values, pa.scalar(None, values.type))
    if field.enum is not None:
        plain = pc.add(values, 0.0) if pa.types.is_floating(field.type) else values  # no -0.0, as listed
        listed = pc.is_in(plain, value_set=listed_values(field.enum, field.type), skip_nulls=True)
        allowed = pc.or_kleene(listed, values.is_null())
        if not _all(allowed):
            yield Broken("enum", _rows(allowed), f"must be one of {_listed(field.enum)}")
    yield from _broken_bounds(values, field)
    if field.multiple_of is not None:
        rows = _no_multiples(values, field.type, field.multiple_of)
        if rows.size:
            yield Broken("multiple_of", rows, f"must be a multiple of {field.multiple_of}")
    if field.min_length is not None or field.max_length is not None:
        yield from _broken_lengths(values, field)
    if field.re2_pattern is not None:
        matching = pc.match_substring_regex(values, field.re2_pattern)
        if not _all(matching):
            yield Broken("pattern", _rows(matching), f"must match {field.pattern}")


def _all(passes: pa.BooleanArray) -> bool:
    return bool(pc.all(passes, min_count=0).as_py())


def _rows(passes: pa.BooleanArray) -> Rows:
    """Rows that don't pass; null passes."""
    return np.flatnonzero(~pc.fill_null(passes, True).to_numpy(zero_copy_only=False))


def listed_values(listed: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    """Values that a contract lists, as an array of their field's type."""
    return pa.array([_exact(value, kind) for value in listed], kind)


def _exact(value: Any, kind: pa.DataType) -> Any:
    """A value of the contract as Arrow takes it for that type."""
    if pa.types.is_decimal(kind):
        return Decimal(value).quantize(Decimal((0, (1,), -kind.scale)), context=_WIDE)
    return float(value) + 0.0 if pa.types.is_floating(kind) else value  # is_in tells -0.0 from 0.0


def _listed(values: tuple[Any, ...]) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN_ENUM])
    rest = len(values) - _SHOWN_ENUM
    return f"{shown} and {rest} more" if rest > 0 else shown


def _broken_bounds(values: pa.Array, field: Field) -> Iterator[Broken]:
    ends = None
    for rule, compare, words in _BOUNDS:
        bound = getattr(field, rule)
        if bound is None:
            continue
        if ends is None:
            ends = pc.min_max(values)
        limit = pa.scalar(_exact(bound, field.type), field.type)
        if not _all(compare(ends["min" if "minimum" in rule else "max"], limit)):
            yield Broken(rule, _rows(compare(values, limit)), words.format(bound))


def _broken_lengths(values: pa.Array, field: Field) -> Iterator[Broken]:
    """Lengths in code points. A text of n bytes has n of them at most, and a quarter of n at least."""
    ends = pc.min_max(pc.binary_length(values))
    shortest, longest = ends["min"].as_py(), ends["max"].as_py()
    low, high = field.min_length or 0, field.max_length
    if shortest is None or (shortest >= low * 4 and (high is None or longest <= high)):
        return
    lengths = pc.utf8_length(values)
    if not _all(enough := pc.greater_equal(lengths, low)):
        yield Broken("min_length", _rows(enough), f"must have at least {low} {_characters(low)}")
    if high is not None and not _all(fits := pc.less_equal(lengths, high)):
        yield Broken("max_length", _rows(fits), f"must have at most {high} {_characters(high)}")


def _broken_sizes(values: pa.Array, field: Field) -> Iterator[Broken]:
    """How many items an array or map has, or how many of its fields an object; and whether items are there twice."""
    low, high = field.min_items or 0, field.max_items
    what = "entry" if pa.types.is_map(field.type) else "field" if pa.types.is_struct(field.type) else "item"
    valid = valid_of(values)
    if low or high is not None:
        if pa.types.is_struct(field.type):
            sizes = np.sum([valid_of(each) for each in values.flatten()], axis=0)
        else:
            sizes = np.bincount(parts_of(values).parents, minlength=len(values))
        for rule, wrong, words in (
            ("min_items", sizes < low, f"must have at least {low} {_plural(what, low)}"),
            (
                "max_items",
                sizes > (np.inf if high is None else high),
                f"must have at most {high} {_plural(what, high)}",
            ),
        ):
            if (wrong & valid).any():
                yield Broken(rule, np.flatnonzero(wrong & valid), words)
    if field.unique_items:
        parts = parts_of(values)
        items = parts.values[0].dictionary_encode(null_encoding="encode").indices.to_numpy().astype(np.int64)
        pairs = np.stack([parts.parents, items])
        _, first = np.unique(pairs, axis=1, return_index=True)
        again = np.ones(len(items), np.bool_)
        again[first] = False
        if again.any():
            yield Broken("unique_items", np.unique(parts.parents[again]), "must not have an item twice")


def _plural(word: str, count: int | None) -> str:
    return word if count == 1 else f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _characters(count: int) -> str:
    return "character" if count == 1 else "characters"


def _no_multiples(values: pa.Array, kind: pa.DataType, of: int | float | Decimal) -> Rows:
    """Rows whose value is no whole multiple, exactly as value and divisor are written in decimal."""
    rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    present = values.drop_null() if values.null_count else values
    if pa.types.is_integer(kind):
        passes = present.to_numpy() % int(of) == 0
    elif pa.types.is_decimal(kind):
        passes = _decimals_divide(present, kind, Decimal(of))
    else:
        passes = _floats_divide(present.to_numpy(), Decimal(str(of)))
    return rows[~passes]


def _decimals_divide(values: pa.Array, kind: pa.DataType, of: Decimal) -> npt.NDArray[np.bool_]:
    divisor = int(of.scaleb(kind.scale, context=_WIDE))
    words = np.frombuffer(values.buffers()[1], np.int64).reshape(-1, 2)[values.offset :][: len(values)]
    low, high = words[:, 0], words[:, 1]  # little endian, two's complement
    narrow = high == low >> 63
    passes = low % divisor == 0 if divisor < 1 << 63 else low == 0
    for place in np.flatnonzero(~narrow):
        passes[place] = is_multiple(values[int(place)].as_py(), of)
    return passes


def _floats_divide(values: npt.NDArray[np.float64], of: Decimal) -> npt.NDArray[np.bool_]:
    """A float counts as the shortest decimal that reads as it: 0.3 is a multiple of 0.1.

    With of = n / 10**k and q the nearest quotient, the multiple meant is q * n / 10**k, which is rounded
    once if q * n and 10**k are exact floats; the value is that multiple if and only if it is this float.
    """
    places = max(0, -int(of.as_tuple().exponent))
    numerator = int(of.scaleb(places, context=_WIDE))
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values / float(of)) * float(numerator)
        passes = whole / 10.0**places == values if places <= 22 else np.zeros(len(values), np.bool_)
        unsure = (np.abs(whole) >= _EXACT_FLOAT) | (numerator >= _EXACT_FLOAT) | (places > 22)
    for place in np.flatnonzero(unsure):
        passes[place] = is_multiple(float(values[place]), of)
    return passes
