"""The kernels of each kind of state: from the rows of a batch, and merged from the states of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import distinct_sketch, exact_sum, extremes, funnel, moments, tallies
from beam_pipelines.aggregate.plan import Kind

Integers = npt.NDArray[np.int64]

Kernel = Callable[[pa.Array, Integers, int], pa.Array]
"""(values or states, the group number of each, number of groups) to one state for each group."""


class Keeping(NamedTuple):
    """How a kind is kept: by name, one of Arrow's hash aggregations; else a kernel."""

    of_rows: str | Kernel
    of_states: str | Kernel


def _merge_distinct(lists: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Unite lists of distinct values by group number."""
    owners = np.repeat(groups, pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    table = pa.table({"group": owners, "value": lists.flatten()})
    united = pa.TableGroupBy(table, "group", use_threads=False).aggregate([("value", "distinct")]).sort_by("group")
    values = united.column("value_distinct").combine_chunks()
    lengths = np.zeros(count, np.int32)
    lengths[united.column("group").to_numpy()] = pc.list_value_length(values).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    merged = pa.ListArray.from_arrays(pa.array(offsets), values.flatten(), type=lists.type)
    tallies.check_sizes(merged)
    return merged


KEPT: dict[Kind, Keeping] = {
    "count": Keeping("count", "sum"),
    "sum": Keeping("sum", "sum"),
    "float_sum": Keeping(exact_sum.sum_groups, exact_sum.merge_groups),  # Arrow's depends on the order
    "float_products": Keeping(moments.sum_products, exact_sum.merge_groups),
    "min": Keeping("min", "min"),
    "max": Keeping("max", "max"),
    "min_by": Keeping(extremes.least, extremes.least),
    "max_by": Keeping(extremes.greatest, extremes.greatest),
    "distinct": Keeping("distinct", _merge_distinct),
    "tally": Keeping(tallies.count_values, tallies.merge_tallies),
    "frequent": Keeping(tallies.count_frequent, tallies.merge_frequent),
    "hll": Keeping(distinct_sketch.sketch_values, distinct_sketch.merge_sketches),
    "steps": Keeping(funnel.collect, funnel.merge),
}
