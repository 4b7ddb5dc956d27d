"""Sums of float64 that don't depend on the order of the values: exact, rounded once at the end.

A sum is held as digits of base 2**32 on the fixed grid of all doubles, an idea of R. M. Neal, "Fast exact
summation using small and large superaccumulators" (arXiv:1505.05571). Partial sums merge without loss,
so every runner, bundle size and merge order ends in the same bits, those of `math.fsum`. A partial sum
takes 10 bytes a digit; values of like size need 3 or 4. Infinities and NaN are counted apart.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STATE = pa.list_(pa.struct([("place", pa.int16()), ("digit", pa.int64())]))
"""One sum: its digits that are not zero, all of its sign. Null: a sum of nothing."""

_BITS = 32
_MASK = np.int64(2**32 - 1)
_LOWEST = -1074  # exponent of place 0: 2**-1074 is the smallest double, and all are multiples of it
_PLACES = 68  # doubles end in place 65; two more for carries
_INFINITE, _MINUS_INFINITE, _NAN = 100, 101, 102  # places that count values which have no digits
_MAX_CELLS = 4 << 20  # of a matrix of digits: 32 MB
_MAX_ROWS = 1 << 20  # rows added up at once: 2**20 digits below 2**32 are exact in a float64


class _Digits(NamedTuple):
    """Digits of many sums: the group of each, its place, its value."""

    groups: Integers
    places: Integers
    values: Integers


def sum_groups(values: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Sum float64 values by group number (0 to count - 1), one STATE for each group. Nulls are left out."""
    numbers = values.to_numpy(zero_copy_only=False)
    if values.null_count:
        known = values.is_valid().to_numpy(zero_copy_only=False)
        numbers, groups = numbers[known], groups[known]
    present = np.bincount(groups, minlength=count) > 0
    finite = np.isfinite(numbers)
    if finite.all():
        return _to_states([_add_numbers(numbers, groups, count)], present)
    odd = numbers[~finite]
    places = np.where(np.isnan(odd), _NAN, np.where(odd > 0, _INFINITE, _MINUS_INFINITE))
    special = _Digits(groups[~finite], places, np.ones(len(odd), np.int64))
    return _to_states([_add_numbers(numbers[finite], groups[finite], count), _count(special, count)], present)


