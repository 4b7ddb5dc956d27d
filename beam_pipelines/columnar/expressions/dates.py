"""Parts of dates and timestamps, in UTC and the ISO calendar (weeks start on Monday)."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.casts import convert
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError, Values, apply
from beam_pipelines.columnar.expressions.types import DATE, FLOAT, INTEGER, TIMESTAMP, kind_of, take
from beam_pipelines.errors import did_you_mean


def _day_of_week(values: Values) -> Values:
    return pc.day_of_week(values, week_start=7)  # Sunday is 0


def _iso_day_of_week(values: Values) -> Values:
    return pc.day_of_week(values, count_from_zero=False)  # Monday is 1


def _epoch(values: Values) -> Values:
    return pc.divide(values.cast(pa.int64()).cast(FLOAT, safe=False), 1e6)


_PARTS: dict[str, Callable[[Values], Values]] = {
    "year": pc.year,
    "quarter": pc.quarter,
    "month": pc.month,
    "week": pc.iso_week,
    "day": pc.day,
    "dow": _day_of_week,
    "isodow": _iso_day_of_week,
    "doy": pc.day_of_year,
    "hour": pc.hour,
    "minute": pc.minute,
    "second": pc.second,
    "epoch": _epoch,
}
_ALIASES = {"dayofweek": "dow", "weekday": "dow", "dayofyear": "doy", "weekofyear": "week", "dayofweekiso": "isodow"}
_DATE_UNITS = ("year", "quarter", "month", "week", "day")
_UNITS = (*_DATE_UNITS, "hour", "minute", "second")


def extract(part: str, node: Node, sql: str) -> Node:
    """EXTRACT(part FROM …) as int64; `epoch` as float64 seconds since 1970."""
    take(node, ("date", "timestamp"), "EXTRACT")
    part = _ALIASES.get(part.lower(), part.lower())
    if part not in _PARTS:
        raise OperandError(f"no part '{part}' of a date." + did_you_mean(part, _PARTS))
    type = FLOAT if part == "epoch" else INTEGER
    if kind_of(node.type) == "null":
        return Literal(pa.scalar(None, type), sql)
    source = node if part in ("year", "quarter", "month", "week", "day") else convert(node, TIMESTAMP)
    return apply(_part, (source,), type, sql, part)


def truncate(unit: str, node: Node, sql: str) -> Node:
    """DATE_TRUNC: the start of the unit that holds the value; a date stays one down to days."""
    take(node, ("date", "timestamp"), "DATE_TRUNC")
    unit = unit.lower()
    if unit not in _UNITS:
        raise OperandError(f"DATE_TRUNC knows no unit '{unit}'." + did_you_mean(unit, _UNITS))
    if kind_of(node.type) == "null":
        return Literal(pa.scalar(None, TIMESTAMP), sql)
    type = DATE if kind_of(node.type) == "date" and unit in _DATE_UNITS else TIMESTAMP
    return apply(_floor, (convert(node, TIMESTAMP),), type, sql, unit, type)


def difference(unit: str, start: Node, end: Node, sql: str) -> Node:
    """DATE_DIFF: how many starts of the unit lie between two times; negative when the end is the earlier."""
    for node in (start, end):
        take(node, ("date", "timestamp"), "DATE_DIFF")
    unit = unit.lower()
    if unit not in _BETWEEN:
        raise OperandError(f"DATE_DIFF knows no unit '{unit}'." + did_you_mean(unit, _BETWEEN))
    return apply(_difference, (convert(start, TIMESTAMP), convert(end, TIMESTAMP)), INTEGER, sql, unit)


def shift(node: Node, count: int, unit: str, sql: str) -> Node:
    """A time so many weeks, days, hours, minutes or seconds later: `+ INTERVAL 1 DAY`."""
    take(node, ("date", "timestamp"), "+ INTERVAL")
    unit = unit.lower()
    if unit not in _MICROS:
        raise OperandError(
            f"'{sql}': an INTERVAL is of weeks, days, hours, minutes or seconds." + did_you_mean(unit, _MICROS)
        )
    return apply(_shift, (convert(node, TIMESTAMP),), TIMESTAMP, sql, count * _MICROS[unit])


def since_epoch(node: Node, micros: int, function: str, sql: str) -> Node:
    """The time so many units after 1970-01-01T00:00:00Z; `micros` are those of a unit."""
    take(node, ("integer",), function)
    if kind_of(node.type) == "null":
        return Literal(pa.scalar(None, TIMESTAMP), sql)
    return apply(_since_epoch, (node,), TIMESTAMP, sql, micros)


def _since_epoch(values: Values, micros: int) -> Values:
    try:
        return pc.multiply_checked(values.cast(INTEGER), micros).cast(TIMESTAMP)
    except pa.ArrowInvalid:
        raise OverflowError("a result is beyond what a timestamp holds") from None


def _difference(start: Values, end: Values, unit: str) -> Values:
    return _BETWEEN[unit](start, end)


def _shift(values: Values, micros: int) -> Values:
    try:
        return pc.add_checked(values.cast(INTEGER), micros).cast(TIMESTAMP)
    except pa.ArrowInvalid:
        raise OverflowError("a result is beyond what a timestamp holds") from None


def _months_between(start: Values, end: Values) -> Values:
    months = [pc.add(pc.multiply(pc.year(each), 12), pc.month(each)) for each in (start, end)]
    return pc.subtract(months[1], months[0])


def _weeks_between(start: Values, end: Values) -> Values:
    mondays = [pc.floor_temporal(each, unit="week") for each in (start, end)]
    return pc.divide(pc.days_between(*mondays), 7)


_BETWEEN: dict[str, Callable[[Values, Values], Values]] = {
    "year": pc.years_between,
    "quarter": pc.quarters_between,
    "month": _months_between,
    "week": _weeks_between,
    "day": pc.days_between,
    "hour": pc.hours_between,
    "minute": pc.minutes_between,
    "second": pc.seconds_between,
}
_MICROS = {
    unit: seconds * 1_000_000
    for unit, seconds in {"week": 604_800, "day": 86_400, "hour": 3_600, "minute": 60, "second": 1}.items()
}


def _part(values: Values, part: str) -> Values:
    return _PARTS[part](values)


def _floor(values: Values, unit: str, type: pa.DataType) -> Values:
    return pc.floor_temporal(values, unit=unit).cast(type)
