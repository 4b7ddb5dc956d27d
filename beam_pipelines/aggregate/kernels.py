"""Aggregation of batches, without Beam: partials of a batch, merged, finished. All three are columnar.

A partial is a batch with one row for each (window, group) that holds what is needed to go on: counts,
exact sums, extremes, distinct values. Merging is associative and commutative to the last bit, floats
included (`exact_sum`), so results depend on no order and no runner.

Bytes of a group in a partial: 33 and its key, and what docs/aggregates.md says of each function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate.grouping import COUNTED, Columns, group_columns, group_in_windows
from beam_pipelines.aggregate.plan import (
    MAX_TIME,
    MIN_TIME,
    ROWS,
    WINDOW_START,
    AggregationPlan,
)
from beam_pipelines.aggregate.values import value_of
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS, concat
from beam_pipelines.columnar.expressions import EvaluationError
from beam_pipelines.columnar.expressions.node import spread
from beam_pipelines.columnar.expressions.types import TIMESTAMP
from beam_pipelines.window.assign import to_micros, to_times, window_ends, window_starts
from beam_pipelines.window.sessions import STEP
from beam_pipelines.window.sliding import counts_in, window_starts_of
from beam_pipelines.window.spec import NO_WINDOW, Window

Integers = npt.NDArray[np.int64]

PANE_INDEX = "__pane_index"
PANE_TIMING = "__pane_timing"
TIMINGS = ("early", "on_time", "late", "unknown")
"""Beam's PaneInfoTiming in words."""


class Pane(NamedTuple):
    """What fires together: merged partials of one window, of a session those of one group.

    `start` and `end` are the window's, in microseconds since the epoch; only sessions need the end, and
    windows of kind none neither. `number` and `timing` (a place in TIMINGS) are those of Beam's PaneInfo.
    """

    partials: pa.RecordBatch
    start: int
    end: int
    number: int = 0
    timing: int = 3


def aggregate(
    data: pa.Table | pa.RecordBatch,
    aggregates: str,
    *,
    group_by: Sequence[str] = (),
    window: Window | str = NO_WINDOW,
    event_time: str | None = None,
) -> pa.RecordBatch:
    """Aggregate a table: what AggregateBatches does to a PCollection of batches.

    No rows in, no rows out, also without groups.

    >>> sales = pa.table({"country": ["DE", "FR", "DE"], "price": [1, 2, 3]})
    >>> aggregate(sales, "count(*) as n, sum(price) as total", group_by=["country"]).drop_columns(
    ...     ["window_start", "window_end", "__rows"]).to_pydict()
    {'country': ['DE', 'FR'], 'n': [2, 1], 'total': [4, 2]}
    """
    # Imported here: it needs the parser, and a worker that merges partials does not.
    from beam_pipelines.aggregate.planning import plan_aggregation

    plan = plan_aggregation(data.schema, aggregates, group_by=group_by, window=window, event_time=event_time)
    table = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    partials = [partial_aggregate(batch, plan) for batch in table.to_batches(max_chunksize=MAX_BATCH_ROWS)]
    return finish(merge_partials(partials, plan), plan)


def partial_aggregate(batch: pa.RecordBatch, plan: AggregationPlan) -> pa.RecordBatch:
    """Partials of a batch's rows, one row for each (window, group), as `plan.partial_schema`.

    EvaluationError when an event time is null although there are windows, or an argument can't be computed.
    """
    rows = batch.num_rows
    times = pa.nulls(rows, TIMESTAMP) if plan.event_time is None else plan.event_time.evaluate(batch)
    if plan.window.kind != "none" and times.null_count and plan.event_time is not None:
        raise EvaluationError(
            f"event time '{plan.event_time.name}' is null in {times.null_count} of {rows} rows: make the field "
            "required, so that such rows are dead letters"
        )
    keys = [window_starts(times, plan.window), *(key.evaluate(batch) for key in plan.keys)]
    columns: Columns = [
        *((name, times) for name in (ROWS, MIN_TIME, MAX_TIME)),
        *((name, spread(state.argument.evaluate(batch), rows)) for name, state in plan.states.items()),
    ]
    return group_in_windows(keys, columns, plan, "of_rows")


def nothing(plan: AggregationPlan) -> pa.RecordBatch:
    """The partial of no rows of a plan without groups: merged into others it changes nothing."""
    empty: dict[str, Any] = {ROWS: 0}
    for name, state in plan.states.items():
        empty[name] = 0 if state.kind == "count" else [] if state.kind in ("distinct", "tally", "steps") else None
    return pa.RecordBatch.from_pylist([empty], plan.partial_schema)


