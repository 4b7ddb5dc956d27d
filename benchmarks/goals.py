"""The goals, what of them is reached by the results, and what bounds the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from benchmarks.results import OURS, Result

AT = 10_000_000
"""Rows of W1 that the goals are about; where a side wasn't measured with so many, the most that it was."""
_2M = 2_000_000


class Lookup:
    """Results by workload, rows and implementation."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = {each.key: each for each in results}

    def get(self, workload: str, rows: int, side: str) -> Result | None:
        """A result, if there is one."""
        return self._results.get((workload, rows, side))

    def sizes(self, workload: str, side: str) -> list[int]:
        """Numbers of rows with which a side was measured."""
        return [rows for name, rows, implementation in self._results if (name, implementation) == (workload, side)]

    def most(self, workload: str, *sides: str) -> int | None:
        """The most rows up to AT at which all of these sides were measured."""
        sizes = [rows for name, rows, side in self._results if (name, side) == (workload, sides[0]) and rows <= AT]
        common = [rows for rows in sizes if all(self.get(workload, rows, side) for side in sides)]
        return max(common, default=None)


Found = Callable[[Lookup], tuple[float, int] | None]
"""A number, and the rows at which it was found; None if it wasn't measured."""


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


def _over(side: str, other: str, measure: str = "cpu_s") -> Found:
    """One side of W1 over another."""

    def found(results: Lookup) -> tuple[float, int] | None:
        rows = results.most("W1", side, other)
        if rows is None:
            return None
        one, two = results.get("W1", rows, side), results.get("W1", rows, other)
        return (getattr(one, measure) / getattr(two, measure), rows) if one and two else None

    return found


def _ours_over_ours(workload: str, measure: str = "cpu_s", turned: bool = False) -> Found:
    """Ours in a variant of W1 over ours in W1 itself; or the other way round."""

    def found(results: Lookup) -> tuple[float, int] | None:
        one, two = results.get(workload, _2M, OURS), results.get("W1", _2M, OURS)
        if one is None or two is None:
            return None
        ratio = getattr(one, measure) / getattr(two, measure)
        return 1 / ratio if turned else ratio, _2M

    return found


def _of_ours(workload: str, rows: int, measure: str) -> Found:
    """A figure of ours as it is."""

    def found(results: Lookup) -> tuple[float, int] | None:
        one = results.get(workload, rows, OURS)
        value = getattr(one, measure) if one else None
        return None if value is None else (value, rows)

    return found


def _small(results: Lookup) -> tuple[float, int] | None:
    ours, bare = (results.get("1,000 rows", 1_000, side) for side in (OURS, "beam_bare"))
    return (ours.cpu_s / bare.cpu_s, 1_000) if ours and bare else None


def _scoring(results: Lookup) -> tuple[float, int] | None:
    """What a row more costs row by row, over what it costs in batches: start-up is taken off both."""
    row = [results.get("W4", rows, "beam_row_by_row") for rows in (1_000, 50_000)]
    batch = [results.get("W4", rows, OURS) for rows in (1_000, _2M)]
    per_row = [(two.cpu_s - one.cpu_s) / (two.rows - one.rows) for one, two in (row, batch) if one and two]
    return (per_row[0] / per_row[1], 50_000) if len(per_row) == 2 and per_row[1] > 0 else None


def _sink(store: str, side: str) -> Found:
    """What a row more costs a side over what it costs ours; start-up is taken off both."""
    workload = f"sink, {store}"

    def per_row(results: Lookup, name: str) -> tuple[float, int] | None:
        sizes = results.sizes(workload, name)
        one, two = (results.get(workload, rows, name) for rows in (min(sizes), max(sizes))) if sizes else (None, None)
        if one is None or two is None or one.rows == two.rows:
            return None
        return (two.cpu_s - one.cpu_s) / (two.rows - one.rows), two.rows

    def found(results: Lookup) -> tuple[float, int] | None:
        ours, other = per_row(results, OURS), per_row(results, side)
        if ours is None or other is None or min(ours[0], other[0]) <= 0:
            return None
        ratio = other[0] / ours[0]
        return ratio, min(ours[1], other[1])

    return found


