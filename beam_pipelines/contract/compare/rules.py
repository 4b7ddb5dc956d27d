"""One field's rules compared: whether the new ones take more values, fewer, or others."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.findings import shown

Verdict = Literal["same", "wider", "narrower", "other"]
SAME: Verdict = "same"
WIDER: Verdict = "wider"
NARROWER: Verdict = "narrower"
OTHER: Verdict = "other"

_REFUSES = {"reject": 2, "fail": 2, "null": 1, "warn": 0}
"""How much of what breaks a rule is refused."""


def attribute_changes(old: Field, new: Field) -> Iterator[tuple[Verdict, str]]:
    """Yield how each rule changed, in words too.

    >>> old, new = Field("a", pa.int64(), minimum=1), Field("a", pa.int64(), minimum=0)
    >>> list(attribute_changes(old, new))
    [('wider', 'minimum 1 became 0')]
    """
    if old.type != new.type and (not old.children or type(old.type) is not type(new.type)):
        yield _of_types(old.type, new.type), f"type {old.type} became {new.type}"
    for attribute, verdict in (
        ("required", _tighter(old.required or old.event_time, new.required or new.event_time)),
        ("unique", _tighter(old.unique, new.unique)),
        ("unique_items", _tighter(old.unique_items, new.unique_items)),
        ("minimum", _bound(old.minimum, new.minimum, low=True)),
        ("exclusive_minimum", _bound(old.exclusive_minimum, new.exclusive_minimum, low=True)),
        ("maximum", _bound(old.maximum, new.maximum, low=False)),
        ("exclusive_maximum", _bound(old.exclusive_maximum, new.exclusive_maximum, low=False)),
        ("min_length", _bound(old.min_length or None, new.min_length or None, low=True)),
        ("max_length", _bound(old.max_length, new.max_length, low=False)),
        ("min_items", _bound(old.min_items or None, new.min_items or None, low=True)),
        ("max_items", _bound(old.max_items, new.max_items, low=False)),
        ("enum", _enum(old.enum, new.enum)),
        ("multiple_of", _multiple(old.multiple_of, new.multiple_of)),
        ("pattern", _stated(old.pattern, new.pattern)),
        ("date_format", SAME if old.date_format == new.date_format else OTHER),
        ("default_timezone", _zone(old.default_timezone, new.default_timezone)),
        ("on_failure", _failure(old, new)),
    ):
        before, after = getattr(old, attribute), getattr(new, attribute)
        if verdict != SAME:
            yield verdict, f"{attribute} {_said(before)} became {_said(after)}"


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        listed = ", ".join(str(each) for each in value[:10])
        return f"({listed}{', …' if len(value) > 10 else ''})"
    if value is None:
        return "none"
    return shown(value) if isinstance(value, str | bool) else str(value)


def _of_types(old: pa.DataType, new: pa.DataType) -> Verdict:
    if _takes(new, old):
        return WIDER
    return NARROWER if _takes(old, new) else OTHER


def _takes(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether each value of one type, as it is written, is one of the other, and means the same."""
    kinds = pa.types
    if kinds.is_integer(narrow) and kinds.is_integer(wide):
        return bool(narrow.bit_width <= wide.bit_width)
    if kinds.is_integer(narrow) and kinds.is_floating(wide):
        return bool(narrow.bit_width == 32)
    if kinds.is_integer(narrow) and kinds.is_decimal(wide):
        return bool(wide.precision - wide.scale >= (10 if narrow.bit_width == 32 else 19))
    if kinds.is_decimal(narrow) and kinds.is_decimal(wide):
        return bool(wide.scale >= narrow.scale and wide.precision - wide.scale >= narrow.precision - narrow.scale)
    return False


def _tighter(old: bool, new: bool) -> Verdict:
    if old == new:
        return SAME
    return NARROWER if new else WIDER


def _bound(old: Any, new: Any, low: bool) -> Verdict:
    if old == new:
        return SAME
    if old is None or new is None:
        return NARROWER if old is None else WIDER
    try:
        return NARROWER if (new > old) == low else WIDER
    except TypeError:  # the type changed
        return OTHER


def _stated(old: Any, new: Any) -> Verdict:
    if old == new:
        return SAME
    if old is None or new is None:
        return NARROWER if old is None else WIDER
    return OTHER


def _enum(old: tuple[Any, ...] | None, new: tuple[Any, ...] | None) -> Verdict:
    if old is None or new is None or set(old) == set(new):
        return SAME if old is not None and new is not None else _stated(old, new)
    if set(old) < set(new):
        return WIDER
    return NARROWER if set(new) < set(old) else OTHER


def _multiple(old: Any, new: Any) -> Verdict:
    if old is None or new is None or old == new:
        return _stated(old, new)
    ratio = Fraction(str(old)) / Fraction(str(new))
    if ratio.denominator == 1:
        return WIDER
    return NARROWER if ratio.numerator == 1 else OTHER


def _zone(old: str | None, new: str | None) -> Verdict:
    """Without a default zone a time must carry its own; with another one the same text is another time."""
    if old == new:
        return SAME
    if old is None or new is None:
        return WIDER if old is None else NARROWER
    return OTHER


def _failure(old: Field, new: Field) -> Verdict:
    before, after = _REFUSES[old.on_failure], _REFUSES[new.on_failure]
    if before == after:
        return SAME
    return NARROWER if after > before else WIDER
