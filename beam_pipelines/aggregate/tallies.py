"""How often each value occurs, by group: what exact quantiles, modes and top-k are read from.

A tally is a list of distinct values, each with its count, in no order. It takes 8 bytes and the value for
each distinct value of a group. `frequent` tallies are bounded: P. K. Agarwal et al., "Mergeable summaries"
(PODS 2012), after J. Misra and D. Gries, "Finding repeated elements" (1982).
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.expressions import EvaluationError
from beam_pipelines.columnar.expressions.casts import decimal_to_float
from beam_pipelines.columnar.expressions.types import FLOAT, INTEGER

Integers = npt.NDArray[np.int64]

MAX_VALUES = 10_000_000
"""Distinct values of one group: 160 MB of numbers, about what one element can be on every runner."""

MAX_FREQUENT = 1_024
"""Values that a bounded tally keeps: a count is then at most a 1,025th of the group's rows too small."""


class _Items(NamedTuple):
    """The values of many tallies, with the number of the tally of each."""

    owners: Integers
    values: pa.Array
    counts: Integers


def tally_type(value: pa.DataType) -> pa.DataType:
    """Type of a tally of such values."""
    return pa.list_(pa.struct([("value", value), ("count", INTEGER)]))


def frequent_type(value: pa.DataType) -> pa.DataType:
    """Type of a bounded tally: `missed` is how much too small each count can be."""
    return pa.struct([("missed", INTEGER), ("values", tally_type(value))])


def count_values(values: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Tally values by group number (0 to count - 1). Nulls are left out."""
    if values.null_count:
        known = values.is_valid()
        values, groups = values.filter(known), groups[known.to_numpy(zero_copy_only=False)]
    table = pa.table({"group": groups, "value": values})
    grouped = pa.TableGroupBy(table, ["group", "value"], use_threads=False).aggregate([([], "count_all")])
    return _to_tallies(grouped, "count_all", count)


def merge_tallies(tallies: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Add up tallies by group number. EvaluationError beyond MAX_VALUES."""
    items = _open(tallies)
    table = pa.table({"group": groups[items.owners], "value": items.values, "n": items.counts})
    grouped = pa.TableGroupBy(table, ["group", "value"], use_threads=False).aggregate([("n", "sum")])
    merged = _to_tallies(grouped, "n_sum", count)
    check_sizes(merged)
    return merged


def count_frequent(values: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Tally values by group number, in bounded memory."""
    return _bounded(count_values(values, groups, count), np.zeros(count, np.int64))


def merge_frequent(states: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Add up bounded tallies by group number."""
    missed = np.zeros(count, np.int64)
    np.add.at(missed, groups, pc.fill_null(pc.struct_field(states, "missed"), 0).to_numpy(zero_copy_only=False))
    return _bounded(merge_tallies(pc.struct_field(states, "values"), groups, count), missed)


def check_sizes(lists: pa.Array) -> None:
    """EvaluationError when one group's list is too long to be kept."""
    longest = pc.max(pc.list_value_length(lists)).as_py() or 0
    if longest > MAX_VALUES:
        raise EvaluationError(
            f"a group has more than {MAX_VALUES:,} values to keep for an exact answer: group by more, or take "
            "approx_count_distinct, approx_quantile or approx_top_k"
        )


def quantile_cont(tallies: pa.Array, quantile: Fraction) -> pa.Array:
    """Interpolate linearly between the two values that the quantile lies between, as float64."""
    items, counts = _sorted(tallies)
    ranks, rest = _divided(np.maximum(counts - 1, 0), quantile)
    low, high = (_at(items, counts, places) for places in (ranks, np.minimum(ranks + 1, np.maximum(counts - 1, 0))))
    below, above = (_to_floats(items.values.take(place)) for place in (low, high))
    with np.errstate(invalid="ignore"):
        found = np.where(below == above, below, below + (above - below) * (rest / quantile.denominator))
    return pa.array(found, FLOAT, mask=(counts == 0) | (np.isnan(found) & low.is_null().to_numpy(zero_copy_only=False)))


def quantile_disc(tallies: pa.Array, quantile: Fraction) -> pa.Array:
    """The least value that at least this part of the values doesn't exceed."""
    items, counts = _sorted(tallies)
    whole, rest = _divided(counts, quantile)
    ranks = np.maximum(whole + (rest > 0) - 1, 0)
    return items.values.take(_at(items, counts, ranks))


def most_frequent(tallies: pa.Array, most: int) -> pa.Array:
    """The most frequent values with their counts, the least of values as frequent; lists of at most so many."""
    return _most_frequent(_open(tallies), len(tallies), most).build(tally_type(_value_type(tallies)))


def modes(tallies: pa.Array) -> pa.Array:
    """The most frequent value, the least of several."""
    best = _most_frequent(_open(tallies), len(tallies), 1)
    places = pa.array(best.offsets[:-1], mask=np.diff(best.offsets) == 0)
    return best.items.values.take(places)


def most_frequent_bounded(states: pa.Array, most: int) -> pa.Array:
    """As `most_frequent`, each with its `error`: the true count is from `count` to `count + error`."""
    tallies = pc.struct_field(states, "values")
    best = _most_frequent(_open(tallies), len(states), most)
    errors = pc.struct_field(states, "missed").take(pa.array(best.items.owners))
    return best.build(top_type(_value_type(tallies)), errors)


def top_type(value: pa.DataType) -> pa.DataType:
    """Type of what `most_frequent_bounded` finds."""
    return pa.list_(pa.struct([("value", value), ("count", INTEGER), ("error", INTEGER)]))


class _Best(NamedTuple):
    items: _Items
    offsets: npt.NDArray[np.int32]

    def build(self, type: pa.DataType, *more: pa.Array) -> pa.Array:
        columns = [self.items.values, pa.array(self.items.counts), *more]
        structs = pa.StructArray.from_arrays(columns, fields=list(type.value_type))
        return pa.ListArray.from_arrays(pa.array(self.offsets), structs, type=type)


def _most_frequent(items: _Items, count: int, most: int) -> _Best:
    keys = [("group", "ascending"), ("n", "descending"), ("value", "ascending")]
    table = pa.table({"group": items.owners, "n": items.counts, "value": items.values})
    items = _take(items, pc.sort_indices(table, sort_keys=keys).to_numpy())
    firsts = np.searchsorted(items.owners, np.arange(count))
    kept = np.flatnonzero(np.arange(len(items.owners)) - firsts[items.owners] < most)
    return _Best(_take(items, kept), _offsets(items.owners[kept], count))


def _bounded(tallies: pa.Array, missed: Integers) -> pa.Array:
    """Take the next greatest count off all counts of a tally with too many values, and leave out what has none."""
    lengths = pc.fill_null(pc.list_value_length(tallies), 0).to_numpy(zero_copy_only=False)
    if len(lengths) and lengths.max() > MAX_FREQUENT:
        items = _open(tallies)
        order = np.lexsort((-items.counts, items.owners))
        firsts = np.cumsum(lengths) - lengths
        excess = np.zeros(len(tallies), np.int64)
        long = lengths > MAX_FREQUENT
        excess[long] = items.counts[order][firsts[long] + MAX_FREQUENT]
        missed = missed + excess
        left = items.counts - excess[items.owners]
        kept = np.flatnonzero(left > 0)
        few = _take(_Items(items.owners, items.values, left), kept)
        tallies = _Best(few, _offsets(few.owners, len(tallies))).build(tallies.type)
    return pa.StructArray.from_arrays([pa.array(missed), tallies], fields=list(frequent_type(_value_type(tallies))))


def _value_type(tallies: pa.Array) -> pa.DataType:
    return tallies.type.value_type.field("value").type


def _open(tallies: pa.Array) -> _Items:
    lengths = pc.fill_null(pc.list_value_length(tallies), 0).to_numpy(zero_copy_only=False)
    items = tallies.flatten()
    return _Items(np.repeat(np.arange(len(tallies)), lengths), items.field("value"), items.field("count").to_numpy())


def _take(items: _Items, places: Integers) -> _Items:
    return _Items(items.owners[places], items.values.take(pa.array(places)), items.counts[places])


def _offsets(owners: Integers, count: int) -> npt.NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))]).astype(np.int32)


