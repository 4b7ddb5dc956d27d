"""Drawings as numbers: points of lines and places of boxes, which the page's template writes as SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import datetime

from beam_pipelines.report.flow import Flow
from beam_pipelines.report.series import Series

WIDTH, HEIGHT = 560.0, 170.0  # of a plot's inner area, in SVG units
_TICKS = 4  # on an axis, about

BOX_WIDTH, BOX_HEIGHT = 210.0, 54.0
_NAME_CHARS, _KIND_CHARS = 24, 30  # that fit into a box
_GAP_X, _GAP_Y = 40.0, 46.0


@dataclasses.dataclass(frozen=True)
class Plot:
    """A line over time: `runs` of points without a gap, the band around it, and labelled ticks (place, text)."""

    name: str
    says: str
    runs: list[str]
    dots: list[tuple[float, float]]
    band: str
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]


def plot(series: Series) -> Plot:
    """Scale one series into WIDTH by HEIGHT, y growing downwards."""
    known = [value for value in (*series.values, *series.low, *series.high) if math.isfinite(value)]
    ticks = _ticks(min(known, default=0.0), max(known, default=1.0))
    first, last = series.times[0], series.times[-1]
    span = (last - first).total_seconds() or 1.0

    def x(time: datetime) -> float:
        return round((time - first).total_seconds() / span * WIDTH, 1)

    def y(value: float) -> float:
        return round(HEIGHT - (value - ticks[0]) / (ticks[-1] - ticks[0]) * HEIGHT, 1)

    lines: list[list[tuple[float, float]]] = [[]]
    for time, value in zip(series.times, series.values, strict=True):
        if math.isfinite(value):
            lines[-1].append((x(time), y(value)))
        elif lines[-1]:
            lines.append([])
    edges = [
        (x(time), y(low), y(high))
        for time, low, high in zip(series.times, series.low, series.high, strict=bool(series.low))
        if math.isfinite(low)
    ]
    return Plot(
        name=series.name,
        says=series.says,
        runs=[_points(line) for line in lines if len(line) > 1],
        dots=[line[0] for line in lines if len(line) == 1],
        band=_points([(place, low) for place, low, _ in edges] + [(place, high) for place, _, high in reversed(edges)]),
        across=_times(first, last),
        up=[(y(tick), short(tick)) for tick in ticks],
    )


def short(number: float) -> str:
    """Write a number in few characters.

    >>> short(1234567), short(0.25), short(12), short(-4500)
    ('1.2M', '0.25', '12', '-4.5k')
    """
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            return f"{number / limit:.1f}".removesuffix(".0") + letter
    return f"{number:.4g}"


def _ticks(least: float, greatest: float) -> list[float]:
    """Round values that span the data."""
    if least == greatest:
        least, greatest = min(least, 0.0), max(greatest, 0.0) or 1.0
    rough = (greatest - least) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    start, end = math.floor(least / step), math.ceil(greatest / step)
    return [round(place * step, 12) for place in range(start, end + 1)]


def _times(first: datetime, last: datetime) -> list[tuple[float, str]]:
    """First, middle and last time, in as much detail as their distance needs."""
    span = (last - first).total_seconds()
    form = "%Y-%m-%d" if span >= 3 * 86_400 else "%m-%d %H:%M" if span >= 3_600 else "%H:%M:%S"
    if span == 0:
        return [(0.0, f"{first:%Y-%m-%d %H:%M}")]
    times = (first, first + (last - first) / 2, last)
    return [(place * WIDTH / 2, f"{time:{form}}") for place, time in enumerate(times)]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


@dataclasses.dataclass(frozen=True)
class Box:
    """A step of the drawing: where its corner is, what it says, and what left here."""

    x: float
    y: float
    name: str
    transform: str
    rows: str
    left: list[str]
    ends: bool


@dataclasses.dataclass(frozen=True)
class Arrow:
    """An edge: its path, its count, and where that stands."""

    path: str
    x: float
    y: float
    rows: str
    refused: bool


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Boxes and arrows, and the size of it all."""

    width: float
    height: float
    boxes: list[Box]
    arrows: list[Arrow]


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def drawing(flow: Flow) -> Drawing:
    """Place the steps of a flow, layers downwards."""

    def corner(column: int, layer: int) -> tuple[float, float]:
        return column * (BOX_WIDTH + _GAP_X), layer * (BOX_HEIGHT + _GAP_Y)

    boxes = [
        Box(
            *corner(node.column, node.layer),
            _cut(node.name, _NAME_CHARS),
            _cut(node.transform, _KIND_CHARS),
            f"{node.came:,}",
            [f"{rows:,} {outcome.replace('_', '-')}" for outcome, rows in node.left.items()],
            node.ends,
        )
        for node in flow.nodes
    ]
    arrows = []
    for edge in flow.edges:
        start_x, start_y = corner(edge.source.column, edge.source.layer)
        end_x, end_y = corner(edge.target.column, edge.target.layer)
        start_x, end_x = start_x + BOX_WIDTH / 2, end_x + BOX_WIDTH / 2
        start_y += BOX_HEIGHT
        bend = end_y - _GAP_Y / 2
        path = f"M{start_x:g} {start_y:g} C{start_x:g} {bend:g} {end_x:g} {bend:g} {end_x:g} {end_y - 3:g}"
        arrows.append(Arrow(path, end_x + 8, end_y - 8, f"{edge.rows:,}", edge.refused))
    return Drawing(
        width=max(1, flow.columns) * (BOX_WIDTH + _GAP_X) - _GAP_X + 70,
        height=max(1, flow.layers) * (BOX_HEIGHT + _GAP_Y) - _GAP_Y,
        boxes=boxes,
        arrows=arrows,
    )
