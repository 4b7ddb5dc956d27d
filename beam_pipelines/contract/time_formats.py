"""What the format of a date or timestamp says, and whether texts of it can be one.

The standard takes the patterns of Java's DateTimeFormatter
(https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/time/format/DateTimeFormatter.html). Its own
examples leave the `T` between date and time unquoted, so that is read as it is meant.
"""

from __future__ import annotations

import dataclasses
import re

_LETTERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "y": ("year", (1, 2, 4)),
    "u": ("year", (1, 2, 4)),
    "M": ("month", (1, 2, 3, 4)),
    "L": ("month", (1, 2, 3, 4)),
    "d": ("day", (1, 2)),
    "E": ("weekday", (1, 2, 3, 4)),
    "H": ("hour", (1, 2)),
    "h": ("half-day hour", (1, 2)),
    "a": ("half of the day", (1,)),
    "m": ("minute", (1, 2)),
    "s": ("second", (1, 2)),
    "S": ("fraction of a second", tuple(range(1, 10))),
    "X": ("zone", (1, 2, 3)),
    "x": ("zone", (1, 2, 3)),
    "Z": ("zone", (1, 2, 3, 5)),
}
"""Pattern letter → the part of a time it stands for, and how often it may be repeated."""

_DATE_PARTS = frozenset({"year", "month", "day", "weekday"})
_TOKEN = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letter>[A-Za-z])(?P=letter)*|[^A-Za-z']")
_MEANT = {
    "Y": "'Y' is the year of the week; the year is 'y'",
    "D": "'D' is the day of the year; the day of the month is 'd'",
}


@dataclasses.dataclass(frozen=True)
class TimeFormat:
    """A format that can be read: in Java's own form, and the parts of a time that it has."""

    pattern: str
    parts: frozenset[str]
    ends_in_utc: bool
    """True when it ends in a quoted Z, by which people mean UTC, though Java sees mere text in it."""

    @property
    def has_zone(self) -> bool:
        """True when the text of each value says its offset."""
        return "zone" in self.parts or self.ends_in_utc

    @property
    def has_time_of_day(self) -> bool:
        return bool(self.parts - _DATE_PARTS - {"zone"})


def read_time_format(pattern: str) -> TimeFormat:
    """Read a pattern; ValueError says what in it can't be read, or what it lacks to be a date.

    >>> read_time_format("dd.MM.yyyy HH:mm").has_time_of_day
    True
    >>> read_time_format("yyyy-MM-ddTHH:mm:ssZ").pattern
    "yyyy-MM-dd'T'HH:mm:ssZ"
    >>> read_time_format("YYYY-MM-DD")
    Traceback (most recent call last):
        ...
    ValueError: format 'YYYY-MM-DD': 'Y' is the year of the week; the year is 'y'
    """
    parts: list[str] = []
    java: list[str] = []
    depth, place = 0, 0
    quoted: str | None = None
    while place < len(pattern):
        match = _TOKEN.match(pattern, place)
        if match is None:
            raise ValueError(f"format '{pattern}': a quote is not closed")
        place = match.end()
        text, letter, quoted = match[0], match["letter"], match["quoted"]
        java.append("'T'" if text == "T" else text)
        depth += (text == "[") - (text == "]")
        if depth < 0:
            raise ValueError(f"format '{pattern}': a ']' without its '['")
        if letter and text != "T":
            parts.append(_part(pattern, letter, len(text)))
    if depth:
        raise ValueError(f"format '{pattern}': a '[' without its ']'")
    twice = next((part for part in parts if parts.count(part) > 1 and part != "weekday"), None)
    if twice is not None:
        raise ValueError(f"format '{pattern}' has the {twice} twice")
    found = TimeFormat("".join(java), frozenset(parts), quoted == "Z" and "zone" not in parts)
    _check(pattern, found.parts)
    return found


def _part(pattern: str, letter: str, count: int) -> str:
    part, counts = _LETTERS.get(letter, ("", ()))
    if count in counts:
        return part
    text = letter * count
    if part:
        allowed = ", ".join(letter * each for each in counts)
        raise ValueError(f"format '{pattern}': '{text}' can't be read; the {part} is one of {allowed}")
    unknown = f"'{text}' can't be read. Letters: {', '.join(_LETTERS)}; put text between single quotes"
    raise ValueError(f"format '{pattern}': {_MEANT.get(letter, unknown)}")


def _check(pattern: str, parts: frozenset[str]) -> None:
    for part, letter in (("year", "y"), ("month", "M"), ("day", "d")):
        if part not in parts:
            raise ValueError(f"format '{pattern}' has no {part} ({letter}), so it makes no date")
    if {"hour", "half-day hour"} <= parts:
        raise ValueError(f"format '{pattern}' has two kinds of hours (H and h)")
    if ("half-day hour" in parts) != ("half of the day" in parts):
        raise ValueError(f"format '{pattern}': 'h' goes with 'a' (AM or PM); without it the hour is 'H'")
