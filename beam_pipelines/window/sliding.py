"""Sliding windows without a copy of each row for each window: rows are put into slices first.

All rows of a slice are in the same windows, so one partial of each slice stands for them, and only
partials are copied into windows. A period has two slices at most: the technique of paired windows,
S. Krishnamurthy, C. Wu and M. Franklin, "On-the-fly sharing for streamed aggregation" (SIGMOD 2006).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]


def slice_starts(times: Micros, size: int, period: int) -> Micros:
    """Start of the slice of each time; all in microseconds since the epoch.

    Slices begin where a window begins or ends: at multiples of the period, and `size % period` after them.

    >>> slice_starts(np.array([0, 3, 5, 7, 9]), size=15, period=6).tolist()
    [0, 3, 3, 6, 9]
    """
    periods = times - np.mod(times, period)
    rest = size % period
    if rest == 0:
        return periods
    return np.where(times - periods >= rest, periods + rest, periods)


def window_starts_of(slices: Micros, size: int, period: int) -> tuple[Micros, Micros]:
    """Copy slices into their windows: the place of each copy's slice, and the start of its window.

    >>> places, starts = window_starts_of(np.array([0, 3]), size=15, period=6)
    >>> places.tolist(), starts.tolist()
    ([0, 0, 0, 1, 1], [0, -6, -12, 0, -6])
    """
    last = slices - np.mod(slices, period)
    # Windows that hold a slice start after `slice - size`, the last of them where its period does.
    counts = (last - (slices - size) + period - 1) // period
    places = np.repeat(np.arange(len(slices)), counts)
    nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places, last[places] - nth * period


def counts_in(slices: Micros, windows: Micros, period: int) -> npt.NDArray[np.bool_]:
    """Whether a window is the one in which a slice's rows are counted: the last to start, of several.

    >>> counts_in(np.array([0, 3, 3]), np.array([0, 0, -6]), period=6).tolist()
    [True, True, False]
    """
    counted: npt.NDArray[np.bool_] = slices - np.mod(slices, period) == windows
    return counted
