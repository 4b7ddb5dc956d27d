"""Keys that were seen, remembered for a time: which rows of a batch are new, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beam_pipelines.columnar.batches import concat
from beam_pipelines.columnar.shards import Hashes, hash_rows
from beam_pipelines.transform.deduplicate import keep_one

HASH, UNTIL, _ORDER = "__hash", "__until", "__order"


class News(NamedTuple):
    """`fresh`: the rows whose key was not seen, each key once. `keys`: what is remembered of them."""

    fresh: pa.RecordBatch
    keys: pa.RecordBatch


def unseen(batch: pa.RecordBatch, keys: Sequence[str], until: pa.Array, seen: Sequence[pa.RecordBatch]) -> News:
    """Split off the rows whose key is not among those seen; of equal keys in the batch the first row is fresh.

    `until` tells for each row (in microseconds) how long its key is to be remembered. Keys are compared by
    a hash first, and by their values where hashes are equal.

    >>> first = unseen(pa.record_batch({"id": [1, 2, 1]}), ["id"], pa.array([9, 9, 9]), [])
    >>> unseen(pa.record_batch({"id": [2, 3]}), ["id"], pa.array([9, 9]), [first.keys]).fresh.to_pydict()
    {'id': [3]}
    """
    hashes = hash_rows(batch, keys)
    distinct, counts = np.unique(hashes, return_counts=True)
    again = [_found(_hashes(part), distinct) for part in seen]  # of those remembered, the few that may be meant
    suspect = np.isin(
        hashes,
        np.concatenate([distinct[counts > 1], *(_hashes(part)[some] for part, some in zip(seen, again, strict=True))]),
    )
    fresh = np.ones(batch.num_rows, bool)
    if suspect.any():
        mine = np.flatnonzero(suspect)
        earlier = [part.filter(pa.array(some)).select(list(keys)) for part, some in zip(seen, again, strict=True)]
        pool = concat([*earlier, batch.select(list(keys)).take(pa.array(mine))])
        before = pool.num_rows - len(mine)
        ordered = pool.append_column(_ORDER, pa.array(np.arange(pool.num_rows)))
        firsts = keep_one(ordered, keys, _ORDER).column(_ORDER).to_numpy()
        fresh[mine] = False
        fresh[mine[firsts[firsts >= before] - before]] = True
    kept = batch.filter(pa.array(fresh))
    remembered = kept.select(list(keys)).replace_schema_metadata(None)
    remembered = remembered.append_column(HASH, pa.array(hashes[fresh]))
    return News(kept, remembered.append_column(UNTIL, until.cast(pa.int64()).filter(pa.array(fresh))))


def remembered(seen: Sequence[pa.RecordBatch], now: int) -> pa.RecordBatch | None:
    """What is still to be remembered at a time in microseconds, in one batch; None when that is nothing."""
    if not seen:
        return None
    together = concat(seen)
    left = together.filter(pa.array(together.column(UNTIL).to_numpy() > now))
    return left if left.num_rows else None


def earliest(seen: pa.RecordBatch) -> int:
    """When the first of the keys is to be forgotten."""
    return int(seen.column(UNTIL).to_numpy().min())


def _found(hashes: Hashes, wanted: Hashes) -> npt.NDArray[np.bool_]:
    """Which hashes are among a few sorted ones."""
    if not len(wanted):
        return np.zeros(len(hashes), bool)
    places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
    return wanted[places] == hashes


def _hashes(seen: pa.RecordBatch) -> Hashes:
    hashes: Hashes = seen.column(HASH).to_numpy()
    return hashes
