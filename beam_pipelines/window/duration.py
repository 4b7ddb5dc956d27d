"""Durations as people write them: `30s`, `15m`, `1h30m`, `1d`, `1w`."""

from __future__ import annotations

import re

from beam_pipelines.errors import UsageError

MICROS_PER_UNIT = {
    "w": 7 * 86_400_000_000,
    "d": 86_400_000_000,  # always 24 h: event time is UTC (Beam YAML reads 1d as 43,200 s)
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,  # the finest that every runner keeps: Beam codes times in milliseconds
}
"""Microseconds in each unit, largest first."""

MAX_MICROS = 36_525 * MICROS_PER_UNIT["d"]
"""100 years: longer is a slip, and stays far inside the times that Beam can hold."""

_WORDS = {
    "min": "m", "mins": "m", "minute": "m", "minutes": "m", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "w", "weeks": "w",
}  # fmt: skip
_PART = re.compile(r"(\d+)([^\W\d_]*)")


def parse_duration(text: str) -> int:
    """Read a duration, in microseconds.

    A whole number and a unit (w, d, h, m, s, ms), or several of them from large to small.
    UsageError says what is allowed.

    >>> parse_duration("1h30m")
    5400000000
    >>> parse_duration("1month")
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.UsageError: duration '1month': a month has no fixed length; write it in days, as 30d
    """
    plain = text.strip()
    if plain.startswith("-"):
        raise _wrong(text, "a duration can't be negative")
    if re.fullmatch(r"\d+", plain) and int(plain):
        raise _wrong(text, f"say the unit, as {plain}s or {plain}m")
    if re.fullmatch(r"\d*\.\d+\D+", plain):
        raise _wrong(text, "write whole numbers, as 1h30m for one and a half hours")
    if not re.fullmatch(rf"({_PART.pattern})+", plain):
        raise _wrong(text, _ALLOWED)
    total, before = 0, ""
    for number, unit in _PART.findall(plain):
        if unit not in MICROS_PER_UNIT:
            raise _wrong(text, _unknown_unit(number, unit))
        if before and MICROS_PER_UNIT[unit] >= MICROS_PER_UNIT[before]:
            raise _wrong(text, "units go from large to small, each once, as in 1h30m")
        total, before = total + int(number) * MICROS_PER_UNIT[unit], unit
    if total == 0:
        raise _wrong(text, "a duration can't be zero")
    if total > MAX_MICROS:
        raise _wrong(text, "longer than 100 years")
    return total


def seconds_of(text: str) -> float:
    """Read a duration that may be zero, in seconds.

    >>> seconds_of("1m500ms"), seconds_of("0s")
    (60.5, 0.0)
    """
    return 0.0 if text.strip() in ("0", "0s") else parse_duration(text) / 1_000_000


def format_duration(micros: int) -> str:
    """Write a duration in its shortest form.

    >>> format_duration(90_000_000)
    '1m30s'
    """
    parts = []
    for unit, size in MICROS_PER_UNIT.items():
        number, micros = divmod(micros, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


_ALLOWED = "write a number and a unit (w, d, h, m, s, ms), as in 30s, 15m, 1h30m, 1d"


def _unknown_unit(number: str, unit: str) -> str:
    if unit.lower().startswith(("mon", "mo", "y", "q")):
        kind = {"m": "month", "y": "year", "q": "quarter"}[unit[0].lower()]
        days = {"month": 30, "year": 365, "quarter": 91}[kind]
        return f"a {kind} has no fixed length; write it in days, as {int(number) * days}d"
    if unit == "M":
        return f"M is not a unit: m is minutes, and a month has no fixed length ({int(number) * 30}d is in days)"
    known = _WORDS.get(unit.lower()) or (unit.lower() if unit.lower() in MICROS_PER_UNIT else None)
    if known:
        return f"write {number}{known}"
    return f"no unit '{unit}'; {_ALLOWED}"


def _wrong(text: str, reason: str) -> UsageError:
    return UsageError(f"duration '{text}': {reason}")
