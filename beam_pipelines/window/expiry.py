"""When a row comes too late: the expiry of its window, for whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from beam_pipelines.window.calendar import calendar_ends, calendar_starts
from beam_pipelines.window.sessions import STEP
from beam_pipelines.window.spec import Window

Micros = npt.NDArray[np.int64]

MAX_MICROS = 250_000_000_000_000_000
"""About the year 9900: later than any event, and well inside what Beam (and Python's dates) can hold."""


def expiries(times: Micros, window: Window, lateness: int) -> Micros:
    """The instant from which a row of each time is late; all in microseconds since the epoch.

    That is the end of its window and the allowed lateness after it: of sliding windows the end of the
    last that the row is in, of sessions that of the session it would be alone. ValueError without windows.

    >>> from beam_pipelines.window.spec import parse_window
    >>> expiries(np.array([7_000_000]), parse_window("sliding:10s/5s"), lateness=0).tolist()
    [15000000]
    """
    size = window.size_micros
    if window.kind == "fixed":
        ends = times - np.mod(times, size) + size
    elif window.kind == "sliding":
        ends = times - np.mod(times, window.period_micros) + size
    elif window.kind == "session":
        ends = times - np.mod(times, STEP) + size
    elif window.kind == "calendar":
        ends = calendar_ends(calendar_starts(times, window.unit, window.zone), window.unit, window.zone)
    else:
        raise ValueError("without windows no row is late")
    return ends + lateness


def next_expiry(now: int, window: Window, lateness: int, skip: int = 0) -> int | None:
    """The first expiry after an expiry, or a later one: `skip` is about how many to leave out.

    Of sessions, which may expire at any time, one gap later. None beyond the times that Beam can hold.

    >>> from beam_pipelines.window.spec import parse_window
    >>> next_expiry(15_000_000, parse_window("sliding:10s/5s"), lateness=0)
    20000000
    """
    start, step = now - lateness, window.period_micros or window.size_micros
    if window.kind == "sliding":
        start += step - window.size_micros
    elif window.kind == "calendar":
        step = end_of(start, window) - start
    start += skip * step
    if start > MAX_MICROS:
        return None
    following = int(expiries(np.array([start]), window, lateness)[0])
    return following if now < following < MAX_MICROS else None


def end_of(start: int, window: Window) -> int:
    """End of the calendar window that starts at an instant; all in microseconds since the epoch."""
    return int(calendar_ends(np.array([start]), window.unit, window.zone)[0])
