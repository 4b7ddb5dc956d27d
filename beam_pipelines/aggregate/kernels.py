"""Aggregation of batches, without Beam: partials of a batch, merged, finished. All three are columnar.

A partial is a batch with one row for each (window, group) that holds what is needed to go on: counts,
exact sums, extremes, distinct values. Merging is associative and commutative to the last bit, floats
included (`exact_sum`), so results depend on no order and no runner.

Bytes of a group in a partial: 33 and its key, and for each count 8, min or max its value, sum of
integers or decimals 16, sum of floats about 40, count(distinct) all distinct values (4 and the value).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import exact_sum
from beam_pipelines.aggregate.plan import (
    MAX_TIME,
    MIN_TIME,
    ROWS,
    WINDOW_END,
    WINDOW_START,
    AggregationPlan,
    Call,
    plan_aggregation,
)
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS, concat
from beam_pipelines.columnar.expressions import EvaluationError, ExpressionOverflowError
from beam_pipelines.columnar.expressions.casts import decimal_to_float
from beam_pipelines.columnar.expressions.node import spread
from beam_pipelines.columnar.expressions.types import INTEGER, MAX_DIGITS, TIMESTAMP
from beam_pipelines.window.assign import window_ends, window_starts
from beam_pipelines.window.spec import NO_WINDOW, Window

_PLACE = "__place"

_Column = tuple[str, pa.Array]


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
    columns: list[_Column] = [(ROWS, times), (MIN_TIME, times), (MAX_TIME, times)]
    columns += [(name, spread(state.argument.evaluate(batch), rows)) for name, state in plan.states.items()]
    return _group(keys, columns, plan, _PARTIAL)


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
    return _group(keys, columns, plan, _MERGE)


def finish(partials: pa.RecordBatch, plan: AggregationPlan) -> pa.RecordBatch:
    """Compute the results from merged partials: a batch of `plan.pane_schema`.

    ExpressionOverflowError when a sum of integers doesn't fit int64, or an output can't be computed.
    """
    values = {call.sql: _value(call, partials, plan) for call in plan.calls}
    finished = pa.RecordBatch.from_arrays(list(values.values()), names=list(values))
    starts = partials.column(WINDOW_START)
    columns = {
        WINDOW_START: starts,
        WINDOW_END: window_ends(starts, plan.window),
        **{key.name: partials.column(key.name) for key in plan.keys},
        **{output.name: output.expression.evaluate(finished) for output in plan.outputs},
        ROWS: partials.column(ROWS),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in plan.pane_schema.names], schema=plan.pane_schema)


def _value(call: Call, partials: pa.RecordBatch, plan: AggregationPlan) -> pa.Array:
    kept = [partials.column(plan.column_of(state)) for state in call.states]
    if call.function == "rows":
        return partials.column(ROWS)
    if call.function == "distinct":
        return pc.list_value_length(kept[0]).cast(INTEGER)
    if call.function == "sum":
        if call.states[0].kind == "float_sum":
            return exact_sum.to_floats(kept[0])
        try:
            return kept[0].cast(call.type)
        except pa.ArrowInvalid:
            raise ExpressionOverflowError(
                f"{call.sql}: a sum is beyond int64; sum DECIMALs instead: sum(CAST(… AS DECIMAL(19, 0)))"
            ) from None
    if call.function == "avg":
        total, count = kept
        sums = exact_sum.to_floats(total) if call.states[0].kind == "float_sum" else decimal_to_float(total)
        return pc.divide(sums, count.cast(sums.type))
    return kept[0]


_PARTIAL = {"rows": "count", "count": "count", "sum": "sum", "min": "min", "max": "max", "distinct": "distinct"}
"""Arrow's hash aggregation for each kind of state; of floats there is none that is exact."""

_MERGE = {"rows": "sum", "count": "sum", "sum": "sum", "min": "min", "max": "max"}