def _to_tallies(grouped: pa.Table, counted: str, count: int) -> pa.Array:
    """Tallies of a table of group, value and a column of counts."""
    owners = grouped.column("group").to_numpy()
    values = grouped.column("value").combine_chunks()
    order = np.argsort(owners, kind="stable")
    items = _take(_Items(owners, values, grouped.column(counted).to_numpy()), order)
    return _Best(items, _offsets(items.owners, count)).build(tally_type(values.type))


def _sorted(tallies: pa.Array) -> tuple[_Items, Integers]:
    """Values in order inside each tally, and how many rows each tally counts."""
    items = _open(tallies)
    table = pa.table({"group": items.owners, "value": items.values})
    order = pc.sort_indices(table, sort_keys=[("group", "ascending"), ("value", "ascending")]).to_numpy()
    counts = np.zeros(len(tallies), np.int64)
    np.add.at(counts, items.owners, items.counts)
    return _take(items, order), counts


def _divided(counts: Integers, quantile: Fraction) -> tuple[Integers, Integers]:
    """Whole part of counts * quantile, and the rest over its denominator; exact, without overflow."""
    whole, rest = np.divmod(counts, quantile.denominator)
    more, rest = np.divmod(rest * quantile.numerator, quantile.denominator)
    return whole * quantile.numerator + more, rest


def _at(items: _Items, counts: Integers, ranks: Integers) -> pa.Array:
    """Place of the value at a rank (from 0) among the rows of each tally; null for an empty one."""
    before = np.cumsum(counts) - counts
    places = np.searchsorted(np.cumsum(items.counts), before + ranks, side="right")
    return pa.array(places, mask=counts == 0)


def _to_floats(values: pa.Array) -> npt.NDArray[np.float64]:
    plain = decimal_to_float(values) if pa.types.is_decimal(values.type) else values.cast(FLOAT)
    found: npt.NDArray[np.float64] = plain.to_numpy(zero_copy_only=False)
    return found
