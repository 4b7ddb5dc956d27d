"""Bounds and listed values of a property as values of its Arrow type, without losing a digit.

A bound between two values of the type is moved to the one that means the same (`minimum: 0.5` of an
integer is 1), and one beyond the type's range is left out when every value passes it.
"""

from __future__ import annotations

import datetime
import math
import re
import sys
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

from beam_pipelines.contract import values
from beam_pipelines.contract.checks import is_zone
from beam_pipelines.contract.findings import Report, shown
from beam_pipelines.contract.odcs.types import FieldType
from beam_pipelines.contract.odcs.yaml_tree import Node

BOUNDS = {
    "minimum": "minimum",
    "exclusiveMinimum": "exclusive_minimum",
    "maximum": "maximum",
    "exclusiveMaximum": "exclusive_maximum",
}
"""The standard's word → our attribute."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,6})?)?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.ASCII)


class UnreadableError(Exception):
    """A stated value is none of the type."""


def read_bounds(item: Node, kind: FieldType, zone: str | None, report: Report) -> dict[str, Any]:
    """The bounds of a property by attribute name; `zone` is that of timestamps written without one."""
    found: dict[str, Any] = {}
    for word, attribute in BOUNDS.items():
        node = item.get("logicalTypeOptions", word)
        if node is None:
            continue
        try:
            value = _bound(node, attribute, kind.type, zone)
        except UnreadableError as error:
            report.error(node.line, node.path, f"{shown(node.data)} {error}")
        else:
            if value is not None:
                found[attribute] = value
    if kind.least is not None:
        found["minimum"] = max(found.get("minimum", kind.least), kind.least)
    if kind.greatest is not None:
        found["maximum"] = min(found.get("maximum", kind.greatest), kind.greatest)
    return found


def read_multiple_of(item: Node, kind: pa.DataType, report: Report) -> int | float | Decimal | None:
    """The `multipleOf` of a number, as one of the values of its type."""
    node = item.get("logicalTypeOptions", "multipleOf")
    if node is None or not values.is_number(kind):
        return None
    try:
        exact = _exact(node)
        if pa.types.is_floating(kind):
            return _to_float(exact)
        step = Fraction(values.step(kind))
        units = (exact / step).numerator  # of the values on the grid, every so many are multiples
        if units * step > Fraction(values.last(kind)):
            raise UnreadableError(f"is above the greatest value of {kind}")
        return _on_grid(units, kind)
    except UnreadableError as error:
        report.error(node.line, node.path, f"{shown(node.data)} {error}")
        return None


def read_enum(
    item: Node, kind: pa.DataType, zone: str | None, required: bool, report: Report
) -> tuple[Any, ...] | None:
    """The listed values of a property."""
    listed = item.get("enum")
    if listed is None:
        return None
    found: dict[Any, None] = {}
    for entry in listed.items:
        node = entry.value.get("value") if isinstance(entry.value, dict) else None
        if node is None:
            continue  # the standard's schema says so
        if node.value is None:
            if required:
                report.error(node.line, node.path, "null is listed, but the property is required")
            continue  # a null needs no leave when it is not required
        try:
            value = read_value(node, kind, zone)
        except UnreadableError as error:
            report.error(node.line, node.path, f"enum value {shown(node.data)} {error}")
        else:
            if value in found:
                report.warning(node.line, node.path, f"enum value {shown(node.data)} is listed twice")
            found[value] = None
    if not found and all(entry.get("value") is None for entry in listed.items):
        report.error(listed.line, listed.path, "enum lists no value: none can pass")
    return tuple(found) or None


def read_value(node: Node, kind: pa.DataType, zone: str | None) -> Any:
    """A scalar as a value of the type."""
    value = node.value
    if pa.types.is_boolean(kind) and node.flag is not None:
        return node.flag
    if pa.types.is_date(kind):
        return _date(node)
    if pa.types.is_timestamp(kind):
        return _moment(node, zone)
    if values.is_number(kind):
        exact = _exact(node)
        if pa.types.is_floating(kind):
            return _to_float(exact)
        units = exact / Fraction(values.step(kind))
        if units.denominator != 1:
            integer = pa.types.is_integer(kind)
            raise UnreadableError("is not a whole number" if integer else f"has more decimal places than {kind}")
        value = _on_grid(units.numerator, kind)
    wrong = values.misfit(value, kind)
    if wrong:
        raise UnreadableError(wrong)
    return value


def misfit(node: Node, kind: pa.DataType, zone: str | None) -> str | None:
    """Say why a scalar is no value of the type; None when it is."""
    try:
        read_value(node, kind, zone)
    except UnreadableError as error:
        return str(error)
    return None


def _bound(node: Node, attribute: str, kind: pa.DataType, zone: str | None) -> Any:
    """The bound, moved onto the type's grid; None when every value passes it."""
    if not values.is_number(kind) or pa.types.is_floating(kind):
        return read_value(node, kind, zone) if values.is_ordered(kind) else node.data
    low = "minimum" in attribute
    up = attribute in ("minimum", "exclusive_maximum")
    units = _exact(node) / Fraction(values.step(kind))
    value = _units(math.ceil(units) if up else math.floor(units), kind)
    nearest, furthest = Fraction(values.first(kind)), Fraction(values.last(kind))
    if not low:
        nearest, furthest = furthest, nearest
    beyond = value > furthest if low else value < furthest
    if beyond or ("exclusive" in attribute and value == furthest):
        raise UnreadableError(f"leaves no value of {kind}")
    if value < nearest if low else value > nearest:
        return None
    return _on_grid((value / Fraction(values.step(kind))).numerator, kind)


