"""How far along a row of steps each group (a user, say) came: steps in their order, each later than the last.

A state is the list of (time, steps) of the rows that are any step at all, `steps` having a bit for each.
It takes 16 bytes a row. The search over all of them is by columns, not by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate.tallies import check_sizes
from beam_pipelines.columnar.expressions.node import Apply, Node, Values
from beam_pipelines.columnar.expressions.types import INTEGER, TIMESTAMP
from beam_pipelines.window.assign import to_micros

Integers = npt.NDArray[np.int64]

_EVENT = pa.struct([("time", TIMESTAMP), ("steps", INTEGER)])

STATE = pa.list_(_EVENT)

MAX_STEPS = 32


def events(time: Node, steps: Sequence[Node]) -> Apply:
    """A node of (time, steps), null for a row that is no step."""
    return Apply(_events, (time, *steps), _EVENT, ", ".join(step.sql for step in steps))


def collect(values: pa.Array, groups: Integers, count: int) -> pa.Array:
    """The events of each group (0 to count - 1), each once."""
    known = values.is_valid()
    return _collect(values.filter(known), groups[known.to_numpy(zero_copy_only=False)], count)


def merge(states: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Unite events by group number. EvaluationError when a group has too many."""
    lengths = pc.fill_null(pc.list_value_length(states), 0).to_numpy(zero_copy_only=False)
    merged = _collect(states.flatten(), np.repeat(groups, lengths), count)
    check_sizes(merged)
    return merged


def levels(states: pa.Array, steps: int, within: int) -> pa.Array:
    """How many steps each group made, one after the other, within so many microseconds from the first.

    Of each start the latest that leads on is the best: whatever follows it in time follows sooner.
    """
    lengths = pc.fill_null(pc.list_value_length(states), 0).to_numpy(zero_copy_only=False)
    owners = np.repeat(np.arange(len(states)), lengths)
    made = states.flatten()
    times, masks = to_micros(made.field("time")), made.field("steps").to_numpy(zero_copy_only=False)
    order = np.lexsort((times, owners))
    owners, times, masks = owners[order], times[order], masks[order]
    found = np.zeros(len(states), np.int64)
    if not len(owners):
        return pa.array(found)
    firsts = np.searchsorted(owners, owners)
    new_time = np.ones(len(owners), bool)
    new_time[1:] = (owners[1:] != owners[:-1]) | (times[1:] != times[:-1])
    sooner = np.maximum.accumulate(np.where(new_time, np.arange(len(owners)), 0)) - 1  # the last event before this time
    # Of each event that ends a chain: the place of the chain's start. Later users have greater places.
    starts = np.where(masks & 1, np.arange(len(owners)), -1)
    for step in range(steps):
        if step:
            best = np.maximum.accumulate(starts)
            before = np.where(sooner >= 0, best[sooner], -1)
            leads = (masks >> step & 1).astype(bool) & (before >= firsts)
            leads &= times - times[np.maximum(before, 0)] <= within
            starts = np.where(leads, before, -1)
        found[owners[starts >= 0]] = step + 1
    return pa.array(found)


def _collect(made: pa.Array, groups: Integers, count: int) -> pa.Array:
    table = pa.table({"group": groups, "time": made.field("time"), "steps": made.field("steps")})
    grouped = pa.TableGroupBy(table, ["group", "time", "steps"], use_threads=False).aggregate([])
    owners = grouped.column("group").to_numpy()
    order = pa.array(np.argsort(owners, kind="stable"))
    columns = [grouped.column(name).combine_chunks().take(order) for name in ("time", "steps")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))]).astype(np.int32)
    structs = pa.StructArray.from_arrays(columns, fields=list(_EVENT))
    return pa.ListArray.from_arrays(pa.array(offsets), structs, type=STATE)


def _events(time: Values, *steps: Values) -> pa.Array:
    masks = np.zeros(len(time), np.int64)
    for place, step in enumerate(steps):
        if isinstance(step, pa.Scalar):
            masks |= np.int64(bool(step.as_py())) << np.int64(place)
        else:
            masks |= step.fill_null(False).to_numpy(zero_copy_only=False).astype(np.int64) << np.int64(place)
    nothing = pc.or_(time.is_null(), pa.array(masks == 0))
    return pa.StructArray.from_arrays([time, pa.array(masks)], fields=list(_EVENT), mask=nothing)
