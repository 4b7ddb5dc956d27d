"""What window a row falls into, as data: `fixed:1h`, `sliding:1h/5m`, `session:30m`, `calendar:day@Europe/Berlin`."""

from __future__ import annotations

import dataclasses
import functools
import zoneinfo
from typing import Literal

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.window.calendar import UNITS
from beam_pipelines.window.duration import format_duration, parse_duration

Kind = Literal["none", "fixed", "sliding", "session", "calendar"]

KINDS: tuple[Kind, ...] = ("none", "fixed", "sliding", "session", "calendar")

SUPPORTED = (
    "fixed:DURATION (as in fixed:1h), sliding:SIZE/PERIOD (sliding:1h/5m), session:GAP (session:30m), "
    "calendar:UNIT@ZONE (calendar:day@Europe/Berlin) or none"
)

MAX_OVERLAP = 10_000
"""Sliding windows that a row may be in: each of them holds a copy of the row's partial."""

_EXAMPLES = {
    "fixed": "fixed:1h",
    "sliding": "sliding:1h/5m",
    "session": "session:30m",
    "calendar": "calendar:day@Europe/Berlin",
}


@dataclasses.dataclass(frozen=True)
class Window:
    """A rule that puts rows into windows by their event time.

    `fixed`: windows of `size_micros` one after the other, aligned to 1970-01-01T00:00Z, as Beam's
    FixedWindows are; a row at the boundary belongs to the window that starts there. `sliding`: a window
    of `size_micros` starts every `period_micros`, so a row is in several. `session`: rows of a group
    that are each less than `size_micros` (the gap) after the one before, in whole milliseconds; a session
    lasts from its first row to one gap after its last. `calendar`: days, weeks (from Monday), months,
    quarters or years (`unit`) of a time zone. `none`: one window without end, whose start and end are null.
    """

    kind: Kind = "none"
    size_micros: int = 0
    period_micros: int = 0
    unit: str = ""
    zone: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"window: no kind '{self.kind}'; there is {', '.join(KINDS)}")
        if (self.kind in ("fixed", "sliding", "session")) != (self.size_micros > 0):
            raise UsageError(
                "window: fixed, sliding and session windows have a size, none and calendar windows have not: "
                f"{self.kind}, {self.size_micros}"
            )
        if (self.kind == "sliding") != (self.period_micros > 0):
            raise UsageError(f"window: sliding windows have a period, no others: {self.kind}, {self.period_micros}")
        if self.kind == "sliding":
            self._check_period()
        if (self.kind == "calendar") != bool(self.unit and self.zone):
            raise UsageError(f"window: calendar windows have a unit and a zone, no others: {self.kind}")
        if self.kind == "calendar":
            _check_calendar(self.unit, self.zone)

    def _check_period(self) -> None:
        size, period = format_duration(self.size_micros), format_duration(self.period_micros)
        if self.period_micros > self.size_micros:
            raise UsageError(
                f"a window of {size} every {period} would leave rows in no window at all: "
                "the period is at most the size"
            )
        if self.size_micros > self.period_micros * MAX_OVERLAP:
            raise UsageError(
                f"a row would be in {self.size_micros // self.period_micros} windows of {size} every {period}; "
                f"at most {MAX_OVERLAP} are allowed: make the period longer"
            )

    def __str__(self) -> str:
        if self.kind == "none":
            return "none"
        if self.kind == "calendar":
            return f"calendar:{self.unit}@{self.zone}"
        period = f"/{format_duration(self.period_micros)}" if self.kind == "sliding" else ""
        return f"{self.kind}:{format_duration(self.size_micros)}{period}"


NO_WINDOW = Window()


def parse_window(text: str | Window) -> Window:
    """Read a window from text; a Window stays as it is. UsageError says what is allowed.

    >>> parse_window("fixed:1d").size_micros == 86_400 * 1_000_000
    True
    >>> str(parse_window("sliding:60m/5m")), parse_window("calendar:week@Europe/Berlin").unit
    ('sliding:1h/5m', 'week')
    >>> parse_window("sliding:5m/1h")
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.UsageError: window 'sliding:5m/1h': a window of 5m every 1h would leave rows in no \
window at all: the period is at most the size
    """
    if isinstance(text, Window):
        return text
    word, colon, rest = (part.strip() for part in text.partition(":"))
    kind = word.lower()
    if kind == "none" and not colon:
        return NO_WINDOW
    if kind not in _EXAMPLES:
        near = did_you_mean(kind, KINDS)
        raise UsageError(f"window '{text}': write {SUPPORTED}.{near if 'mean' in near else ''}")
    if not rest:
        raise UsageError(f"window '{text}': say how long, as in {_EXAMPLES[kind]}")
    try:
        if kind == "calendar":
            return _calendar(rest)
        if kind == "sliding":
            return _sliding(rest)
        return Window("fixed" if kind == "fixed" else "session", parse_duration(rest))
    except UsageError as error:
        raise UsageError(f"window '{text}': {error}") from None


def _sliding(rest: str) -> Window:
    size, slash, period = rest.partition("/")
    if not slash or not period.strip():
        raise UsageError("say how long a window is and how often one starts, as in sliding:1h/5m")
    return Window("sliding", parse_duration(size), parse_duration(period))


def _calendar(rest: str) -> Window:
    unit, _, zone = (part.strip() for part in rest.partition("@"))
    unit = unit.lower()
    if unit not in UNITS and unit.removesuffix("s") in UNITS:
        unit = unit.removesuffix("s")
    if unit not in UNITS:
        raise UsageError(f"a calendar unit is one of {', '.join(UNITS)}, not '{unit}'")
    if not zone:
        raise UsageError(f"say in which time zone, as in calendar:{unit}@Europe/Berlin, or calendar:{unit}@UTC")
    return Window("calendar", unit=unit, zone=zone)


@functools.lru_cache
def _check_calendar(unit: str, zone: str) -> None:
    if unit not in UNITS:
        raise UsageError(f"a calendar unit is one of {', '.join(UNITS)}, not '{unit}'")
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(zone, sorted(zoneinfo.available_timezones()))
        raise UsageError(
            f"there is no time zone '{zone}'; write an IANA name, as Europe/Berlin.{near if 'mean' in near else ''}"
        ) from None
