"""Days, weeks, months, quarters and years of a time zone, as the instants between which they last.

A day starts at the first instant of its date. That is midnight, but for the nights on which clocks change
just then: midnight that happens twice starts the day the first time, and a skipped one when the clocks
have been put forward. Days of 23 and 25 hours follow from that, with the zone rules of Python's zoneinfo.
"""

from __future__ import annotations

import functools
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]

UNITS = ("day", "week", "month", "quarter", "year")
"""A week starts on Monday (ISO 8601)."""

_LONGEST = dict(zip(UNITS, map(timedelta, (1, 7, 31, 92, 366)), strict=True))
"""As many days after the first day of one comes a day of the next, and never of the one after it."""

_DAY = 86_400_000_000  # microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def calendar_starts(times: Micros, unit: str, zone: str) -> Micros:
    """Start of the calendar window of each time, in microseconds since the epoch.

    >>> noon = datetime(2024, 3, 31, 12, tzinfo=timezone.utc)
    >>> starts = calendar_starts(np.array([noon.timestamp() * 1e6], np.int64), "day", "Europe/Berlin")
    >>> ends = calendar_ends(starts, "day", "Europe/Berlin")
    >>> str(_EPOCH + timedelta(microseconds=int(starts[0]))), int((ends - starts)[0]) // 3_600_000_000
    ('2024-03-30 23:00:00+00:00', 23)
    """
    # Wherever the zone is, the date of an instant is at most one from its date in UTC.
    near = {day + off for day in np.unique(times // _DAY).tolist() for off in (-1, 0, 1)}
    starts = np.unique(np.array([_start(_first(_date(day), unit), zone) for day in near], np.int64))
    found: Micros = starts[np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)]
    return found


def calendar_ends(starts: Micros, unit: str, zone: str) -> Micros:
    """End (exclusive) of each calendar window, from its start: the start of the next one."""
    distinct, places = np.unique(starts, return_inverse=True)
    ends: Micros = np.array([_end(start, unit, zone) for start in distinct.tolist()], np.int64)[places]
    return ends


def _date(day: int) -> date:
    """The date that is so many days after 1970-01-01; dates that Python hasn't are moved to those it has."""
    return date.fromordinal(min(max(day + _EPOCH_DAY, date.min.toordinal()), date.max.toordinal()))


def _first(day: date, unit: str) -> date:
    """First day of the week, month, quarter or year that a day is in."""
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[unit]
    return date(day.year, month, 1)


@functools.lru_cache(maxsize=65_536)
def _end(start: int, unit: str, zone: str) -> int:
    try:
        day = (_EPOCH + timedelta(microseconds=start)).astimezone(ZoneInfo(zone)).date()
        return _start(_first(_first(day, unit) + _LONGEST[unit], unit), zone)
    except OverflowError:  # beyond the year 9999
        return start + _DAY


@functools.lru_cache(maxsize=65_536)
def _start(day: date, zone: str) -> int:
    """The first instant of a date."""
    rules = ZoneInfo(zone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=rules)
    try:
        instant = midnight.astimezone(timezone.utc)
        if instant.astimezone(rules).replace(tzinfo=None) != midnight.replace(tzinfo=None):  # clocks skip it
            instant = _change(midnight.replace(fold=1).astimezone(timezone.utc), instant, rules)
    except OverflowError:  # at the ends of the calendar, where zones mean nothing
        instant = midnight.replace(tzinfo=timezone.utc)
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _change(before: datetime, after: datetime, rules: ZoneInfo) -> datetime:
    """When clocks are put forward, between two instants of which one is before it."""
    old = before.astimezone(rules).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(rules).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
