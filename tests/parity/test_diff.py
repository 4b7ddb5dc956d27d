"""Tables compared as bags of rows."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.parity.diff import compare, shown


@given(st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from(["a", "b"]))), st.randoms())
def test_rows_in_any_order_are_equal_and_one_less_is_not(rows: list[tuple[Any, Any]], random: Any) -> None:
    kinds = pa.schema({"n": pa.int64(), "s": pa.string()})
    other = random.sample(rows, len(rows))
    left, right = (pa.Table.from_pylist([{"n": n, "s": s} for n, s in each], kinds) for each in (rows, other))
    assert compare(left, right).is_equal
    if rows:
        found = compare(left, right.slice(1))
        assert (found.left_only, found.right_only) == (1, 0)
        assert found.first == (("left", 1, {"n": other[0][0], "s": other[0][1]}),)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1 + 0.2, 0.3),
        (0.0, -0.0),
        (Decimal("1.10"), Decimal("1.11")),
        ("a", None),
        ([1, 2], [2, 1]),
        (b"a", b"b"),
        (True, False),
    ],
)
def test_values_are_compared_exactly(one: Any, other: Any) -> None:
    kind = pa.array([one, other]).type
    left, right = (pa.table({"v": pa.array([value], kind)}) for value in (one, other))
    found = compare(left, right)
    assert (found.left_only, found.right_only) == (1, 1)
    assert compare(left, left).is_equal


def test_not_a_number_equals_itself() -> None:
    assert compare(pa.table({"v": [math.nan]}), pa.table({"v": [math.nan]})).is_equal


def test_how_often_a_row_comes_counts() -> None:
    found = compare(pa.table({"v": [1, 1, 1]}), pa.table({"v": [1]}))
    assert (found.left_only, found.first) == (2, (("left", 2, {"v": 1}),))


def test_columns_that_differ_are_named() -> None:
    left = pa.table({"a": pa.array([1], pa.int32()), "b": [1]})
    found = compare(left, pa.table({"c": [1], "a": pa.array([1], pa.int64())}))
    assert found.columns == (
        "a (left: int32, right: int64)",
        "b (left: int64, right: not there)",
        "c (left: not there, right: int64)",
    )
    assert not found.is_equal
    assert compare(left, left.select(["b", "a"])).is_equal


def test_no_more_rows_are_shown_than_asked_for() -> None:
    found = compare(pa.table({"v": list(range(100))}), pa.table({"v": [5]}), show=3)
    assert [row["v"] for _, _, row in found.first] == [0, 1, 2]
    assert found.left_only == 99


def test_raw_payloads_are_never_shown() -> None:
    assert "secret" not in shown({"payload": b"secret", "attributes": [("name", b"secret")]})
