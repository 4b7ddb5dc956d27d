"""Values that a field takes: made up at random within its rules."""

from __future__ import annotations

import datetime as dt
import math
import random
import string
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from beam_pipelines.contract import patterns, values
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.samples.texts import matching_text
from beam_pipelines.contract.samples.times import written
from beam_pipelines.contract.time_formats import read_time_format
from beam_pipelines.errors import ContractError

_UTC = dt.timezone.utc
_NULLS = 0.1
"""Share of nulls where they are allowed."""
_SPAN = 1000
"""Numbers lie within so many steps of their bound, or of zero."""
_START = dt.datetime(2024, 1, 1, tzinfo=_UTC)
_PIECES = 3
"""Most items of an array or map that has no bounds."""


def good_value(field: Field, rng: random.Random) -> Any:
    """Return a value of the field, as Arrow takes it, or None where that is allowed."""
    if not field.required and not field.event_time and rng.random() < _NULLS:
        return None
    kind = field.type
    if pa.types.is_struct(kind):
        return _object(field, rng)
    if pa.types.is_list(kind) or pa.types.is_map(kind):
        return _several(field, rng)
    if field.enum is not None:
        return rng.choice(field.enum)
    if pa.types.is_string(kind):
        return _text(field, rng)
    if pa.types.is_boolean(kind):
        return rng.random() < 0.5
    if values.is_number(kind):
        return _number(field, rng)
    return _time(field, rng)


def in_json(value: Any, field: Field) -> Any:
    """Return a value as it is written in JSON: by the field's format and zone, under the keys of the data."""
    if value is None:
        return None
    if pa.types.is_struct(field.type):
        return {child.source_name: in_json(value[child.name], child) for child in field.children}
    if pa.types.is_list(field.type):
        return [in_json(each, field.children[0]) for each in value]
    if pa.types.is_map(field.type):
        key, inner = field.children
        return {_key(in_json(name, key)): in_json(each, inner) for name, each in value}
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime):
        zone = field.default_timezone
        local = value if zone is None else value.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if field.date_format is not None:
            zoned = read_time_format(field.date_format).has_zone
            return written(value if zoned else local, field.date_format)
        return local.isoformat() if zone is not None else value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        midnight = dt.datetime.combine(value, dt.time())
        return value.isoformat() if field.date_format is None else written(midnight, field.date_format)
    return value


