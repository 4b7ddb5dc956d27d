"""Where a field contradicts itself. The same checks for one read from a file and one built in Python."""

from __future__ import annotations

import functools
import itertools
import operator
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pyarrow as pa

from beam_pipelines.contract import masks, patterns, values
from beam_pipelines.contract.field import RESERVED_PREFIX, Field, OnFailure
from beam_pipelines.contract.findings import shown
from beam_pipelines.contract.time_formats import read_time_format
from beam_pipelines.errors import did_you_mean

BOUNDS = ("minimum", "exclusive_minimum", "maximum", "exclusive_maximum")


class Conflict(NamedTuple):
    """A contradiction: the attributes that are part of it, the first of them the one to look at."""

    attributes: tuple[str, ...]
    message: str


def field_conflicts(field: Field) -> list[Conflict]:
    """Return what contradicts itself within a field.

    >>> import pyarrow as pa
    >>> field_conflicts(Field("price", pa.int64(), minimum=10, maximum=5))[0].message
    'minimum 10 is above maximum 5: no value can pass'
    """
    found = [*_of_name(field), *_of_text(field), *_of_time(field), *_of_roles(field)]
    wrong = list(_of_values(field)) if values.is_supported(field.type) else []
    if wrong or not values.is_supported(field.type):
        return [*wrong, *found]
    return [*(list(_of_range(field)) or _of_enum(field)), *found]


def _of_name(field: Field) -> Iterator[Conflict]:
    if not field.name.strip():
        yield Conflict(("name",), "the name is empty")
    elif field.name.startswith(RESERVED_PREFIX):
        yield Conflict(("name",), f"names that start with '{RESERVED_PREFIX}' are reserved")
    if "\0" in field.name:
        yield Conflict(("name",), "the name holds a NUL character")


def _of_values(field: Field) -> Iterator[Conflict]:
    """Each stated value is of the field's type, and is stated where the type has such a rule."""
    for attribute in BOUNDS:
        value = getattr(field, attribute)
        if value is None:
            continue
        if not values.is_ordered(field.type):
            yield Conflict((attribute,), f"{attribute} is for numbers, dates and timestamps, not for {field.type}")
        elif wrong := values.misfit(value, field.type):
            yield Conflict((attribute,), f"{attribute} {shown(value)} {wrong}")
    if field.multiple_of is not None:
        if not values.is_number(field.type):
            yield Conflict(("multiple_of",), f"multiple_of is for numbers, not for {field.type}")
        elif wrong := values.misfit(field.multiple_of, field.type):
            yield Conflict(("multiple_of",), f"multiple_of {shown(field.multiple_of)} {wrong}")
        elif field.multiple_of <= 0:
            yield Conflict(("multiple_of",), f"multiple_of must be above 0, is {shown(field.multiple_of)}")
    if field.enum is not None and values.is_nested(field.type):
        yield Conflict(("enum",), f"enum is for plain values, not for {field.type}")
    elif field.enum is not None:
        if not field.enum:
            yield Conflict(("enum",), "enum lists no value: none can pass")
        for value in field.enum:
            if wrong := values.misfit(value, field.type):
                yield Conflict(("enum",), f"enum value {shown(value)} {wrong}")


def _of_range(field: Field) -> Iterator[Conflict]:
    if not values.is_ordered(field.type):
        return
    step = values.step(field.type)
    lowest, low_name = values.first(field.type), "the least value of its type"
    highest, high_name = values.last(field.type), "the greatest value of its type"
    low_open = high_open = False
    for name, is_open in (("minimum", False), ("exclusive_minimum", True)):
        value = getattr(field, name)
        if value is not None and (lowest is None or value > lowest or (value == lowest and is_open)):
            lowest, low_name, low_open = value, name, is_open
    for name, is_open in (("maximum", False), ("exclusive_maximum", True)):
        value = getattr(field, name)
        if value is not None and (highest is None or value < highest or (value == highest and is_open)):
            highest, high_name, high_open = value, name, is_open
    if lowest is None or highest is None:
        return
    open_ends = low_open + high_open
    gap = highest - lowest
    empty = gap < gap * 0 or (gap < step * open_ends if step is not None else open_ends and not gap)
    if empty:
        attributes = tuple(name for name in (low_name, high_name) if name in BOUNDS)
        low, high = (
            f"{name} {shown(value)}" if name in BOUNDS else name
            for name, value in ((low_name, lowest), (high_name, highest))
        )
        relation = "is above" if lowest > highest else "and"
        yield Conflict(attributes, f"{low} {relation} {high}: no value can pass")


def _of_enum(field: Field) -> Iterator[Conflict]:
    listed = field.enum or ()
    for value, times in Counter(listed).items():
        if times > 1:
            yield Conflict(("enum",), f"enum value {shown(value)} is listed {times} times")
    for value in dict.fromkeys(listed):
        for attribute, passes in _bounds_passed(field, value):
            if not passes:
                limit = shown(getattr(field, attribute))
                yield Conflict(("enum", attribute), f"enum value {shown(value)} is outside {attribute} {limit}")
    if field.multiple_of is not None:
        for value in listed:
            if not values.is_multiple(value, field.multiple_of):
                message = f"enum value {shown(value)} is no multiple of {field.multiple_of}"
                yield Conflict(("enum", "multiple_of"), message)