def _units(units: int, kind: pa.DataType) -> Fraction:
    return units * Fraction(values.step(kind))


def _on_grid(units: int, kind: pa.DataType) -> int | Decimal:
    """So many of the type's smallest steps as a value of the type."""
    if pa.types.is_integer(kind):
        return units
    digits = tuple(int(digit) for digit in str(abs(units)))
    return Decimal((int(units < 0), digits, -kind.scale))


def _exact(node: Node) -> Fraction:
    """The number as it is written: a float would lose the digits of a decimal."""
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise UnreadableError("is not a number")
    if isinstance(node.value, int):
        return Fraction(node.value)
    if not math.isfinite(node.value):
        raise UnreadableError("is not finite")
    return Fraction(Decimal(node.text)) if node.value else Fraction(0)  # 1e-9999 is 0 in any type there is


def _to_float(exact: Fraction) -> float:
    if abs(exact) > sys.float_info.max:
        raise UnreadableError("is beyond the range of a 64-bit float")
    return float(exact)


def _date(node: Node) -> datetime.date:
    text = node.string or ""
    if not _DATE.fullmatch(text):
        raise UnreadableError("is not a date: write it as in '2024-12-31'")
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise UnreadableError(f"is not a date: {error}") from error


def _moment(node: Node, zone: str | None) -> datetime.datetime:
    """A timestamp in UTC. Without a zone it is in the property's own, or UTC as the standard has it."""
    text = node.string or ""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise UnreadableError("is not a timestamp: write it as in '2024-12-31T23:59:59Z'")
    clock = (match[2] or "T00:00")[1:].replace(",", ".")
    offset = (match[5] or "").replace("Z", "+00:00")
    if offset and ":" not in offset:
        offset = f"{offset[:3]}:{offset[3:]}"
    head, _, fraction = clock.partition(".")
    written = f"{match[1]}T{head}{'.' + fraction.ljust(6, '0') if fraction else ''}{offset}"
    try:
        moment = datetime.datetime.fromisoformat(written)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone) if zone and is_zone(zone) else datetime.timezone.utc)
        return moment.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"is not a timestamp: {error}") from error
