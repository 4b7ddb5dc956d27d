"""Aggregates as series over event time: what the plots show."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.report.facts import Run

MOST_ROWS = 2_000_000
MOST_POINTS = 400
"""Points on a line: more than that and neighbours share a pixel, so windows are joined."""
MOST_PLOTS = 8

_START = "window_start"


@dataclasses.dataclass(frozen=True)
class Series:
    """One aggregate over time: for each point the total of the groups, or their median and the middle 80%."""

    name: str
    says: str
    times: list[datetime]
    values: list[float]
    low: list[float]
    high: list[float]


def series_of(run: Run, additive: frozenset[str]) -> list[Series]:
    """The numeric aggregates of a run with windows, in their order; empty when there are none.

    The values of an `additive` aggregate (a count or a sum) are summed over groups.
    """
    schema = next((file.schema_arrow for file in run.parquet("aggregates")), None)
    if schema is None or _START not in schema.names:
        return []
    numeric = [field.name for field in schema if _is_number(field.type) and not field.name.startswith("__")]
    table = run.table("aggregates", [_START, *numeric[:MOST_PLOTS]], MOST_ROWS)
    starts = table.column(_START)
    table = table.filter(pc.is_valid(starts))
    if table.num_rows == 0:
        return []
    micros = table.column(_START).cast(pa.int64()).to_numpy()
    points, place = np.unique(micros, return_inverse=True)
    if len(points) > MOST_POINTS:
        edges = np.linspace(points[0], points[-1], MOST_POINTS, endpoint=False).astype(np.int64)
        place = np.searchsorted(edges, micros, side="right") - 1
        used, place = np.unique(place, return_inverse=True)
        points = edges[used]
    times = [datetime.fromtimestamp(int(point) / 1e6, timezone.utc) for point in points]
    return [
        _series(name, times, place, table.column(name), additive=name in additive) for name in table.column_names[1:]
    ]


def _series(name: str, times: list[datetime], place: np.ndarray, column: pa.ChunkedArray, *, additive: bool) -> Series:
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if additive:
        totals = np.bincount(place, weights=np.nan_to_num(values), minlength=len(times))
        return Series(name, "total of all groups", times, totals.tolist(), [], [])
    low, middle, high = (np.full(len(times), np.nan) for _ in range(3))
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(times) + 1))
    for point in range(len(times)):
        of_point = values[order[starts[point] : starts[point + 1]]]
        known = of_point[np.isfinite(of_point)]
        if known.size:
            low[point], middle[point], high[point] = np.quantile(known, (0.1, 0.5, 0.9))
    return Series(name, "median of the groups, and their middle 80%", times, *map(_list, (middle, low, high)))


def _list(values: np.ndarray) -> list[float]:
    return [float(value) for value in values]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
