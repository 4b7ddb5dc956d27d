"""Results from merged partials: panes of many windows together, since batches of many cost sinks less."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import PaneInfo, WindowedValue

from beam_pipelines.aggregate.collecting import MAX_HELD_GROUPS
from beam_pipelines.aggregate.kernels import Pane, finish, finish_panes, merge_partials
from beam_pipelines.aggregate.keys import start_of
from beam_pipelines.aggregate.plan import AggregationPlan
from beam_pipelines.columnar.batches import split_to_bounds

PaneTuple = tuple[pa.RecordBatch, int, int, int, int]
"""A Pane as Beam types it."""


class ToPane(beam.DoFn):
    """(key, partials) to a Pane, which holds its window as data."""

    def process(
        self,
        element: tuple[bytes, pa.RecordBatch],
        window: IntervalWindow | GlobalWindow = beam.DoFn.WindowParam,
        pane: PaneInfo = beam.DoFn.PaneInfoParam,
    ) -> Iterator[Pane]:
        key, partials = element
        if isinstance(window, IntervalWindow):
            bounds = (window.start.micros, window.end.micros)
        else:
            bounds = (start_of(key), start_of(key))
        yield Pane(partials, *bounds, pane.index, pane.timing)


class FinishPanes(beam.DoFn):
    """Panes to batches of results, many windows together."""

    def __init__(self, plan: AggregationPlan, *, told: bool) -> None:
        self._plan = plan
        self._told = told
        self.start_bundle()

    def start_bundle(self) -> None:
        self._held: list[Pane] = []
        self._held_rows = 0
        self._earliest = MAX_TIMESTAMP

    def process(self, pane: PaneTuple, timestamp: Timestamp = beam.DoFn.TimestampParam) -> Iterator[WindowedValue]:
        self._held.append(Pane(*pane))
        self._held_rows += pane[0].num_rows
        self._earliest = min(self._earliest, timestamp)
        if self._held_rows >= MAX_HELD_GROUPS // 2:
            yield from self.finish_bundle()
            self.start_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._held:
            for batch in split_to_bounds(finish_panes(self._held, self._plan, told=self._told)):
                yield WindowedValue(batch, self._earliest, (GlobalWindow(),))


def finish_sessions(element: tuple[bytes, pa.RecordBatch], plan: AggregationPlan) -> Iterator[pa.RecordBatch]:
    """(shard, all points of its sessions) to batches of results."""
    points = element[1]
    # Also a single element can hold a session in parts, so it goes through the merge with an empty one.
    yield from split_to_bounds(finish(merge_partials([points, points.slice(0, 0)], plan), plan))
