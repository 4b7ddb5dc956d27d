"""The window of each row, for whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.window.calendar import calendar_ends, calendar_starts
from beam_pipelines.window.sliding import slice_starts
from beam_pipelines.window.spec import Window

TIME = pa.timestamp("us", "UTC")


def window_starts(times: pa.Array, window: Window) -> pa.Array:
    """Start of the window of each time, both timestamp("us", "UTC"); null for a null, or without windows.

    Of sliding windows it is the start of the slice (`sliding.slice_starts`), which is in several. A
    session has no start before all rows of its group are seen: here it is the time itself, and
    `sessions.find_sessions` goes on from there.

    Floors, also before 1970: with `fixed:1h`, 1969-12-31T23:59Z is in the window of 23:00Z.

    >>> from beam_pipelines.window.spec import parse_window
    >>> window_starts(pa.array([3_600_000_000, -1], TIME), parse_window("fixed:1h")).cast(pa.int64()).to_pylist()
    [3600000000, -3600000000]
    """
    if window.kind == "none":
        return pa.nulls(len(times), TIME)
    if window.kind == "session":
        return times.cast(TIME)
    starts = to_times(_starts(to_micros(times), window))
    return pc.if_else(times.is_valid(), starts, pa.scalar(None, TIME)) if times.null_count else starts


def window_ends(starts: pa.Array, window: Window) -> pa.Array:
    """End (exclusive) of each window, from its start. ValueError for sessions, which have no fixed length."""
    if window.kind == "none":
        return starts
    if window.kind == "session":
        raise ValueError("the end of a session doesn't follow from its start")
    micros = to_micros(starts)
    if window.kind == "calendar":
        return to_times(calendar_ends(micros, window.unit, window.zone))
    return to_times(micros + window.size_micros)


def to_micros(times: pa.Array) -> npt.NDArray[np.int64]:
    """Timestamps as microseconds since the epoch, nulls as 0."""
    micros: npt.NDArray[np.int64] = pc.fill_null(times.cast(TIME).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return micros


def to_times(micros: npt.NDArray[np.int64]) -> pa.Array:
    """Microseconds since the epoch as timestamp("us", "UTC")."""
    return pa.array(micros, pa.int64()).cast(TIME)


def _starts(micros: npt.NDArray[np.int64], window: Window) -> npt.NDArray[np.int64]:
    if window.kind == "sliding":
        return slice_starts(micros, window.size_micros, window.period_micros)
    if window.kind == "calendar":
        return calendar_starts(micros, window.unit, window.zone)
    return micros - np.mod(micros, window.size_micros)