def _group(
    keys: Sequence[pa.Array], columns: Sequence[_Column], plan: AggregationPlan, functions: Mapping[str, str]
) -> pa.RecordBatch:
    """Aggregate columns (ROWS, MIN_TIME, MAX_TIME and states) by the keys."""
    names = [f"k{place}" for place in range(len(keys))]
    kinds = {ROWS: "rows", MIN_TIME: "min", MAX_TIME: "max", **{name: kind.kind for name, kind in plan.states.items()}}
    wanted: list[tuple[str, str, pc.FunctionOptions | None]] = []
    table = dict(zip(names, keys, strict=True))
    numbered = False
    for name, values in columns:
        kind = kinds[name]
        numbered |= kind not in functions
        if kind in functions:
            table[name] = _widened(values) if functions[kind] == "sum" else values
            options = None
            if functions[kind] in ("count", "distinct"):
                options = pc.CountOptions(mode="all" if kind == "rows" else "only_valid")
            wanted.append((name, functions[kind], options))
    if numbered:
        table[_PLACE] = pa.array(np.arange(len(keys[0])))
        wanted.append((_PLACE, "list", None))
    grouped = pa.TableGroupBy(pa.table(table), names, use_threads=False).aggregate(wanted)
    groups = _group_numbers(grouped.column(f"{_PLACE}_list")) if numbered else np.empty(0, np.int64)

    def result(name: str, values: pa.Array) -> pa.Array:
        kind = kinds[name]
        if kind in functions:
            return _narrowed(_one(grouped.column(f"{name}_{functions[kind]}")), name, plan)
        if kind == "distinct":
            return _merge_distinct(values, groups, grouped.num_rows)
        combine = exact_sum.merge_groups if functions is _MERGE else exact_sum.sum_groups
        return combine(values, groups, grouped.num_rows)

    found = {name: result(name, values) for name, values in columns}
    arrays = [_one(grouped.column(name)) for name in names]
    arrays += [found[name] for name in plan.partial_schema.names[len(names) :]]
    return pa.RecordBatch.from_arrays(arrays, schema=plan.partial_schema)


def _widened(values: pa.Array) -> pa.Array:
    """Decimals that could overflow 128 bits when added up, which Arrow lets wrap, as decimal256."""
    if not pa.types.is_decimal128(values.type) or len(values) < 10 ** (MAX_DIGITS - values.type.precision):
        return values
    extremes = pc.min_max(values)
    largest = max((abs(float(part.as_py())) for part in extremes.values() if part.is_valid), default=0.0)
    if largest * len(values) < 9.9 * 10.0 ** (MAX_DIGITS - 1 - values.type.scale):
        return values
    return values.cast(pa.decimal256(values.type.precision, values.type.scale))


def _narrowed(values: pa.Array, name: str, plan: AggregationPlan) -> pa.Array:
    if not pa.types.is_decimal256(values.type):
        return values
    state = plan.states[name]
    try:
        return values.cast(state.type)
    except pa.ArrowInvalid:
        raise ExpressionOverflowError(f"sum({state.sql}): a sum has more than {MAX_DIGITS} digits") from None


def _group_numbers(places: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The number of each row's group, from the lists of the rows of each group."""
    lists = _one(places)
    rows = lists.flatten().to_numpy()
    groups = np.empty(len(rows), np.int64)
    groups[rows] = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy())
    return groups


def _merge_distinct(lists: pa.Array, groups: npt.NDArray[np.int64], count: int) -> pa.Array:
    """Unite lists of distinct values by group number."""
    owners = np.repeat(groups, pc.list_value_length(lists).to_numpy())
    table = pa.table({"group": owners, "value": lists.flatten()})
    united = pa.TableGroupBy(table, "group", use_threads=False).aggregate([("value", "distinct")]).sort_by("group")
    values = _one(united.column("value_distinct"))
    lengths = np.zeros(count, np.int32)
    lengths[united.column("group").to_numpy()] = pc.list_value_length(values).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.flatten(), type=lists.type)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The single array of a column."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
