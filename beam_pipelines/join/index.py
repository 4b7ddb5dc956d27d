"""Rows of a table found by their key, or by key and time, for many rows at once.

Keys are found by a 64-bit hash, sorted, and then compared by their values: at most 24 bytes for each row of the
table, beside the row itself, and 48 with times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.shards import hash_rows

MAX_PAIRS = 65_536
"""Pairs of rows that are looked at together: of a key with many rows on both sides come millions."""

LARGE = 65_536
"""Hashes that no longer fit a core's own cache (8 bytes each, 512 KiB)."""

Rows = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Row numbers that belong together: of the batch, and of the table."""

    batch: Rows
    table: Rows


class KeyIndex:
    """A table's rows by the values of its key columns. A null in a key equals nothing.

    >>> index = KeyIndex(pa.record_batch({"k": ["a", "b", "a"]}), ["k"])
    >>> pairs = next(index.pairs(pa.record_batch({"x": ["a", "z"]}), ["x"]))
    >>> pairs.batch.tolist(), pairs.table.tolist()
    ([0, 0], [0, 2])
    """

    def __init__(self, table: pa.RecordBatch, keys: Sequence[str]) -> None:
        self._keys = [plain(table.column(key)) for key in keys]
        known = np.flatnonzero(all_valid(self._keys, table.num_rows))
        hashes = hash_rows(table, keys)[known]
        order = np.argsort(hashes, kind="stable")
        self._rows = known[order]
        self._hashes, starts = np.unique(hashes[order], return_index=True)
        self._starts = np.append(starts, len(order))

    @property
    def nbytes(self) -> int:
        """Bytes that the index takes, without the table."""
        return int(self._rows.nbytes + self._hashes.nbytes + self._starts.nbytes)

    def pairs(self, batch: pa.RecordBatch, keys: Sequence[str]) -> Iterator[Pairs]:
        """Yield all pairs of equal keys, by the batch's rows and then the table's, MAX_PAIRS at a time at most."""
        columns = [plain(batch.column(key)) for key in keys]
        wanted = hash_rows(batch, keys)
        if not len(self._hashes):
            return
        places = np.minimum(_search(self._hashes, wanted), len(self._hashes) - 1)
        first = self._starts[places]
        counts = np.where(self._hashes[places] == wanted, self._starts[places + 1] - first, 0)
        counts[~all_valid(columns, batch.num_rows)] = 0
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for start in range(0, total, MAX_PAIRS):
            numbers = np.arange(start, min(start + MAX_PAIRS, total))
            mine = np.searchsorted(ends, numbers, "right")
            theirs = self._rows[first[mine] + numbers - (ends[mine] - counts[mine])]
            same = self._same(columns, mine, theirs)
            yield Pairs(mine[same], theirs[same])

    def repeated(self) -> int:
        """How many rows have the key of another row before them."""
        counts = np.diff(self._starts)
        again = np.flatnonzero(np.arange(len(self._rows)) - np.repeat(self._starts[:-1], counts))
        if not len(again):
            return 0
        same = self._same(self._keys, self._rows[again - 1], self._rows[again])
        return int(np.count_nonzero(same))

    def _same(self, columns: Sequence[pa.Array], mine: Rows, theirs: Rows) -> npt.NDArray[np.bool_]:
        """Which pairs really have the same key: a hash may be that of two."""
        same = np.ones(len(mine), bool)
        for left, right in zip(columns, self._keys, strict=True):
            equal = pc.equal(left.take(pa.array(mine)), right.take(pa.array(theirs)))
            same &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False)
        return same


class TimeIndex:
    """A table's rows by key and time: for each row of a batch the latest that is not after it.

    Of rows of one key and time the last in the table is found. A null in a key or time finds nothing. Two keys
    with one hash (of a million keys, once in 30 million tables) may hide each other's rows, never mix them.

    >>> index = TimeIndex(pa.record_batch({"k": [1, 1], "t": [10, 20]}), ["k"], "t")
    >>> index.latest(pa.record_batch({"k": [1, 1, 1], "at": [25, 15, 5]}), ["k"], "at").table.tolist()
    [1, 0]
    """

    def __init__(self, table: pa.RecordBatch, keys: Sequence[str], time: str) -> None:
        self._keys = [plain(table.column(key)) for key in keys]
        times = _micros(table.column(time))
        known = np.flatnonzero(all_valid([*self._keys, table.column(time)], table.num_rows))
        hashes, times = hash_rows(table, keys)[known], times[known]
        self._hashes, codes = np.unique(hashes, return_inverse=True)
        self._times = np.unique(times)
        places = self._places(codes, np.searchsorted(self._times, times))
        order = np.argsort(places, kind="stable")
        self._rows = known[order]
        self._sorted = places[order]
        self._codes = codes[order]
        self._of_row = times[order]

    @property
    def nbytes(self) -> int:
        """Bytes that the index takes, without the table."""
        parts = (self._rows, self._sorted, self._codes, self._of_row, self._hashes, self._times)
        return int(sum(part.nbytes for part in parts))

    def latest(self, batch: pa.RecordBatch, keys: Sequence[str], time: str, tolerance: int | None = None) -> Pairs:
        """The pairs, of which each row of the batch is in one at most; `tolerance` is in microseconds."""
        columns = [plain(batch.column(key)) for key in keys]
        wanted = hash_rows(batch, keys)
        known = all_valid([*columns, batch.column(time)], batch.num_rows)
        if not len(self._rows):
            return Pairs(np.empty(0, np.int64), np.empty(0, np.int64))
        codes = np.minimum(_search(self._hashes, wanted), len(self._hashes) - 1)
        known &= self._hashes[codes] == wanted
        times = _micros(batch.column(time))
        ranks = np.searchsorted(self._times, times, "right") - 1
        found = np.searchsorted(self._sorted, self._places(codes, ranks), "right") - 1
        known &= (ranks >= 0) & (found >= 0)
        found = np.maximum(found, 0)
        known &= self._codes[found] == codes
        if tolerance is not None:
            known &= times - self._of_row[found] <= tolerance
        mine = np.flatnonzero(known)
        theirs = self._rows[found[mine]]
        same = np.ones(len(mine), bool)
        for left, right in zip(columns, self._keys, strict=True):
            equal = pc.equal(left.take(pa.array(mine)), right.take(pa.array(theirs)))
            same &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False)
        return Pairs(mine[same], theirs[same])

    def _places(self, codes: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Key and time as one number, in the order of (key, time)."""
        return codes.astype(np.int64) * np.int64(len(self._times) + 1) + ranks + 1


def _search(ordered: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Rows:
    """Where values are in an ordered array. In a large one they are looked for in order, which the cache likes."""
    if len(ordered) < LARGE:
        return np.searchsorted(ordered, wanted)
    order = np.argsort(wanted)
    places = np.empty(len(wanted), np.int64)
    places[order] = np.searchsorted(ordered, wanted[order])
    return places


def plain(values: pa.Array) -> pa.Array:
    """Values as they are compared: dictionaries and large strings as strings, integers as int64."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_large_string(values.type):
        return values.cast(pa.string())
    if pa.types.is_integer(values.type) and not pa.types.is_uint64(values.type):
        return values.cast(pa.int64())
    return values


def all_valid(columns: Sequence[pa.Array], rows: int) -> npt.NDArray[np.bool_]:
    """Which rows have a value in every one of the columns."""
    known = np.ones(rows, bool)
    for values in columns:
        if values.null_count:
            known &= values.is_valid().to_numpy(zero_copy_only=False)
    return known


def _micros(times: pa.Array) -> npt.NDArray[np.int64]:
    """Times (or any integers) as int64; a null is anything."""
    if pa.types.is_temporal(times.type):
        times = times.cast(pa.timestamp("us", "UTC"))
    return pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
