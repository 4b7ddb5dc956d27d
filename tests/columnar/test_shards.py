from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.columnar.shards import by_shard, hash_rows, shard_of

UTC = dt.timezone.utc

VALUES = {
    pa.string(): st.one_of(st.text(max_size=40), st.text(alphabet="ab\0", min_size=250, max_size=270)),
    pa.binary(): st.binary(max_size=40),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.decimal128(38, 4): st.decimals(-(10**30), 10**30, places=4),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
}


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    kind = draw(st.sampled_from(list(VALUES)))
    return pa.array(draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=20)), kind)


@given(columns(), st.data())
def test_the_hash_of_a_row_does_not_depend_on_its_neighbours(column: pa.Array, data: st.DataObject) -> None:
    hashes = hash_rows(pa.record_batch({"k": column}), ["k"])
    start = data.draw(st.integers(0, len(column) - 1))
    sliced = hash_rows(pa.record_batch({"k": column}).slice(start), ["k"])
    encoded = hash_rows(pa.record_batch({"k": column.dictionary_encode()}).slice(start), ["k"])
    alone = [hash_rows(pa.record_batch({"k": column.take(pa.array([i]))}), ["k"])[0] for i in range(len(column))]
    assert hashes.tolist() == alone
    assert hashes[start:].tolist() == sliced.tolist() == encoded.tolist()


@given(columns())
def test_different_values_have_different_hashes_and_equal_values_equal_ones(column: pa.Array) -> None:
    hashes = hash_rows(pa.record_batch({"k": column}), ["k"]).tolist()
    values = ["NaN" if value != value else value for value in column.to_pylist()]
    assert len(set(hashes)) == len(set(values))
    assert len(set(zip(values, hashes, strict=True))) == len(set(values))


def test_a_string_ending_in_nul_is_another_string() -> None:
    column = pa.array(["", "\0", "\0\0", "a", "a\0", "a" * 8, "a" * 8 + "\0", "a" * 256, "a" * 257])
    assert len(set(hash_rows(pa.record_batch({"k": column}), ["k"]).tolist())) == len(column)


def test_the_order_of_columns_counts() -> None:
    batch = pa.record_batch({"a": [1, 2, None], "b": [2, 1, 1]})
    ab, ba = hash_rows(batch, ["a", "b"]), hash_rows(batch, ["b", "a"])
    assert ab[0] == ba[1]
    assert ab[1] == ba[0]
    assert ab[0] != ba[0]


def test_integers_of_any_width_share_shards() -> None:
    for kind in (pa.int8(), pa.int32(), pa.uint64()):
        narrow = pa.record_batch({"k": pa.array([1, 2, 3], kind)})
        assert (shard_of(narrow, ["k"], 97) == shard_of(pa.record_batch({"k": [1, 2, 3]}), ["k"], 97)).all()


def test_shards_are_what_they_were_in_the_first_release() -> None:
    """A running stream holds state by shard: these numbers may not change."""
    batch = pa.record_batch(
        {
            "s": pa.array(["", "tail N14228", "ä" * 200, None]),
            "i": pa.array([0, -1, 2**62, None]),
            "f": pa.array([0.0, -1.5, float("nan"), None]),
            "d": pa.array([Decimal("0.00"), Decimal("-12.34"), Decimal("99999999.99"), None], pa.decimal128(10, 2)),
            "t": pa.array([0, 1357034400000000, -1, None], pa.timestamp("us", "UTC")),
            "b": pa.array([True, False, True, None]),
        }
    )
    assert {name: shard_of(batch, [name], 1 << 16).tolist() for name in batch.schema.names} == PINNED
    assert shard_of(batch, batch.schema.names, 1 << 16).tolist() == PINNED_TOGETHER


PINNED = {
    "s": [40606, 986, 52999, 58575],
    "i": [17743, 27681, 11322, 58575],
    "f": [17743, 34473, 25019, 58575],
    "d": [17743, 14534, 55441, 58575],
    "t": [17743, 16108, 27681, 58575],
    "b": [44603, 17743, 44603, 58575],
}
PINNED_TOGETHER = [49787, 41825, 8581, 41967]


def test_another_process_finds_the_same_shards() -> None:
    batch = 'pa.record_batch({"k": ["a", "bc", None]})'
    program = (
        "import pyarrow as pa; from beam_pipelines.columnar.shards import shard_of; "
        f"print(shard_of({batch}, ['k'], 1000).tolist())"
    )
    outside = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    here = shard_of(pa.record_batch({"k": ["a", "bc", None]}), ["k"], 1000).tolist()
    assert outside.stdout.strip() == str(here)


def test_sequential_numbers_spread_over_all_shards() -> None:
    for keys in (pa.array(range(0, 64_000, 64)), pa.array([f"order-{i}" for i in range(1000)])):
        sizes = np.bincount(shard_of(pa.record_batch({"k": keys}), ["k"], 10), minlength=10)
        assert sizes.min() > 60, sizes
        assert sizes.max() < 140, sizes


@given(st.lists(st.integers(0, 5), max_size=30))
def test_cutting_by_shard_keeps_every_row_in_order(shards: list[int]) -> None:
    batch = pa.record_batch({"row": pa.array(range(len(shards)), pa.int64())})
    pieces = dict(by_shard(batch, np.array(shards, np.int32)))
    expected: dict[int, list[int]] = {}
    for row, shard in enumerate(shards):
        expected.setdefault(shard, []).append(row)
    assert {shard: piece.column("row").to_pylist() for shard, piece in pieces.items()} == expected


def test_a_nested_column_is_no_key() -> None:
    with pytest.raises(TypeError, match=r"column 'k' of type list<.*> can't be part of a key"):
        shard_of(pa.record_batch({"k": [[1]]}), ["k"], 4)