_PYTHON = "start-up; for each row, Python's objects between msgspec and Arrow, and an HMAC"
_STAGED = "rows are staged as Parquet first, so that all bundles are one commit"
_JUDGED = "rows pass through Beam, and are judged by the table's columns before they are written"
_MEMORY = "a batch's freed memory is kept for the next one, which is faster"
GOALS = (
    Goal(
        "idiomatic row-wise Beam, same runner",
        "12x ours",
        lambda it: it >= 12,
        _over("beam_idiomatic", OURS),
        limits="start-up, which both pay, is a large part of ours at few rows",
    ),
    Goal(
        "tuned row-wise Beam",
        "5x ours",
        lambda it: it >= 5,
        _over("beam_tuned", OURS),
        limits="msgspec and the HMAC cost both sides the same, start-up too",
    ),
    Goal(
        "PySpark local[2]",
        "6x ours",
        lambda it: it >= 6,
        _over("spark", OURS),
        limits="the JVM compiles what it runs often: more rows are cheaper for it",
    ),
    Goal("ours against Polars", "1.0x or less", lambda it: it <= 1, _over(OURS, "polars"), "{:.2f}x", _PYTHON),
    Goal("ours against DuckDB", "1.25x or less", lambda it: it <= 1.25, _over(OURS, "duckdb"), "{:.2f}x", _PYTHON),
    Goal(
        "peak memory, 2M rows",
        "500 MB or less",
        lambda it: it <= 500,
        _of_ours("W1", _2M, "peak_mb"),
        "{:.0f} MB",
        _MEMORY,
    ),
    Goal(
        "peak memory, 10M rows",
        "500 MB or less",
        lambda it: it <= 500,
        _of_ours("W1", AT, "peak_mb"),
        "{:.0f} MB",
        _MEMORY,
    ),
    Goal(
        "peak memory, 100M rows",
        "500 MB or less",
        lambda it: it <= 500,
        _of_ours("W1", 100_000_000, "peak_mb"),
        "{:.0f} MB",
        _MEMORY,
    ),
    Goal(
        "2 worker processes against 1, wall",
        "1.7x less",
        lambda it: it >= 1.7,
        _ours_over_ours("W1, 2 workers", "wall_s", turned=True),
        limits="each process starts and imports for itself, a third of what 2M rows take",
    ),
    Goal(
        "100% bad rows against 1%",
        "3x or less",
        lambda it: it <= 3,
        _ours_over_ours("W1, 100% bad"),
    ),
    Goal("`--help`", "0.3 s or less", lambda it: it <= 0.3, _of_ours("--help", 1, "cpu_s"), "{:.2f} CPU s"),
    Goal(
        "1,000 rows against a bare Beam pipeline",
        "1.3x or less",
        lambda it: it <= 1.3,
        _small,
        "{:.2f}x",
        "importing Beam is most of both",
    ),
    Goal(
        "scoring row by row against batches, a row more",
        "100x",
        lambda it: it >= 100,
        _scoring,
        "{:.0f}x",
        "of a row in a batch most is read, judged and written; the model itself is a small part",
    ),
    *(
        Goal(
            f"sink of {name}: `{side}`, a row more",
            "5x ours",
            lambda it: it >= 5,
            _sink(store, side),
            limits="most of ours is the server's own time, which both pay",
        )
        for name, store, side in (
            ("PostgreSQL", "postgresql", "beam_jdbc"),
            ("MariaDB", "mariadb", "beam_jdbc"),
            ("a Parquet lake", "lake", "beam_parquet"),
        )
    ),
    *(
        Goal(
            f"sink of {name}: `{side}`, a row more",
            "0.7x ours or more",
            lambda it: it >= 0.7,
            _sink(store, side),
            "{:.2f}x",
            limits,
        )
        for name, store, side, limits in (
            ("PostgreSQL", "postgresql", "adbc_ingest", _STAGED),
            ("MariaDB", "mariadb", "load_data", f"{_STAGED}; LOAD DATA, which isn't used, saves the server parsing"),
            ("a Parquet lake", "lake", "parquet_writer", _JUDGED),
            ("Iceberg", "iceberg", "pyiceberg", _JUDGED),
            ("Delta", "delta", "write_deltalake", _JUDGED),
        )
    ),
)


def table(results: Sequence[Result]) -> list[str]:
    """The goals as lines of Markdown."""
    lookup = Lookup(results)
    lines = ["| against | goal | found | rows | reached | what bounds it |", "| --- | --- | ---: | ---: | --- | --- |"]
    for goal in GOALS:
        value = goal.found(lookup)
        if value is None:
            lines.append(f"| {goal.what} | {goal.bound} | not measured | | | |")
            continue
        number, rows = value
        reached, limits = ("yes", "") if goal.holds(number) else ("**no**", goal.limits)
        told = goal.shown.format(number)
        lines.append(f"| {goal.what} | {goal.bound} | {told} | {rows:,} | {reached} | {limits} |")
    return lines
