"""The value that goes with the least or greatest of another: min_by, max_by, first and last.

A state is a pair (by, value). Of several rows with the same `by`, min_by keeps the least value and max_by
the greatest, so that the answer depends on no order.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions.node import Apply, Node, Values, spread

Integers = npt.NDArray[np.int64]


def pair(by: Node, value: Node) -> Apply:
    """A node whose values are pairs, null where either is null (or `by` is NaN, which has no place in an order)."""
    type = pa.struct([("by", by.type), ("value", value.type)])
    return Apply(_pair, (by, value), type, f"{value.sql}, {by.sql}")


def keep_extreme(pairs: pa.Array, groups: Integers, count: int, *, extreme: Literal["min", "max"]) -> pa.Array:
    """The pair of each group (0 to count - 1) that is least or greatest, null for a group without one.

    Rows and states are kept alike.
    """
    known = pairs.is_valid()
    places = np.flatnonzero(known.to_numpy(zero_copy_only=False))
    left = pa.table({"group": groups[places], "by": pc.struct_field(pairs, "by").filter(known), "place": places})
    best = _extreme_of(left, "by", count, extreme)
    left = left.filter(pc.equal(left["by"], best.take(left["group"])))
    values = pc.struct_field(pairs, "value").take(left["place"].combine_chunks())
    best_values = _extreme_of(pa.table({"group": left["group"], "value": values}), "value", count, extreme)
    return pa.StructArray.from_arrays([best, best_values], fields=list(pairs.type), mask=best.is_null())


least = partial(keep_extreme, extreme="min")
greatest = partial(keep_extreme, extreme="max")


def _extreme_of(table: pa.Table, name: str, count: int, extreme: str) -> pa.Array:
    """The extreme of each group, at the group's number."""
    grouped = pa.TableGroupBy(table, "group", use_threads=False).aggregate([(name, extreme)])
    places = np.full(count, -1, np.int64)
    places[grouped.column("group").to_numpy()] = np.arange(grouped.num_rows)
    return grouped.column(f"{name}_{extreme}").combine_chunks().take(pa.array(places, mask=places < 0))


def _pair(by: Values, value: Values) -> pa.Array:
    rows = len(value) if isinstance(by, pa.Scalar) else len(by)
    by, value = spread(by, rows), spread(value, rows)
    known = pc.and_(by.is_valid(), value.is_valid())
    if pa.types.is_floating(by.type):
        known = pc.and_(known, pc.fill_null(pc.invert(pc.is_nan(by)), False))
    fields = [pa.field("by", by.type), pa.field("value", value.type)]
    return pa.StructArray.from_arrays([by, value], fields=fields, mask=pc.invert(known))
