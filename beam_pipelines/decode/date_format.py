"""Date patterns as Java writes them (`dd/MM/yyyy HH:mm`), as far as they name a day and a time of day.

The letters are those of `java.time.format.DateTimeFormatter` (Java 17): y u M L d H h m s S a E X x Z,
quoted text, and optional sections in brackets. A quoted 'Z' at the end means UTC, as those who write
it mean, though Java sees mere text in it. Names are English, in any case; a weekday isn't checked
against the date.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.contract.time_formats import read_time_format

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _words(words: Iterable[str]) -> str:
    return f"(?i:{'|'.join(words)})"


_YEAR = {1: "[0-9]{4}", 2: "[0-9]{2}", 4: "[0-9]{4}"}
_MONTH = {1: "[0-9]{1,2}", 2: "[0-9]{2}", 3: _words(m[:3] for m in _MONTHS), 4: _words(_MONTHS)}
_NUMBER = {1: "[0-9]{1,2}", 2: "[0-9]{2}"}
_OFFSETS = {1: "[+-][0-9]{2}(?:[0-9]{2})?", 2: "[+-][0-9]{4}", 3: "[+-][0-9]{2}:[0-9]{2}"}
_WEEKDAY = dict.fromkeys((1, 2, 3), _words(d[:3] for d in _DAYS)) | {4: _words(_DAYS)}

_LETTERS: dict[str, tuple[str, dict[int, str]]] = {
    "y": ("year", _YEAR),
    "u": ("year", _YEAR),
    "M": ("month", _MONTH),
    "L": ("month", _MONTH),
    "d": ("day", _NUMBER),
    "H": ("hour", _NUMBER),
    "h": ("hour12", _NUMBER),
    "m": ("minute", _NUMBER),
    "s": ("second", _NUMBER),
    "S": ("fraction", {n: f"[0-9]{{{n}}}" for n in range(1, 10)}),
    "a": ("half", {1: _words(["AM", "PM"])}),
    "E": ("", _WEEKDAY),
    "X": ("zone", {n: f"Z|{offset}" for n, offset in _OFFSETS.items()}),
    "x": ("zone", _OFFSETS),
    # Java's Z is +0200 alone; the standard's own examples write it for 2024-03-10T14:22:35Z and +10:00.
    "Z": ("zone", dict.fromkeys((1, 2, 3, 5), "Z|[+-][0-9]{2}:?[0-9]{2}")),
}
"""For each letter the part of a time it stands for, and for each count of it what is matched."""

_PIECE = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letter>[A-Za-z])(?P=letter)*|.", re.DOTALL)


class DateFormat(NamedTuple):
    """A pattern as a regex with a group for each part of a time; `utc` when it ends in a quoted Z."""

    regex: str
    parts: frozenset[str]
    short_year: bool
    utc: bool


@functools.lru_cache(maxsize=256)
def compile_format(pattern: str) -> DateFormat:
    r"""Make a regular expression of a pattern; ValueError says what in it isn't supported.

    >>> compile_format("dd.MM.yyyy").regex
    '(?P<day>[0-9]{2})\\.(?P<month>[0-9]{2})\\.(?P<year>[0-9]{4})'
    """
    checked = read_time_format(pattern)
    regex, parts, short_year = "", set(), False
    for found in _PIECE.finditer(checked.pattern):
        text, letter = found[0], found["letter"]
        if letter:
            name, shapes = _LETTERS[letter]
            regex += f"(?P<{name}>{shapes[len(text)]})" if name else shapes[len(text)]
            parts.add(name)
            short_year |= name == "year" and len(text) == 2
        elif text in "[]":
            regex += "(?:" if text == "[" else ")?"
        elif text == "''":
            regex += "'"
        else:
            regex += re.escape(text if found["quoted"] is None else found["quoted"].replace("''", "'"))
    return DateFormat(regex, frozenset(parts), short_year, checked.ends_in_utc)


def to_iso(text: pa.StringArray, pattern: str, *, timestamp: bool) -> pa.StringArray:
    """Rewrite texts of a pattern as ISO 8601; null where a text doesn't have its form.

    The result may still name an impossible time, or lack a zone.

    >>> to_iso(pa.array(["1/2/24", "2024"]), "d/M/yy", timestamp=False).to_pylist()
    ['2024-02-01', None]
    """
    form = compile_format(pattern)
    found = pc.extract_regex(text, f"^(?:{form.regex})$")

    def part(name: str, absent: str) -> pa.Array:
        if name not in form.parts:
            return pa.scalar(absent)
        values = pc.struct_field(found, name)
        return pc.if_else(pc.equal(values, ""), absent, values)  # an optional section that isn't there

    def number(name: str, absent: str) -> pa.Array:
        return pc.utf8_lpad(part(name, absent), 2, "0")

    year = part("year", "")
    if form.short_year:
        year = pc.binary_join_element_wise("20", year, "")  # Java's base for two digits
    month = number("month", "")
    if pc.any(pc.utf8_is_alpha(month), min_count=0).as_py():
        short = pc.utf8_slice_codeunits(pc.utf8_lower(month), 0, 3)
        places = pc.index_in(short, value_set=pa.array([m[:3] for m in _MONTHS]))
        month = pc.utf8_lpad(pc.add(places, 1).cast(pa.string()), 2, "0")
    date = pc.binary_join_element_wise(year, month, number("day", ""), "-")
    if not timestamp:
        return _texts(date, found)
    hour = _from_half_days(number("hour12", "12"), part("half", "AM")) if "half" in form.parts else number("hour", "00")
    clock = pc.binary_join_element_wise(hour, number("minute", "00"), number("second", "00"), ":")
    fraction = pc.utf8_slice_codeunits(part("fraction", "0"), 0, 6)  # truncated to microseconds
    zone = part("zone", "Z" if form.utc else "")
    stamp = pc.binary_join_element_wise(date, "T", clock, ".", fraction, zone, "")
    return _texts(stamp, found)


def _texts(values: pa.Array, found: pa.StructArray) -> pa.StringArray:
    return pc.if_else(found.is_valid(), values, None)


def _from_half_days(hour: pa.Array, half: pa.Array) -> pa.Array:
    """Hours 01 to 12 with AM or PM as 00 to 23; anything else becomes 99, which no day has."""
    number = hour.cast(pa.int32())
    of_day = pc.add(pc.if_else(pc.equal(number, 12), 0, number), pc.if_else(pc.equal(pc.utf8_upper(half), "PM"), 12, 0))
    usable = pc.and_(pc.greater_equal(number, 1), pc.less_equal(number, 12))
    return pc.utf8_lpad(pc.if_else(usable, of_day, 99).cast(pa.string()), 2, "0")
