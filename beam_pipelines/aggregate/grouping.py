"""Columns aggregated by keys: Arrow's hash aggregation, and what it lacks (exact float sums, lists, sessions)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import exact_sum
from beam_pipelines.aggregate.plan import MAX_TIME, MIN_TIME, ROWS, AggregationPlan
from beam_pipelines.columnar.batches import concat
from beam_pipelines.columnar.expressions import ExpressionOverflowError
from beam_pipelines.columnar.expressions.types import INTEGER, MAX_DIGITS
from beam_pipelines.window.assign import to_micros, to_times
from beam_pipelines.window.sessions import find_sessions

COUNTED = "__counted"
"""One more column of row counts that can be added up beside those of a partial."""

_PLACE = "__place"

Columns = Sequence[tuple[str, pa.Array]]
"""ROWS, MIN_TIME, MAX_TIME and the states of a plan, by name."""

OF_ROWS = {"rows": "count", "count": "count", "sum": "sum", "min": "min", "max": "max", "distinct": "distinct"}
"""Arrow's hash aggregation for each kind of state; of floats there is none that is exact."""

OF_PARTIALS = {"rows": "sum", "count": "sum", "sum": "sum", "min": "min", "max": "max"}


def group_in_windows(
    keys: Sequence[pa.Array], columns: Columns, plan: AggregationPlan, functions: Mapping[str, str]
) -> pa.RecordBatch:
    """Aggregate columns by window_start and groups into a partial. Sessions are found first, and linked.

    A link is a row of a group without rows or values, whose window_start is a time in its session.
    """
    links = None
    if plan.window.kind == "session":
        starts, chain = find_sessions(_numbers(keys[1:], len(keys[0])), to_micros(keys[0]), plan.window.size_micros)
        links = pa.array(chain)
        linked = [keys[0].take(links), *(key.take(links) for key in keys[1:])]
        keys = [to_times(starts), *keys[1:]]
    found_keys, found = group_columns(keys, columns, plan, functions)
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
    keys: Sequence[pa.Array], columns: Columns, plan: AggregationPlan, functions: Mapping[str, str]
) -> tuple[list[pa.Array], dict[str, pa.Array]]:
    """Aggregate columns (ROWS, MIN_TIME, MAX_TIME, states) by the keys: those of each group, its columns."""
    names = [f"k{place}" for place in range(len(keys))]
    kinds = {ROWS: "rows", COUNTED: "rows", MIN_TIME: "min", MAX_TIME: "max"}
    kinds |= {name: kind.kind for name, kind in plan.states.items()}
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
        combine = exact_sum.merge_groups if functions is OF_PARTIALS else exact_sum.sum_groups
        return combine(values, groups, grouped.num_rows)

    found = {name: result(name, values) for name, values in columns}
    return [_one(grouped.column(name)) for name in names], found


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
    owners = np.repeat(groups, pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
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
