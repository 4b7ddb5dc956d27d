"""Texts as dates and timestamps: ISO 8601, or a pattern that the contract gives.

A date is `yyyy-MM-dd`. A timestamp is a date, `T` or a space, a time of day (`HH`, `HH:mm`, `HH:mm:ss`
or with a fraction of up to nine digits) and a zone: `Z`, `+HH`, `+HHmm` or `+HH:mm`. Digits beyond
microseconds are cut off. Without a zone it is refused, unless there is a default time zone. Days that
don't exist, hour 24, second 60 and years (in UTC) outside 0001 to 9999 are refused, as are local times
that clocks skip or show twice in the default time zone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.zones import localise
from beam_pipelines.decode.bulk import Doubtful, Parsed, keep, matching, parse_in_bulk, verdict
from beam_pipelines.decode.date_format import to_iso

_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3])(?::[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?)?"
_ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"

_LOCAL = pa.timestamp("us")
_UTC = pa.timestamp("us", "UTC")
_MICROS = 1_000_000
_LONGEST_MICROSECONDS = len("2024-01-01T00:00:00.123456")
_SHORTEST_LOCAL = len("2024-01-01T00")

_FIRST_DAY, _LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))
_FIRST = int(datetime(1, 1, 1, tzinfo=timezone.utc).timestamp()) * _MICROS
_LAST = (int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc).timestamp()) + 1) * _MICROS - 1


def parse_dates(text: pa.StringArray, pattern: str | None = None) -> Parsed:
    """Parse dates, ISO 8601 or of a pattern (see `date_format`).

    >>> parse_dates(pa.array(["2024-02-29", "2023-02-29"])).invalid.to_pylist()
    [False, True]
    """
    if pattern is not None:
        return _of_pattern(text, to_iso(text, pattern, timestamp=False), parse_dates)

    def exact(text: pa.StringArray) -> Parsed:
        days = keep(matching(text, _DAY), text).cast(pa.date32())
        return verdict(text, _within(days, pa.int32(), _FIRST_DAY, _LAST_DAY))

    return parse_in_bulk(text, lambda text: _all_within(text.cast(pa.date32()), pa.int32(), _FIRST_DAY), exact)


def parse_timestamps(text: pa.StringArray, pattern: str | None = None, default_timezone: str | None = None) -> Parsed:
    """Parse timestamps, ISO 8601 or of a pattern, as timestamp("us", "UTC").

    >>> parse_timestamps(pa.array(["2024-01-01T01:00+01", "2024-01-01T01:00"])).invalid.to_pylist()
    [False, True]
    >>> parse_timestamps(pa.array(["31.01.24"]), "dd.MM.yy", "Europe/Berlin").values.to_pylist()[0].isoformat()
    '2024-01-30T23:00:00+00:00'
    """
    if pattern is not None:
        iso = to_iso(text, pattern, timestamp=True)
        return _of_pattern(text, iso, lambda text: parse_timestamps(text, None, default_timezone))
    if default_timezone is None:
        return parse_in_bulk(text, _zoned, _exact_zoned)
    zone = default_timezone

    def quick(text: pa.StringArray) -> pa.Array:
        if (pc.min(pc.binary_length(text)).as_py() or _SHORTEST_LOCAL) < _SHORTEST_LOCAL:
            raise Doubtful  # Arrow would read a date as its midnight
        values, invalid = localise(text.cast(_LOCAL), zone)
        if invalid is not None:
            raise Doubtful
        return _all_within(values, pa.int64(), _FIRST, _LAST)

    def exact(text: pa.StringArray) -> Parsed:
        is_local = matching(text, f"{_DAY}[T ]{_CLOCK}")
        local, _ = localise(_microseconds(keep(is_local, text)).cast(_LOCAL), zone)
        zoned = _exact_zoned(text).values
        return verdict(text, pc.if_else(is_local, _within(local, pa.int64(), _FIRST, _LAST), zoned))

    return parse_in_bulk(text, quick, exact)


def _zoned(text: pa.StringArray) -> pa.Array:
    return _all_within(text.cast(_UTC), pa.int64(), _FIRST, _LAST)


def _exact_zoned(text: pa.StringArray) -> Parsed:
    texts = keep(matching(text, f"{_DAY}[T ]{_CLOCK}{_ZONE}"), text)
    return verdict(text, _within(_microseconds(texts).cast(_UTC), pa.int64(), _FIRST, _LAST))


def _microseconds(text: pa.StringArray) -> pa.StringArray:
    """Cut fractions to the six digits that Arrow reads."""
    if (pc.max(pc.binary_length(text)).as_py() or 0) <= _LONGEST_MICROSECONDS:
        return text
    return pc.replace_substring_regex(text, r"(\.[0-9]{6})[0-9]+", r"\1")


def _of_pattern(text: pa.StringArray, iso: pa.StringArray, parse: Callable[[pa.StringArray], Parsed]) -> Parsed:
    return verdict(text, parse(iso).values)


def _all_within(values: pa.Array, numbers: pa.DataType, first: int, last: int | None = None) -> pa.Array:
    ends = pc.min_max(values.cast(numbers))
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is not None and (low < first or (last is not None and high > last)):
        raise Doubtful
    return values


def _within(values: pa.Array, numbers: pa.DataType, first: int, last: int) -> pa.Array:
    number = values.cast(numbers)
    inside = pc.and_(pc.greater_equal(number, first), pc.less_equal(number, last))
    return keep(pc.fill_null(inside, False), values)
