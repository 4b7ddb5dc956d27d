"""The goals, what of them is reached by the results, and what bounds the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from benchmarks.results import OURS, Result

AT = 10_000_000
"""Rows of W1 at which sides are compared."""

Found = Callable[["Lookup"], float | None]


@dataclasses.dataclass(frozen=True)
class Goal:
    """Something to reach: a number of the results, and the least or the most that it may be."""

    what: str
    bound: str
    holds: Callable[[float], bool]
    found: Found
    shown: str = "{:.1f}x"
    limits: str = ""
    """What bounds it; told where it is missed."""


class Lookup:
    """Results by workload, rows and implementation."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = {each.key: each for each in results}

    def get(self, workload: str, rows: int, side: str) -> Result | None:
        """A result, if there is one."""
        return self._results.get((workload, rows, side))

    def ratio(self, over: tuple[str, int, str], under: tuple[str, int, str], measure: str = "cpu_s") -> float | None:
        """One result's figure over another's; None if one is missing."""
        one, other = self.get(*over), self.get(*under)
        if one is None or other is None or not getattr(other, measure) or getattr(one, measure) is None:
            return None
        return float(getattr(one, measure) / getattr(other, measure))


def _less(side: str) -> Found:
    """How many times ours a side of W1 costs."""
    return lambda results: results.ratio(("W1", AT, side), ("W1", AT, OURS))


def _more(side: str, measure: str = "cpu_s", workload: str = "W1") -> Found:
    """How many times a side of W1 ours costs."""
    return lambda results: results.ratio((workload, AT, OURS), ("W1", AT, side), measure)


def _peak(rows: int) -> Found:
    def found(results: Lookup) -> float | None:
        one = results.get("W1", rows, OURS)
        return None if one is None else one.peak_mb

    return found


GOALS = (
    Goal("idiomatic row-wise Beam, same runner", "12x ours", lambda it: it >= 12, _less("beam_idiomatic")),
    Goal("tuned row-wise Beam", "5x ours", lambda it: it >= 5, _less("beam_tuned")),
    Goal("PySpark local[2]", "6x ours", lambda it: it >= 6, _less("spark")),
    Goal("ours against Polars", "1.0x or less", lambda it: it <= 1, _more("polars"), "{:.2f}x"),
    Goal("ours against DuckDB", "1.25x or less", lambda it: it <= 1.25, _more("duckdb"), "{:.2f}x"),
    Goal("peak memory, 2M rows", "500 MB or less", lambda it: it <= 500, _peak(2_000_000), "{:.0f} MB"),
    Goal("peak memory, 10M rows", "500 MB or less", lambda it: it <= 500, _peak(10_000_000), "{:.0f} MB"),
    Goal("peak memory, 100M rows", "500 MB or less", lambda it: it <= 500, _peak(100_000_000), "{:.0f} MB"),
)


def table(results: Sequence[Result]) -> list[str]:
    """The goals as lines of Markdown."""
    lookup = Lookup(results)
    lines = ["| against | goal | found | reached | what bounds it |", "| --- | --- | ---: | --- | --- |"]
    for goal in GOALS:
        value = goal.found(lookup)
        if value is None:
            told, reached, limits = "not measured", "", ""
        else:
            told, reached = goal.shown.format(value), "yes" if goal.holds(value) else "**no**"
            limits = "" if goal.holds(value) else goal.limits
        lines.append(f"| {goal.what} | {goal.bound} | {told} | {reached} | {limits} |")
    return lines
