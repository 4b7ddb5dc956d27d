"""AggregateBatches: SQL-style aggregates of batches by event-time window and group, on any runner.

Beam's own WindowInto, trigger and watermark decide when a window is complete; they meet partials, each
stamped with the earliest event time of its rows, never rows. Within a bundle partials are merged before
they are shuffled, one element for each (window, shard).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow, GlobalWindows, IntervalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import PaneInfo, WindowedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.aggregate.calendar_panes import FireCalendarWindows
from beam_pipelines.aggregate.kernels import Pane, finish, finish_panes, merge_partials, partial_aggregate
from beam_pipelines.aggregate.keys import by_time, by_window, start_of
from beam_pipelines.aggregate.plan import AggregationPlan, plan_aggregation
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS, concat, split_to_bounds
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.window.firing import Firing, parse_firing
from beam_pipelines.window.into import WindowPartials
from beam_pipelines.window.late_rows import SplitLateRows
from beam_pipelines.window.spec import NO_WINDOW, Window

STAGE = "AggregateBatches"

MAX_HELD_GROUPS = 8 * MAX_BATCH_ROWS
"""Rows of partials held while a bundle goes on: about 10 MB, more with distinct counts."""

MAX_HELD_BYTES = 32 << 20
"""Bytes of merged partials held while a bundle goes on; distinct values make few groups large."""

MIN_MERGED_BYTES = 8 << 20
"""Bytes of partials that are worth merging; and as many as are merged already."""

MIN_MERGED_ROWS = 2_048
"""Fewer are joined, which takes 10 µs, not merged."""

SHARDS_WITHOUT_WINDOW = 4


_PaneTuple = tuple[pa.RecordBatch, int, int, int, int]


class Aggregates(NamedTuple):
    """What comes of an aggregation.

    `panes`: batches of results with `__rows`, in the global window. `late`: batches of rows, unchanged,
    whose window had closed when they came; none of bounded input. `ledger`: its entries.
    """

    panes: beam.PCollection[pa.RecordBatch]
    late: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]


class AggregateBatches(beam.PTransform):
    """Aggregate batches by event-time window and group.

    In: batches of `schema` (more columns may ride along). Out: `Aggregates`; panes hold `window_start`,
    `window_end` (exclusive; both null for window none), the group columns, the aggregates by their
    names, and `__rows`, the number of rows that are counted in each. `output_schema` is theirs without
    `__rows`. A window without rows has no result. Rows that reach the aggregation are in the ledger,
    once each, as AGGREGATED of the output AGGREGATES.

    `aggregates` is a comma-separated list: count(*), count(x), count(distinct x), sum, avg, min, max with
    arithmetic, CASE and FILTER (WHERE …) inside, and expressions over them: `sum(a) / count(*) as ratio`.
    Sums of integers and decimals are exact or fail with ExpressionOverflowError; sums of floats are exact
    and rounded once, so that no order of merging shows.

    `window` is `none`, or one of `fixed:1h`, `sliding:1h/5m`, `session:30m`, `calendar:day@Europe/Berlin`
    (see `window.spec.Window`), which need `event_time`, a timestamp column without nulls. Sessions are
    those of a group. With sliding windows a row is in several results; `__rows` counts it in one of them,
    the last of its windows to start.

    A group is in one of `shards` shards of its window, the unit of parallel work: by default 1 with
    windows, which are parallel to each other (and cost about 0.2 ms for each window and shard), and 4
    without or for sessions, which are held by shard until all rows are seen. Give more when one window
    has millions of groups. Exact distinct counts keep all distinct values of a group.

    Unbounded input has panes: `trigger` is `after_watermark`, or with firings before and after it,
    `after_watermark(early=30s, late=100)`, of a processing time or a number of partials (see
    `window.firing`); panes are `discarding` or `accumulating`. Panes then have `__pane_index` and
    `__pane_timing` (early, on_time, late) too, and `__rows` of accumulating panes counts all rows so far.
    Rows whose window closed `allowed_lateness` ago are the output `late`, and LATE in the ledger. Bounded
    input has one pane for each window, no late rows, and none of these arguments has a meaning for it.

    ExpressionError and UsageError are raised where the pipeline is built.

    >>> sales = pa.schema([("country", pa.string()), ("price", pa.int64()), ("at", pa.timestamp("us", "UTC"))])
    >>> hourly = AggregateBatches(
    ...     sales, "sum(price) as revenue", group_by=["country"], window="fixed:1h", event_time="at")
    >>> hourly.output_schema.names
    ['window_start', 'window_end', 'country', 'revenue']
    """

    def __init__(
        self,
        schema: pa.Schema,
        aggregates: str,
        *,
        group_by: Sequence[str] = (),
        window: Window | str = NO_WINDOW,
        event_time: str | None = None,
        shards: int | None = None,
        allowed_lateness: str | None = None,
        trigger: str = "after_watermark",
        accumulation: str = "discarding",
    ) -> None:
        super().__init__()
        self._firing = parse_firing(trigger, allowed_lateness, accumulation)
        self._plan = plan_aggregation(schema, aggregates, group_by=group_by, window=window, event_time=event_time)
        windowed = self._plan.window.kind not in ("none", "session")
        self._shards = (1 if windowed else SHARDS_WITHOUT_WINDOW) if shards is None else shards
        if self._shards < 1:
            raise UsageError(f"shards: {shards} is less than 1")

    @property
    def output_schema(self) -> pa.Schema:
        """Schema of the results as sinks write them."""
        return self._plan.output_schema

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Aggregates:
        bounded = batches.is_bounded
        if bounded or self._plan.window.kind == "none":
            late = batches.pipeline | "NoLateRows" >> beam.Create([], reshuffle=False).with_output_types(pa.RecordBatch)
            panes, entries = self._aggregate(batches, None if bounded else self._firing, counts=True)
            return Aggregates(panes, late, entries)
        if self._plan.window.kind == "calendar" and (self._firing.early or self._firing.late):
            raise UsageError(
                f"trigger '{self._firing}': calendar windows of a stream fire after the watermark, and for late "
                "rows as they come; write after_watermark"
            )
        assert self._plan.event_time is not None
        split = batches | SplitLateRows(
            self._plan.window, self._plan.event_time.name, self._firing.lateness_micros, self._shards, stage=STAGE
        )
        panes, entries = self._aggregate(split.on_time, self._firing, counts=False)
        return Aggregates(panes, split.late, (entries, split.ledger) | "Ledger" >> beam.Flatten())

    def _aggregate(
        self, batches: beam.PCollection[pa.RecordBatch], firing: Firing | None, *, counts: bool
    ) -> tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[LedgerEntry]]:
        """Panes and ledger; without a firing each window has one pane. `counts`: whether nothing before did."""
        plan, kind = self._plan, self._plan.window.kind
        in_keys = firing is None or kind == "calendar"
        partials = (
            batches
            # Held partials are emitted at the end of a bundle, whatever windows their rows came in.
            | "WithoutWindows" >> beam.WindowInto(GlobalWindows())
            | "Partials"
            >> beam.ParDo(_Partials(plan, self._shards, in_keys=in_keys, counts=counts))
            .with_output_types(tuple[bytes, pa.RecordBatch], **{outcome.LEDGER: LedgerEntry})
            .with_outputs(outcome.LEDGER, main="partials")
        )
        entries = partials[outcome.LEDGER]
        if firing is not None and kind == "calendar":
            panes = partials.partials | "Pane" >> beam.ParDo(FireCalendarWindows(plan, firing)).with_output_types(
                _PaneTuple
            )
            return panes | "Finish" >> beam.ParDo(_Finish(plan, told=True)).with_output_types(pa.RecordBatch), entries
        # Windows in the keys are in the global window; only fixed ones are known to Beam there too.
        windows = NO_WINDOW if in_keys and kind != "fixed" else plan.window
        merged = (
            partials.partials
            | "Window" >> WindowPartials(windows, firing)
            | "Merge" >> beam.CombinePerKey(MergePartials(plan)).with_output_types(tuple[bytes, pa.RecordBatch])
        )
        if in_keys and kind == "session":
            return merged | "Finish" >> beam.FlatMap(_finish_sessions, plan).with_output_types(pa.RecordBatch), entries
        results = (
            merged
            | "Pane" >> beam.ParDo(_ToPane()).with_output_types(_PaneTuple)
            # A result's window is in its columns: batches of many windows cost sinks less than one for each.
            | "Together" >> beam.WindowInto(GlobalWindows())
            | "Finish" >> beam.ParDo(_Finish(plan, told=firing is not None)).with_output_types(pa.RecordBatch)
        )
        return results, entries


class MergePartials(beam.CombineFn):
    """Combine partials of one aggregation (`kernels.partial_aggregate`) into one.

    The accumulator is a list of partials, merged when as many groups have come as are merged already.
    A merge costs 0.2 ms however small, so few rows are only joined, and a group may come out more than
    once: `kernels.merge_partials` does the rest, for many windows at once.
    """

    def __init__(self, plan: AggregationPlan) -> None:
        self._plan = plan

    def create_accumulator(self) -> list[pa.RecordBatch]:
        return []

    def add_input(self, accumulator: list[pa.RecordBatch], partial: pa.RecordBatch) -> list[pa.RecordBatch]:
        accumulator.append(partial)
        return self._bounded(accumulator)

    def merge_accumulators(self, accumulators: Iterable[list[pa.RecordBatch]]) -> list[pa.RecordBatch]:
        merged: list[pa.RecordBatch] = []
        for accumulator in accumulators:
            merged = self._bounded([*merged, *accumulator])
        return merged

    def compact(self, accumulator: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        if len(accumulator) < 2:
            return accumulator
        if sum(partial.num_rows for partial in accumulator) < MIN_MERGED_ROWS:
            return [concat(accumulator)]
        return [merge_partials(accumulator, self._plan)]

    def extract_output(self, accumulator: list[pa.RecordBatch]) -> pa.RecordBatch:
        return concat(accumulator) if accumulator else merge_partials([], self._plan)

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return beam.coders.ListCoder(RecordBatchCoder())

    def _bounded(self, accumulator: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        waiting = sum(partial.num_rows for partial in accumulator[1:])
        return self.compact(accumulator) if waiting > max(MAX_BATCH_ROWS, accumulator[0].num_rows) else accumulator


class _Partials(beam.DoFn):
    """Batches to (key, partial), merged over the bundle; one element for each window and shard."""

    def __init__(self, plan: AggregationPlan, shards: int, *, in_keys: bool, counts: bool) -> None:
        self._plan = plan
        self._shards = shards
        self._cut = by_window if in_keys else by_time
        self._counts = counts
        self.start_bundle()

    def start_bundle(self) -> None:
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._merged_bytes = 0
        self._earliest = MAX_TIMESTAMP

    def process(
        self, batch: pa.RecordBatch, timestamp: Timestamp = beam.DoFn.TimestampParam
    ) -> Iterator[WindowedValue | beam.pvalue.TaggedOutput]:
        if self._counts:
            yield outcome.note(STAGE, ledger.AGGREGATED, batch.num_rows, output=ledger.AGGREGATES)
        if not batch.num_rows:
            return
        partial = partial_aggregate(batch, self._plan)
        self._earliest = min(self._earliest, timestamp)
        self._held.append(partial)
        self._held_rows += partial.num_rows
        self._held_bytes += partial.nbytes
        if self._held_rows > MAX_HELD_GROUPS or self._held_bytes > max(MIN_MERGED_BYTES, 2 * self._merged_bytes):
            merged = merge_partials(self._held, self._plan)
            self._held, self._held_rows = [merged], merged.num_rows
            self._held_bytes = self._merged_bytes = merged.nbytes
            if merged.num_rows > MAX_HELD_GROUPS // 2 or merged.nbytes > MAX_HELD_BYTES:
                yield from self.finish_bundle()
                self.start_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if not self._held:
            return
        merged = merge_partials(self._held, self._plan)
        for key, micros, piece in self._cut(merged, self._plan, self._shards):
            time = self._earliest if micros is None else Timestamp(micros=micros)
            yield WindowedValue((key, piece), time, (GlobalWindow(),))


class _ToPane(beam.DoFn):
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


class _Finish(beam.DoFn):
    """Panes to batches of results, many windows together."""

    def __init__(self, plan: AggregationPlan, *, told: bool) -> None:
        self._plan = plan
        self._told = told
        self.start_bundle()

    def start_bundle(self) -> None:
        self._held: list[Pane] = []
        self._held_rows = 0
        self._earliest = MAX_TIMESTAMP

    def process(self, pane: _PaneTuple, timestamp: Timestamp = beam.DoFn.TimestampParam) -> Iterator[WindowedValue]:
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


def _finish_sessions(element: tuple[bytes, pa.RecordBatch], plan: AggregationPlan) -> Iterator[pa.RecordBatch]:
    """(shard, all points of its sessions) to batches of results."""
    points = element[1]
    # Also a single element can hold a session in parts, so it goes through the merge with an empty one.
    yield from split_to_bounds(finish(merge_partials([points, points.slice(0, 0)], plan), plan))
