"""Sessions: rows of one group that are each less than a gap from the next.

A session inside a batch travels as points in time that hold it together when windows merge: its first
row's time, which carries all of its rows, and a chain of further row times, each less than a gap from
the one before it, up to the last row's. Points of several batches can be put together again in the same
way, in any order. First and last row alone would not do: a session longer than two gaps would fall apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]

STEP = 1000
"""Microseconds in the unit that sessions are measured in: Beam codes windows in milliseconds."""


class Sessions(NamedTuple):
    """`starts`: the start of each row's session. `chain`: places of the rows that hold it together.

    The chain doesn't hold the first row of a session.
    """

    starts: Micros
    chain: npt.NDArray[np.int64]


def find_sessions(groups: npt.NDArray[np.int64], times: Micros, gap: int) -> Sessions:
    """Find the sessions of rows (or points) in any order, each with the number of its group.

    A session starts at its first row's time, rounded down to milliseconds, and ends one `gap` (in
    microseconds) after its last; a row exactly one gap after another is in the next session.

    >>> groups, times = np.array([0, 0, 1, 0, 0, 0]), np.array([1, 4, 4, 9, 6, 20]) * STEP
    >>> starts, chain = find_sessions(groups, times, gap=4 * STEP)
    >>> (starts // STEP).tolist(), chain.tolist()
    ([1, 1, 4, 1, 1, 20], [1, 4, 3])
    """
    times = times - np.mod(times, STEP)
    order = np.lexsort((times, groups))
    sorted_times, sorted_groups = times[order], groups[order]
    first = np.ones(len(order), bool)
    first[1:] = (sorted_groups[1:] != sorted_groups[:-1]) | (np.diff(sorted_times) >= gap)
    numbers = np.cumsum(first) - 1
    starts = np.empty(len(order), np.int64)
    starts[order] = sorted_times[first][numbers]
    # The first and the last row of each stretch of one gap: less than a gap apart, as is the first of the
    # next stretch, since it is the next row of the session.
    stretches = sorted_times // gap
    turns = np.ones(len(order) + 1, bool)
    turns[1:-1] = first[1:] | (stretches[1:] != stretches[:-1])
    links = (turns[:-1] | turns[1:]) & ~first
    links[1:] &= first[1:] | (sorted_times[1:] != sorted_times[:-1])  # not two at one time
    return Sessions(starts, order[links])
