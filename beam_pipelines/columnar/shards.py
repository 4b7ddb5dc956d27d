"""Which shard a row belongs to: a hash of its key columns that is the same in every process and run.

Equal keys share a shard; a shard holds many keys, so whoever receives one still compares the keys
themselves. The hash is not cryptographic and no secret.

Words are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014). Changing it moves rows to other shards of a running stream's state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, RECORD

Hashes = npt.NDArray[np.uint64]

SEED = np.uint64(0x9E3779B97F4A7C15)
NULL = np.uint64(0xD6E8FEB86659FD93)
"""Hash of a null: a value of its own, so that rows without a key meet in one shard."""

LONG_BYTES = 256
"""Longer strings are hashed one by one with BLAKE2b: in columns of words each would cost a pass."""


def shard_of(batch: pa.RecordBatch, columns: Sequence[str], shards: int) -> npt.NDArray[np.int32]:
    """Return each row's shard, 0 to `shards` - 1, by the values of `columns`.

    Integers of any width, and strings dictionary-encoded or not, hash alike; -0.0 is 0.0 and a NaN is
    any NaN. TypeError for a column of nested type. About 50 ns a row for a short string.

    >>> shard_of(pa.record_batch({"id": [7, 8, 7]}), ["id"], 4).tolist()
    [2, 1, 2]
    """
    return (hash_rows(batch, columns) % np.uint64(shards)).astype(np.int32)


def hash_rows(batch: pa.RecordBatch, columns: Sequence[str]) -> Hashes:
    """Return 64 bits for each row from its values in `columns`, whose order counts."""
    hashes = np.full(batch.num_rows, SEED, np.uint64)
    for name in columns:
        hashes = _mix((hashes * np.uint64(31)) ^ _hash_column(batch.column(name), name))
    return hashes


def by_shard(batch: pa.RecordBatch, shards: npt.NDArray[np.int32]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut a batch into one piece for each shard that has rows; rows keep their order inside it.

    >>> batch = pa.record_batch({"id": [7, 8, 7]})
    >>> [(shard, piece.num_rows) for shard, piece in by_shard(batch, shard_of(batch, ["id"], 4))]
    [(1, 1), (2, 2)]
    """
    order = np.argsort(shards, kind="stable")
    ordered = batch.take(pa.array(order))
    found, starts = np.unique(shards[order], return_index=True)
    for shard, start, end in zip(found, starts, np.append(starts[1:], batch.num_rows), strict=False):
        yield int(shard), ordered.slice(start, end - start)


def without_payload(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return what is shuffled: all but the raw payload. ValueError for rows that were not validated."""
    if FAILURES in batch.schema.names and batch.column(FAILURES).null_count < batch.num_rows:
        raise ValueError("rows that failed decoding were to be shuffled: put ValidateBatches before")
    names = [name for name in batch.schema.names if name not in (PAYLOAD, RECORD, FAILURES)]
    return batch.select(names).replace_schema_metadata(None)  # of one file; others say something else


def _mix(words: Hashes) -> Hashes:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _hash_column(values: pa.Array, name: str) -> Hashes:
    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), NULL, np.uint64)
    if pa.types.is_dictionary(kind):
        # A null among the indices points nowhere: a null is appended to the values for it to point to.
        of_words: Hashes = np.append(_hash_column(values.dictionary, name), NULL)
        places = pc.fill_null(values.indices.cast(pa.int64()), len(values.dictionary))
        return of_words[places.to_numpy(zero_copy_only=False)]
    if len(values) == 0:
        return np.empty(0, np.uint64)
    hashes = _hash_values(values, name)
    if values.null_count:
        hashes = np.where(values.is_null().to_numpy(zero_copy_only=False), NULL, hashes)
    return hashes


def _hash_values(values: pa.Array, name: str) -> Hashes:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _hash_bytes(values.cast(pa.large_binary()))
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _hash_bytes(values.cast(pa.large_binary()))
    if pa.types.is_decimal128(kind):
        end = values.offset + len(values)
        halves = np.frombuffer(values.buffers()[1], np.uint64, count=2 * end).reshape(-1, 2)
        low, high = halves[values.offset :].T
        return _mix(_mix(low) ^ high)
    if pa.types.is_floating(kind):
        numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) + 0.0
        return _mix(np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64))
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        values = values.cast(pa.int32())
    elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind)):
        raise TypeError(f"column '{name}' of type {kind} can't be part of a key")
    if not pa.types.is_uint64(kind):
        values = values.cast(pa.int64())
    return _mix(pc.fill_null(values, 0).to_numpy(zero_copy_only=False).view(np.uint64))


def _hash_bytes(values: pa.LargeBinaryArray) -> Hashes:
    """Hash strings eight bytes at a time, all strings together; the tail is padded with zeros."""
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    first, last = int(bounds[0]), int(bounds[-1])
    used: Any = b"" if data is None else memoryview(data)[first:last]
    padded = np.zeros(last - first + 8, np.uint8)
    padded[: last - first] = np.frombuffer(used, np.uint8)
    words = np.ndarray((last - first + 1,), "<u8", padded, strides=(1,))  # the word at every byte
    starts, lengths = bounds[:-1] - first, np.diff(bounds)

    hashes = _mix(lengths.astype(np.uint64) + SEED)
    active = np.flatnonzero((lengths > 0) & (lengths <= LONG_BYTES))
    done = 0
    while active.size:
        left = lengths[active] - done
        tail = np.uint64(8) * np.uint64(8) - np.minimum(left, 8).astype(np.uint64) * np.uint64(8)
        word = words[starts[active] + done] << tail  # drops the bytes of the next string
        hashes[active] = _mix(hashes[active] ^ word)
        done += 8
        active = active[left > 8]
    for row in np.flatnonzero(lengths > LONG_BYTES):
        start = starts[row]
        digest = hashlib.blake2b(padded[start : start + lengths[row]].tobytes(), digest_size=8).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return hashes