def merge_groups(states: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Add up states by group number."""
    present = np.bincount(groups[states.is_valid().to_numpy(zero_copy_only=False)], minlength=count) > 0
    owners, places, values = _flatten(states)
    owners = groups[owners]
    ordinary = places < _INFINITE
    sums = [_add_digits(_Digits(owners[ordinary], places[ordinary], values[ordinary]), count)]
    if not ordinary.all():
        sums.append(_count(_Digits(owners[~ordinary], places[~ordinary], values[~ordinary]), count))
    return _to_states(sums, present)


def to_floats(states: pa.Array) -> pa.Array:
    """Round each sum to the nearest float64, ties to even. Null for a null; inf when beyond float64."""
    step = _MAX_CELLS // _PLACES
    return pa.concat_arrays([_round(states.slice(start, step)) for start in range(0, max(1, len(states)), step)])


def _add_numbers(numbers: Floats, groups: Integers, count: int) -> _Digits:
    """Take the digits off all numbers together, place by place from the highest, until nothing is left."""
    columns: dict[int, Integers] = {}
    for start in range(0, len(numbers), _MAX_ROWS):
        rest, owners = numbers[start : start + _MAX_ROWS], groups[start : start + _MAX_ROWS]
        place = (int(np.frexp(np.abs(rest).max())[1]) - 1 - _LOWEST) // _BITS
        while rest.any():
            exponent = place * _BITS + _LOWEST
            # In two steps, since 2**1074 is no float64. Powers of two multiply exactly.
            shifted = rest * 2.0**600 * 2.0 ** (-exponent - 600) if exponent < -1000 else rest * 2.0**-exponent
            digits = np.trunc(shifted)
            sums = np.bincount(owners, weights=digits, minlength=count).astype(np.int64)
            columns[place] = columns[place] + sums if place in columns else sums
            rest = rest - digits * 2.0**exponent
            place -= 1
    if not columns:
        return _Digits(*np.empty((3, 0), np.int64))
    base, top = min(columns), max(columns)
    none = np.zeros(count, np.int64)
    return _carry(np.stack([columns.get(place, none) for place in range(base, top + 3)], axis=1), base)


def _add_digits(digits: _Digits, count: int) -> _Digits:
    """Add up digits of one group and place, in slices of the groups when there are many."""
    groups, places, values = digits
    if not len(groups):
        return digits
    base = int(places.min())
    width = int(places.max()) - base + 3  # two more for carries
    step = max(1, _MAX_CELLS // width)
    if count > step:
        order = np.argsort(groups, kind="stable")
        groups, places, values = groups[order], places[order], values[order]
    found = []
    for first in range(0, count, step):
        here = slice(*np.searchsorted(groups, [first, first + step])) if count > step else slice(None)
        rows = min(step, count - first)
        cells = np.zeros(rows * width, np.int64)
        np.add.at(cells, (groups[here] - first) * width + (places[here] - base), values[here])
        found.append(_carry(cells.reshape(rows, width), base, first))
    return _Digits(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _carry(matrix: Integers, base: int, first: int = 0) -> _Digits:
    """Bring each row of digits to below 2**32 and one sign, so that equal sums have equal digits."""
    plain = _carry_up(matrix.copy())
    negative = plain[:, -1] < 0
    if negative.any():
        plain[negative] = -_carry_up(-matrix[negative])
    rows, columns = np.nonzero(plain)
    return _Digits(rows + first, columns + base, plain[rows, columns])


def _carry_up(matrix: Integers) -> Integers:
    for column in range(matrix.shape[1] - 1):
        matrix[:, column + 1] += matrix[:, column] >> _BITS
        matrix[:, column] &= _MASK
    return matrix


def _count(special: _Digits, count: int) -> _Digits:
    counts = np.zeros((count, 3), np.int64)
    np.add.at(counts, (special.groups, special.places - _INFINITE), special.values)
    rows, columns = np.nonzero(counts)
    return _Digits(rows, columns + _INFINITE, counts[rows, columns])


def _to_states(sums: list[_Digits], present: npt.NDArray[np.bool_]) -> pa.Array:
    """Make STATEs; each part is sorted by group. Null for groups that are not present."""
    groups, places, values = (np.concatenate(parts) for parts in zip(*sums, strict=True))
    if len(sums) > 1:
        order = np.argsort(groups, kind="stable")
        groups, places, values = groups[order], places[order], values[order]
    lengths = np.bincount(groups, minlength=len(present))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    digits = [pa.array(places.astype(np.int16)), pa.array(values)]
    items = pa.StructArray.from_arrays(digits, fields=list(STATE.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=STATE, mask=pa.array(~present))


def _flatten(states: pa.Array) -> _Digits:
    lengths = pc.fill_null(pc.list_value_length(states), 0).to_numpy(zero_copy_only=False)
    items = states.flatten()
    owners = np.repeat(np.arange(len(states)), lengths)
    return _Digits(owners, items.field("place").to_numpy().astype(np.int64), items.field("digit").to_numpy())


def _round(states: pa.Array) -> pa.Array:
    rows = len(states)
    owners, places, values = _flatten(states)
    ordinary = places < _INFINITE
    base = int(places[ordinary].min()) - 3 if ordinary.any() else 0  # three empty places below the lowest
    width = int(places[ordinary].max()) - base + 1 if ordinary.any() else 4
    matrix = np.zeros((rows, width), np.int64)
    matrix[owners[ordinary], places[ordinary] - base] = values[ordinary]
    sizes = np.abs(matrix)
    filled = sizes != 0
    top = np.maximum(3, width - 1 - np.argmax(filled[:, ::-1], axis=1))  # a sum of zero has no digit
    every = np.arange(rows)
    first, second, third = (sizes[every, top - below].astype(np.uint64) for below in range(3))
    lengths = np.frexp(first.astype(np.float64))[1].astype(np.uint64)  # bits of the first digit, 0 to 32
    # Its first 64 bits; what follows is folded into the last of them, so that the one rounding is right.
    bits = (first << (np.uint64(63) - lengths)) << np.uint64(1)
    bits |= (second << np.uint64(32)) >> lengths
    bits |= third >> lengths
    rest = (third & ((np.uint64(1) << lengths) - np.uint64(1))) != 0
    below = np.cumsum(filled, axis=1)[every, top - 3] > 0
    bits |= (rest | below).astype(np.uint64)
    with np.errstate(over="ignore"):
        sums = np.ldexp(bits.astype(np.float64), (top + base) * _BITS + _LOWEST + lengths.astype(np.int64) - 64)
    sums = np.where((matrix < 0).any(axis=1), -sums, sums)
    if not ordinary.all():
        counts = np.zeros((rows, 3), np.int64)
        counts[owners[~ordinary], places[~ordinary] - _INFINITE] = values[~ordinary]
        plus, minus, nan = (counts > 0).T
        sums = np.where(plus, np.inf, np.where(minus, -np.inf, sums))
        sums = np.where(nan | (plus & minus), np.nan, sums)
    return pa.array(sums, mask=states.is_null().to_numpy(zero_copy_only=False))


def to_fractions(states: pa.Array) -> list[Fraction | float]:
    """Each sum without rounding; inf or nan where a value was. Zero for a null."""
    owners, places, values = _flatten(states)
    ordinary = places < _INFINITE
    base = int(places[ordinary].min()) if ordinary.any() else 0
    wholes = np.zeros(len(states), object)
    shifts = ((places[ordinary] - base) * _BITS).astype(object)
    np.add.at(wholes, owners[ordinary], values[ordinary].astype(object) << shifts)
    unit = Fraction(2) ** (base * _BITS + _LOWEST)
    found: list[Fraction | float] = [whole * unit for whole in wholes.tolist()]
    if not ordinary.all():
        odd = np.unique(owners[~ordinary])
        for place, value in zip(odd.tolist(), to_floats(states.take(pa.array(odd))).to_pylist(), strict=True):
            found[place] = value
    return found
