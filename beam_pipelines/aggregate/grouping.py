"""Columns aggregated by keys: Arrow's hash aggregation, and the kernels of what it lacks; sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate.plan import MAX_TIME, MIN_TIME, ROWS, AggregationPlan
from beam_pipelines.aggregate.states import KEPT, Keeping, Kernel
from beam_pipelines.columnar.batches import concat
from beam_pipelines.columnar.expressions import EvaluationError, ExpressionOverflowError
from beam_pipelines.columnar.expressions.types import INTEGER, MAX_DIGITS
from beam_pipelines.window.assign import to_micros, to_times
from beam_pipelines.window.sessions import find_sessions

COUNTED = "__counted"
"""One more column of row counts that can be added up beside those of a partial."""

_PLACE = "__place"

Columns = Sequence[tuple[str, pa.Array]]
"""ROWS, MIN_TIME, MAX_TIME and the states of a plan, by name."""

Step = Literal["of_rows", "of_states"]
"""Whether values of rows are aggregated, or states merged."""

_BOOKKEEPING = {
    ROWS: Keeping("count", "sum"),
    COUNTED: Keeping("count", "sum"),
    MIN_TIME: Keeping("min", "min"),
    MAX_TIME: Keeping("max", "max"),
}


def group_in_windows(keys: Sequence[pa.Array], columns: Columns, plan: AggregationPlan, step: Step) -> pa.RecordBatch:
    """Aggregate columns by window_start and groups into a partial. Sessions are found first, and linked.

    A link is a row of a group without rows or values, whose window_start is a time in its session.
    """
    links = None
    if plan.window.kind == "session":
        starts, chain = find_sessions(_numbers(keys[1:], len(keys[0])), to_micros(keys[0]), plan.window.size_micros)
        links = pa.array(chain)
        linked = [keys[0].take(links), *(key.take(links) for key in keys[1:])]
        keys = [to_times(starts), *keys[1:]]
    found_keys, found = group_columns(keys, columns, plan, step)
    arrays = [*found_keys, *(found[name] for name in plan.partial_schema.names[len(keys) :])]
    partial = pa.RecordBatch.from_arrays(arrays, schema=plan.partial_schema)
    if links is None or not len(links):
        return partial
    fields = list(plan.partial_schema)[len(keys) :]
    nothing = [pa.nulls(len(links), field.type) for field in fields]
    nothing[0] = pa.repeat(pa.scalar(0, INTEGER), len(links))
    return concat([partial, pa.RecordBatch.from_arrays([*linked, *nothing], schema=plan.partial_schema)])


def _numbers(keys: Sequence[pa.Array], rows: int) -> npt.NDArray[np.int64]:
    """The number of each row's group."""
    if not keys:
        return np.zeros(rows, np.int64)
    names = [f"k{place}" for place in range(len(keys))]
    table = pa.table({**dict(zip(names, keys, strict=True)), _PLACE: np.arange(rows)})
    grouped = pa.TableGroupBy(table, names, use_threads=False).aggregate([(_PLACE, "list")])
    return _group_numbers(grouped.column(f"{_PLACE}_list"))


def group_columns(
    keys: Sequence[pa.Array], columns: Columns, plan: AggregationPlan, step: Step
) -> tuple[list[pa.Array], dict[str, pa.Array]]:
    """Aggregate columns (ROWS, MIN_TIME, MAX_TIME, states) by the keys: those of each group, its columns."""
    names = [f"k{place}" for place in range(len(keys))]
    table = dict(zip(names, keys, strict=True))
    wanted: list[tuple[str, str, pc.FunctionOptions | None]] = []
    kernels: dict[str, Kernel] = {}
    for name, values in columns:
        keeping = _BOOKKEEPING[name] if name in _BOOKKEEPING else KEPT[plan.states[name].kind]
        function = getattr(keeping, step)
        if not isinstance(function, str):
            kernels[name] = function
            continue
        table[name] = _widened(values) if function == "sum" else values
        options = None
        if function in ("count", "distinct"):
            options = pc.CountOptions(mode="all" if name in _BOOKKEEPING else "only_valid")
        wanted.append((name, function, options))
    if kernels:
        table[_PLACE] = pa.array(np.arange(len(keys[0])))
        wanted.append((_PLACE, "list", None))
    grouped = pa.TableGroupBy(pa.table(table), names, use_threads=False).aggregate(wanted)
    found = {
        name: _narrowed(_one(grouped.column(f"{name}_{function}")), name, plan)
        for name, function, _ in wanted
        if name != _PLACE
    }
    if kernels:
        groups = _group_numbers(grouped.column(f"{_PLACE}_list"))
        for name, values in columns:
            if name in kernels:
                found[name] = _apply(kernels[name], values, groups, grouped.num_rows, plan.states[name].sql)
    return [_one(grouped.column(name)) for name in names], found


def _apply(kernel: Kernel, values: pa.Array, groups: npt.NDArray[np.int64], count: int, sql: str) -> pa.Array:
    try:
        return kernel(values, groups, count)
    except EvaluationError as error:
        raise EvaluationError(f"{sql}: {error}") from None


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


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The single array of a column."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
