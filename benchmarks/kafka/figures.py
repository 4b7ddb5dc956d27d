"""What the measurements of streams come to: pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of them don't exceed (nearest rank).

    >>> percentile([4, 1, 3, 2], 50), percentile([4, 1, 3, 2], 99)
    (2, 4)
    """
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def highest_held(is_held: Callable[[int], bool], first: int, most: int, steps: int = 2) -> int:
    """The highest rate that is held: doubled from `first` on until one isn't, then between the two by halves.

    0 if even the first isn't held. `most` is the highest that is tried.

    >>> highest_held(lambda rate: rate <= 11_000, 4_000, 100_000)
    10000
    """
    held, rate = 0, min(first, most)
    while is_held(rate):
        held = rate
        if rate == most:
            return held
        rate = min(2 * rate, most)
    if held:
        for _ in range(steps):
            middle = (held + rate) // 2
            held, rate = (middle, rate) if is_held(middle) else (held, middle)
    return held


def is_steady(backlogs: Sequence[int], rate: float, seconds: float) -> bool:
    """Whether a step was held: at its end there were moments at which less than so many seconds of messages waited."""
    return min(backlogs) <= rate * seconds


def thirds(values: Sequence[float]) -> tuple[float, float, float]:
    """Medians of the first and of the last third, and the maximum.

    >>> thirds([1, 2, 3, 9, 5, 6, 5, 7, 6])
    (2, 6, 9)
    """
    if len(values) < 3:
        raise ValueError(f"{len(values)} samples have no thirds: at least 3")
    third = len(values) // 3
    return statistics.median(values[:third]), statistics.median(values[-third:]), max(values)