def merge_partials(partials: Iterable[pa.RecordBatch], plan: AggregationPlan) -> pa.RecordBatch:
    """Merge partials into one, with one row for each (window, group). ValueError for another plan's partials."""
    batches = list(partials)
    for batch in batches:
        if not batch.schema.equals(plan.partial_schema, check_metadata=True):
            raise ValueError(
                f"partials of another aggregation, or of another release: {batch.schema.names} of version "
                f"{batch.schema.metadata}, expected {plan.partial_schema.names}"
            )
    if len(batches) == 1:
        return batches[0]
    joined = concat(batches) if batches else pa.RecordBatch.from_pylist([], plan.partial_schema)
    keys = [joined.column(name) for name in plan.key_types]
    columns = [(name, joined.column(name)) for name in (ROWS, MIN_TIME, MAX_TIME, *plan.states)]
    return group_in_windows(keys, columns, plan, "of_states")


def finish(partials: pa.RecordBatch, plan: AggregationPlan) -> pa.RecordBatch:
    """Compute the results from merged partials of whole windows: a batch of `plan.pane_schema`.

    ExpressionOverflowError when a sum of integers doesn't fit int64, or an output can't be computed.
    """
    places = to_micros(partials.column(WINDOW_START))
    if plan.window.kind == "sliding":
        copies, starts = window_starts_of(places, plan.window.size_micros, plan.window.period_micros)
        windows, owners = np.unique(starts, return_inverse=True)
        return _results(partials.take(pa.array(copies)), owners, windows, windows, plan)[0]
    if plan.window.kind == "session":
        # Links hold nothing, and each session is a window of its own.
        partials = partials.filter(pc.greater(partials.column(ROWS), 0))
        starts = to_micros(partials.column(WINDOW_START))
        return _results(partials, np.arange(len(starts)), starts, session_ends(partials, plan), plan)[0]
    windows, owners = np.unique(places, return_inverse=True)
    return _results(partials, owners, windows, windows, plan)[0]


def finish_panes(panes: Sequence[Pane], plan: AggregationPlan, *, told: bool = False) -> pa.RecordBatch:
    """Compute the results of panes, each for itself: a batch of `plan.pane_schema`. Errors as in `finish`.

    If `told`, with the columns PANE_INDEX and PANE_TIMING.
    """
    partials = concat(pane.partials for pane in panes)
    owners = np.repeat(np.arange(len(panes)), [pane.partials.num_rows for pane in panes])
    if plan.window.kind == "session":
        kept = pc.greater(partials.column(ROWS), 0)
        partials, owners = partials.filter(kept), owners[kept.to_numpy(zero_copy_only=False)]
    starts, ends = (np.array([pane[place] for pane in panes], np.int64) for place in (1, 2))
    batch, owners = _results(partials, owners, starts, ends, plan)
    if not told:
        return batch
    indexes = np.array([pane.number for pane in panes], np.int64)[owners]
    timings = np.array([pane.timing for pane in panes], np.int64)[owners]
    return batch.append_column(PANE_INDEX, pa.array(indexes)).append_column(
        PANE_TIMING, pa.array(TIMINGS, pa.string()).take(pa.array(timings))
    )


def _results(
    partials: pa.RecordBatch, owners: Integers, starts: Integers, ends: Integers, plan: AggregationPlan
) -> tuple[pa.RecordBatch, Integers]:
    """Merge partials by window and group and compute the outputs; `owners` are places in `starts` and `ends`.

    With the owner of each result.
    """
    counted = partials.column(ROWS)
    if plan.window.kind == "sliding":
        here = counts_in(to_micros(partials.column(WINDOW_START)), starts[owners], plan.window.period_micros)
        counted = pc.if_else(pa.array(here), counted, 0)
    columns = [(name, partials.column(name)) for name in (ROWS, MIN_TIME, MAX_TIME, *plan.states)]
    keys = [pa.array(owners), *(partials.column(key.name) for key in plan.keys)]
    keys, merged = group_columns(keys, [*columns, (COUNTED, counted)], plan, "of_states")
    values = {
        call.sql: value_of(call, [merged[plan.column_of(state)] for state in call.states], merged[ROWS])
        for call in plan.calls
    }
    finished = pa.RecordBatch.from_arrays(list(values.values()), names=list(values))
    arrays = [
        *_bounds(keys[0].to_numpy(), starts, ends, plan),
        *keys[1:],
        *(output.expression.evaluate(finished) for output in plan.outputs),
        merged[COUNTED],
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=plan.pane_schema), keys[0].to_numpy()


def _bounds(owners: Integers, starts: Integers, ends: Integers, plan: AggregationPlan) -> list[pa.Array]:
    """window_start and window_end of each result."""
    if plan.window.kind == "none":
        return [pa.nulls(len(owners), TIMESTAMP)] * 2
    firsts = to_times(starts[owners])
    return [firsts, to_times(ends[owners]) if plan.window.kind == "session" else window_ends(firsts, plan.window)]


def session_ends(partials: pa.RecordBatch, plan: AggregationPlan) -> Integers:
    """End of each session, from partials that hold all of it: one gap after the last row."""
    last = to_micros(partials.column(MAX_TIME))
    return last - np.mod(last, STEP) + plan.window.size_micros
