import math
import struct
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.aggregate.exact_sum import STATE, merge_groups, sum_groups, to_floats

any_float = st.floats(allow_nan=False, allow_infinity=False)
near = st.floats(-1e6, 1e6) | st.integers(-(2**53), 2**53).map(float) | st.sampled_from([0.1, -0.1, 0.0, -0.0, 1e16])
edges = st.sampled_from([5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308])


def total(values: list[float | None]) -> float | None:
    return to_floats(sum_groups(pa.array(values, pa.float64()), np.zeros(len(values), np.int64), 1)).to_pylist()[0]


def nearest(values: list[float]) -> float:
    """The sum as a fraction, rounded once; inf beyond float64."""
    exact = sum(map(Fraction, values), Fraction(0))
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


@given(st.lists(any_float | near | edges, min_size=1, max_size=30))
def test_a_sum_is_the_exact_one_rounded_once(values):
    assert total(values) == nearest(values)


@given(st.data(), st.lists(near | edges, max_size=40))
def test_sums_depend_on_no_order_and_no_split(data, values):
    groups = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))), np.int64)
    order = np.array(data.draw(st.permutations(range(len(values)))), np.int64)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    numbers = np.array(values, np.float64)
    whole = sum_groups(pa.array(numbers), groups, 4)
    pieces = [
        sum_groups(pa.array(numbers[order][start:end]), groups[order][start:end], 4)
        for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True)
    ]
    merged = merge_groups(pa.concat_arrays(pieces), np.tile(np.arange(4), len(pieces)), 4)
    assert merged.equals(whole)
    assert whole.type == STATE


def test_what_cancels_leaves_what_is_small():
    assert total([1e308, 1.0, -1e308]) == 1.0
    assert total([0.1] * 10) == 1.0
    assert total([1e16, 1.0, 1.0]) == 1e16 + 2


def test_ties_are_rounded_to_even_and_the_last_bit_counts():
    one, tie = 2.0**53, 1.0
    assert total([one, tie]) == one  # 2**53 + 1 lies between two doubles
    assert total([one, tie, 5e-324]) == one + 2  # a little more than a tie, 1100 bits below
    assert total([-one, -tie, -5e-324]) == -one - 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([0.0, None], 0.0),
        ([-0.0], 0.0),
        ([math.inf, 1.0], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([1.7e308, 1.7e308], math.inf),
        ([-1.7e308, -1.7e308], -math.inf),
    ],
)
def test_sums_of_nothing_zeros_and_infinities(values, expected):
    assert total(values) == expected


@pytest.mark.parametrize("values", [[math.nan], [1.0, math.nan], [math.inf, -math.inf], [math.nan, math.inf]])
def test_not_a_number_stays_so(values):
    assert math.isnan(total(values))
    states = [sum_groups(pa.array([value]), np.zeros(1, np.int64), 1) for value in values]
    merged = merge_groups(pa.concat_arrays(states), np.zeros(len(states), np.int64), 1)
    assert math.isnan(to_floats(merged).to_pylist()[0])


def test_many_groups_of_far_exponents_are_merged_in_slices():
    count = 70_000  # more cells than one matrix has, when a group spans all of the grid
    numbers = np.tile([1e300, 1e-300], count)
    groups = np.repeat(np.arange(count), 2)
    states = sum_groups(pa.array(numbers), groups, count)
    merged = merge_groups(pa.concat_arrays([states, states]), np.tile(np.arange(count), 2), count)
    assert set(to_floats(merged).to_pylist()) == {2e300}
    for place in (0, count - 1):
        digits = merged[place].as_py()
        exact = sum(Fraction(item["digit"]) * Fraction(2) ** (32 * item["place"] - 1074) for item in digits)
        assert exact == 2 * Fraction(1e300) + 2 * Fraction(1e-300)


def test_a_merged_state_doesn_t_grow_with_the_values():
    bits = np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
    numbers = np.array([value for (value,) in struct.iter_unpack("d", bits.tobytes()) if math.isfinite(value)])
    states = sum_groups(pa.array(numbers), np.zeros(len(numbers), np.int64), 1)
    assert len(states[0]) <= 68
    assert to_floats(states).to_pylist() == [math.fsum(numbers / 2**20) * 2**20]


def test_a_slice_is_a_slice():
    states = sum_groups(pa.array([1.0, 2.0, 3.0]), np.arange(3), 3)
    assert to_floats(states.slice(1, 1)).to_pylist() == [2.0]
    assert to_floats(merge_groups(states.slice(1), np.zeros(2, np.int64), 1)).to_pylist() == [5.0]
