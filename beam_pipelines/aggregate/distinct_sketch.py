"""Approximate counts of distinct values: HyperLogLog sketches of Apache DataSketches.

The library's own estimate remembers the order in which values came; that of a sketch united with itself
is read from the registers alone, which hold the same whatever the order, so results are equal everywhere.
"""

from __future__ import annotations

from itertools import pairwise

import datasketches
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.columnar.expressions.types import INTEGER

Integers = npt.NDArray[np.int64]

STATE = pa.binary()

LOG_REGISTERS = 12
"""4,096 registers: a standard error of 1.6 %, and 4 kB for a group with more than 380 distinct values."""

_KIND = datasketches.tgt_hll_type.HLL_8


def sketch_values(values: pa.Array, groups: Integers, count: int) -> pa.Array:
    """A sketch of the values of each group (0 to count - 1); null for a group without any."""
    known = values.is_valid()
    table = pa.table({"group": groups[known.to_numpy(zero_copy_only=False)], "value": values.filter(known)})
    # Only distinct values meet the library, which takes them one by one.
    grouped = pa.TableGroupBy(table, ["group", "value"], use_threads=False).aggregate([])
    owners = grouped.column("group").to_numpy()
    order = np.argsort(owners, kind="stable")
    plain = _hashable(grouped.column("value").combine_chunks()).take(pa.array(order)).to_pylist()
    bounds = np.searchsorted(owners[order], np.arange(count + 1)).tolist()
    found: list[bytes | None] = []
    for start, end in pairwise(bounds):
        if start == end:
            found.append(None)
            continue
        sketch = datasketches.hll_sketch(LOG_REGISTERS, _KIND)
        for value in plain[start:end]:
            sketch.update(value)
        found.append(sketch.serialize_compact())
    return pa.array(found, STATE)


def merge_sketches(states: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Unite sketches by group number."""
    found: list[bytes | None] = [None] * count
    unions: dict[int, datasketches.hll_union] = {}
    for group, state in zip(groups.tolist(), states.to_pylist(), strict=True):
        if state is None:
            continue
        first = found[group]
        if first is None:
            found[group] = state
            continue
        if group not in unions:
            unions[group] = datasketches.hll_union(LOG_REGISTERS)
            unions[group].update(datasketches.hll_sketch.deserialize(first))
        unions[group].update(datasketches.hll_sketch.deserialize(state))
    for group, union in unions.items():
        found[group] = union.get_result(_KIND).serialize_compact()
    return pa.array(found, STATE)


def estimates(states: pa.Array) -> pa.Array:
    """Estimate how many distinct values each sketch has seen, to the nearest whole number. Zero for a null."""
    return pa.array([0 if state is None else _estimate(state) for state in states.to_pylist()], INTEGER)


def _estimate(state: bytes) -> int:
    sketch = datasketches.hll_sketch.deserialize(state)
    union = datasketches.hll_union(LOG_REGISTERS)
    union.update(sketch)
    union.update(sketch)
    return round(union.get_result(_KIND).get_estimate())


def _hashable(values: pa.Array) -> pa.Array:
    """Values as integers, floats or strings, which the library takes."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64())
    if pa.types.is_date32(values.type):
        return values.cast(pa.int32())
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8())
    if pa.types.is_decimal(values.type):
        return values.cast(pa.string())
    if pa.types.is_binary(values.type):
        return pa.array([value.hex() for value in values.to_pylist()], pa.string())
    return values
