"""AggregateBatches: SQL-style aggregates of batches by event-time window and group, on any runner.

Beam's own WindowInto, trigger and watermark decide when a window is complete; they meet partials, each
stamped with the earliest event time of its rows, never rows. Within a bundle partials are merged before
they are shuffled, one element for each (window, shard).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows

from beam_pipelines import outcome
from beam_pipelines.aggregate.calendar_panes import FireCalendarWindows
from beam_pipelines.aggregate.collecting import CollectPartials, without_salt
from beam_pipelines.aggregate.combine import MergePartials
from beam_pipelines.aggregate.finishing import FinishPanes, PaneTuple, ToPane, finish_sessions
from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.window.firing import Firing, parse_firing
from beam_pipelines.window.into import WindowPartials
from beam_pipelines.window.late_rows import SplitLateRows
from beam_pipelines.window.spec import NO_WINDOW, Window

STAGE = "AggregateBatches"

SHARDS_WITHOUT_WINDOW = 4

MAX_FANOUT = 1_000

_Keyed = tuple[bytes, pa.RecordBatch]


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

    `aggregates` is a comma-separated list of expressions over aggregates: `sum(a) / count(*) as ratio`, each
    with arithmetic, CASE and FILTER (WHERE …) inside. docs/aggregates.md has the functions, and what each keeps;
    first, last and funnel go by `event_time`. Results depend on no order, bundle or runner, to the last bit
    (approx_top_k says by how much it may). Sums of integers and decimals that don't fit are
    ExpressionOverflowError; EvaluationError if a group has too many values to be kept.

    `window` is `none`, or one of `fixed:1h`, `sliding:1h/5m`, `session:30m`, `calendar:day@Europe/Berlin`
    (see `window.spec.Window`), which need `event_time`, a timestamp column without nulls. Sessions are
    those of a group. With sliding windows a row is in several results; `__rows` counts it in one of them,
    the last of its windows to start.

    A group is in one of `shards` shards of its window, the unit of parallel work: by default 1 with
    windows, which are parallel to each other (and cost about 0.2 ms for each window and shard), and 4
    without or for sessions, which are held by shard until all rows are seen. Give more when one window
    has millions of groups.

    `hot_key_fanout` is for bounded input in which few groups have most of the rows and much to keep (exact
    quantiles, top-k, distinct counts): partials of each shard are merged in so many parts first, then the
    parts. Without it, one worker merges all partials of a shard. Results are the same.

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
        hot_key_fanout: int = 1,
        allowed_lateness: str | None = None,
        trigger: str = "after_watermark",
        accumulation: str = "discarding",
    ) -> None:
        # Imported here: it needs the parser, and a worker does not.
        from beam_pipelines.aggregate.planning import plan_aggregation

        super().__init__()
        self._firing = parse_firing(trigger, allowed_lateness, accumulation)
        self._plan = plan_aggregation(schema, aggregates, group_by=group_by, window=window, event_time=event_time)
        windowed = self._plan.window.kind not in ("none", "session")
        self._shards = (1 if windowed else SHARDS_WITHOUT_WINDOW) if shards is None else shards
        if self._shards < 1:
            raise UsageError(f"shards: {shards} is less than 1")
        if not 1 <= hot_key_fanout <= MAX_FANOUT:
            raise UsageError(f"hot_key_fanout: {hot_key_fanout} is not from 1 to {MAX_FANOUT}")
        self._fanout = hot_key_fanout

    @property
    def output_schema(self) -> pa.Schema:
        """Schema of the results as sinks write them."""
        return self._plan.output_schema

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Aggregates:
        bounded = batches.is_bounded
        if self._fanout > 1 and not bounded:
            raise UsageError(
                f"hot_key_fanout: {self._fanout}: a stream's panes would be merged twice, and late ones lost in "
                "between; leave it out for unbounded input, where partials of a bundle are merged anyway"
            )
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
            >> beam.ParDo(
                CollectPartials(plan, self._shards, in_keys=in_keys, counts=counts, stage=STAGE, fanout=self._fanout)
            )
            .with_output_types(tuple[bytes, pa.RecordBatch], **{outcome.LEDGER: LedgerEntry})
            .with_outputs(outcome.LEDGER, main="partials")
        )
        entries = partials[outcome.LEDGER]
        if firing is not None and kind == "calendar":
            fire = beam.ParDo(FireCalendarWindows(plan, firing)).with_output_types(PaneTuple)
            done = beam.ParDo(FinishPanes(plan, told=True)).with_output_types(pa.RecordBatch)
            return partials.partials | "Pane" >> fire | "Finish" >> done, entries
        # Windows in the keys are in the global window; only fixed ones are known to Beam there too.
        windows = NO_WINDOW if in_keys and kind != "fixed" else plan.window
        to_merge = partials.partials
        if self._fanout > 1:
            to_merge = (
                to_merge
                | "WindowParts" >> WindowPartials(windows)
                | "MergeParts" >> beam.CombinePerKey(MergePartials(plan)).with_output_types(_Keyed)
                # Their windows are in their keys; a fixed one is found again by its end.
                | "WithoutSalt" >> beam.Map(without_salt).with_output_types(_Keyed)
            )
        merged = (
            to_merge
            | "Window" >> WindowPartials(windows, firing)
            | "Merge" >> beam.CombinePerKey(MergePartials(plan)).with_output_types(_Keyed)
        )
        if in_keys and kind == "session":
            return merged | "Finish" >> beam.FlatMap(finish_sessions, plan).with_output_types(pa.RecordBatch), entries
        results = (
            merged
            | "Pane" >> beam.ParDo(ToPane()).with_output_types(PaneTuple)
            # A result's window is in its columns: batches of many windows cost sinks less than one for each.
            | "Together" >> beam.WindowInto(GlobalWindows())
            | "Finish" >> beam.ParDo(FinishPanes(plan, told=firing is not None)).with_output_types(pa.RecordBatch)
        )
        return results, entries