def _key(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _object(field: Field, rng: random.Random) -> dict[str, Any]:
    for _ in range(200):
        made = {child.name: good_value(child, rng) for child in field.children}
        there = sum(value is not None for value in made.values())
        if (field.min_items or 0) <= there <= (len(made) if field.max_items is None else field.max_items):
            return made
    raise _too_narrow(field)


def _several(field: Field, rng: random.Random) -> list[Any]:
    low = field.min_items or 0
    high = low + _PIECES if field.max_items is None else min(field.max_items, low + _PIECES)
    wanted = rng.randint(low, high)
    is_map = pa.types.is_map(field.type)
    made: list[Any] = []
    seen: set[Any] = set()
    for _ in range(200):
        if len(made) == wanted:
            return made
        item = good_value(field.children[0], rng)
        if is_map or field.unique_items:
            if item in seen:
                continue
            seen.add(item)
        made.append((item, good_value(field.children[1], rng)) if is_map else item)
    if len(made) >= low:
        return made
    raise _too_narrow(field)


def _text(field: Field, rng: random.Random) -> str:
    low, high = field.min_length or 0, field.max_length
    examples = field.about.get("examples", ())
    fitting = [each for each in examples if isinstance(each, str) and _fits(each, field)]
    if field.pattern is not None:
        made = matching_text(field.pattern, low, high, rng)
        if made is not None:
            return made
        if fitting:
            return str(rng.choice(fitting))
        raise ContractError(
            field.name, [f"no text is come by that matches the pattern '{field.pattern}': give examples of some"]
        )
    if fitting and not field.unique and field.primary_key_position is None:
        return str(rng.choice(fitting))
    length = rng.randint(max(low, min(4, high or 4)), max(low, min(high if high is not None else 12, 12)))
    return "".join(rng.choices(string.ascii_lowercase, k=length))


def _fits(text: str, field: Field) -> bool:
    long_enough = len(text) >= (field.min_length or 0) and len(text) <= (field.max_length or len(text))
    return long_enough and (field.pattern is None or patterns.matching(field.pattern, [text])[0])


def _number(field: Field, rng: random.Random) -> Any:
    kind = field.type
    step = Fraction(str(field.multiple_of)) if field.multiple_of is not None else None
    if step is None:
        step = Fraction(values.step(kind)) if values.step(kind) is not None else Fraction(1, 100)
    low, high = _ends(field, step)
    if high is None:
        high = (low if low is not None else -_SPAN // 2) + _SPAN
    if low is None:
        low = high - _SPAN
    last = values.last(kind)
    if last is not None:
        high = min(high, math.floor(Fraction(last) / step))
    if low > high:
        return _between(field)
    exact = rng.randint(low, high) * step
    if pa.types.is_integer(kind):
        return int(exact)
    if pa.types.is_floating(kind):
        return float(exact)
    return Decimal(int(exact * 10**kind.scale)).scaleb(-kind.scale)


def _ends(field: Field, step: Fraction) -> tuple[int | None, int | None]:
    """The least and greatest whole number of steps that are within the bounds."""
    lows = [math.ceil(Fraction(str(field.minimum)) / step)] if field.minimum is not None else []
    if field.exclusive_minimum is not None:
        lows.append(math.floor(Fraction(str(field.exclusive_minimum)) / step) + 1)
    highs = [math.floor(Fraction(str(field.maximum)) / step)] if field.maximum is not None else []
    if field.exclusive_maximum is not None:
        highs.append(math.ceil(Fraction(str(field.exclusive_maximum)) / step) - 1)
    return max(lows, default=None), min(highs, default=None)


def _between(field: Field) -> float:
    """A float between bounds that are closer than a hundredth."""
    low = field.minimum if field.minimum is not None else field.exclusive_minimum
    high = field.maximum if field.maximum is not None else field.exclusive_maximum
    if not pa.types.is_floating(field.type) or field.multiple_of is not None:
        raise _too_narrow(field)
    middle = (float(low) + float(high)) / 2  # type: ignore[arg-type]
    if field.minimum is not None:
        middle = float(field.minimum)  # type: ignore[arg-type]
    elif field.maximum is not None:
        middle = float(field.maximum)  # type: ignore[arg-type]
    return middle


def _time(field: Field, rng: random.Random) -> Any:
    is_date = pa.types.is_date(field.type)
    step = dt.timedelta(days=1) if is_date else dt.timedelta(seconds=1)
    lows = [_moment(value) + (step if open_end else step * 0) for value, open_end in _given(field, "minimum")]
    highs = [_moment(value) - (step if open_end else step * 0) for value, open_end in _given(field, "maximum")]
    low = max(lows, default=min(highs) - dt.timedelta(days=365) if highs else _START)
    high = min(highs, default=low + dt.timedelta(days=365))
    parts = read_time_format(field.date_format).parts if field.date_format is not None else None
    whole_days = is_date or (parts is not None and not parts & {"hour", "half-day hour"})
    for _ in range(200):
        drawn = low + dt.timedelta(seconds=rng.randint(0, max(0, int((high - low).total_seconds()))))
        if whole_days:
            drawn = _midnight(drawn, field)
        elif parts is not None:
            drawn = drawn.replace(
                microsecond=0,
                second=drawn.second if "second" in parts else 0,
                minute=drawn.minute if "minute" in parts else 0,
            )
        if low <= drawn <= high and _exists(drawn, field):
            return drawn.date() if is_date else drawn
    return low.date() if is_date else low


def _midnight(moment: dt.datetime, field: Field) -> dt.datetime:
    zone = ZoneInfo(field.default_timezone) if field.default_timezone else _UTC
    local = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return local.astimezone(_UTC)


def _exists(moment: dt.datetime, field: Field) -> bool:
    """Whether its local time, which is what is written, is that moment's alone."""
    if field.default_timezone is None or pa.types.is_date(field.type):
        return True
    local = moment.astimezone(ZoneInfo(field.default_timezone)).replace(tzinfo=None)
    offsets = {local.replace(tzinfo=ZoneInfo(field.default_timezone), fold=fold).utcoffset() for fold in (0, 1)}
    return len(offsets) == 1


def _given(field: Field, word: str) -> list[tuple[Any, bool]]:
    found = [(getattr(field, word), False), (getattr(field, f"exclusive_{word}"), True)]
    return [(value, open_end) for value, open_end in found if value is not None]


def _moment(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value.astimezone(_UTC)
    return dt.datetime.combine(value, dt.time(), _UTC)


def _too_narrow(field: Field) -> ContractError:
    return ContractError(field.name, ["no value is come by that keeps all of its rules"])