def _bounds_passed(field: Field, value: Any) -> Iterator[tuple[str, bool]]:
    if field.minimum is not None:
        yield "minimum", value >= field.minimum
    if field.exclusive_minimum is not None:
        yield "exclusive_minimum", value > field.exclusive_minimum
    if field.maximum is not None:
        yield "maximum", value <= field.maximum
    if field.exclusive_maximum is not None:
        yield "exclusive_maximum", value < field.exclusive_maximum


def _of_text(field: Field) -> Iterator[Conflict]:
    stated = {name: getattr(field, name) for name in ("min_length", "max_length", "pattern")}
    stated = {name: value for name, value in stated.items() if value is not None}
    if not pa.types.is_string(field.type):
        for name in stated:
            yield Conflict((name,), f"{name} is for strings, not for {field.type}")
        return
    low, high = stated.get("min_length", 0), stated.get("max_length")
    if low < 0 or (high is not None and high < 0):
        name = "min_length" if low < 0 else "max_length"
        yield Conflict((name,), f"{name} must be at least 0, is {stated[name]}")
    elif high is not None and low > high:
        yield Conflict(("min_length", "max_length"), f"min_length {low} is above max_length {high}: no value can pass")
    listed = [value for value in field.enum or () if isinstance(value, str)]
    for value in listed:
        if len(value) < low or (high is not None and len(value) > high):
            yield Conflict(("enum", "max_length"), f"enum value {shown(value)} is not {low} to {high} characters long")
    if field.pattern is not None:
        try:
            matched = patterns.matching(field.pattern, listed)
        except ValueError as error:
            yield Conflict(("pattern",), str(error))
        else:
            for value in itertools.compress(listed, map(operator.not_, matched)):
                message = f"enum value {shown(value)} doesn't match pattern '{field.pattern}'"
                yield Conflict(("enum", "pattern"), message)


def _of_time(field: Field) -> Iterator[Conflict]:
    timestamp = pa.types.is_timestamp(field.type)
    if field.date_format is not None:
        if not timestamp and not pa.types.is_date(field.type):
            yield Conflict(("date_format",), f"a date format is for dates and timestamps, not for {field.type}")
        else:
            yield from _of_time_format(field, field.date_format, timestamp)
    if field.default_timezone is not None:
        if not timestamp:
            yield Conflict(("default_timezone",), f"a time zone is for timestamps, not for {field.type}")
        elif not is_zone(field.default_timezone):
            hint = did_you_mean(field.default_timezone, zoneinfo.available_timezones())
            nearest = hint if hint.startswith(" Did") else " Write it as in Europe/Berlin or Etc/UTC."
            yield Conflict(("default_timezone",), f"there is no time zone '{field.default_timezone}'.{nearest}")
    if field.event_time and not timestamp and not pa.types.is_date(field.type):
        yield Conflict(("event_time",), f"the event time is a timestamp or a date, not {field.type}")


def _of_time_format(field: Field, pattern: str, timestamp: bool) -> Iterator[Conflict]:
    try:
        read = read_time_format(pattern)
    except ValueError as error:
        yield Conflict(("date_format",), str(error))
        return
    if not timestamp and (read.has_time_of_day or read.has_zone):
        yield Conflict(("date_format",), f"format '{pattern}' has a time of day or a zone; then it is a timestamp")
    if timestamp and not read.has_zone and field.default_timezone is None:
        message = f"format '{pattern}' has no offset or zone, and no default time zone is stated: no value can pass"
        yield Conflict(("date_format", "default_timezone"), message)


@functools.lru_cache(maxsize=256)
def is_zone(name: str) -> bool:
    """Tell whether the IANA database has this zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _of_roles(field: Field) -> Iterator[Conflict]:
    for attribute, role in (("primary_key_position", "primary key"), ("partition_position", "partition column")):
        position = getattr(field, attribute)
        if position is None:
            continue
        if position < 1:
            yield Conflict((attribute,), f"positions in the {role} count from 1, this is {position}")
        if pa.types.is_floating(field.type):
            message = f"a 64-bit float can't be a {role}, equal ones may differ in the last bits: make it decimal(p,s)"
            yield Conflict((attribute, "type"), message)
    wrong = masks.check_mask(field)
    if wrong is not None:
        yield Conflict(("mask",), wrong.removeprefix(f"field '{field.name}': "))
    if field.on_failure == "null" and (field.required or field.event_time):
        key = " as part of the primary key" if field.primary_key_position is not None else ""
        because = key or (" as the event time" if field.event_time else "")
        yield Conflict(("on_failure", "required"), f"on_failure 'null' would null a field that is required{because}")
    if field.on_failure not in get_args(OnFailure):
        listed = ", ".join(get_args(OnFailure))
        yield Conflict(("on_failure",), f"on_failure {shown(field.on_failure)} is not one of {listed}")
