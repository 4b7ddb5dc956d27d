"""Partials cut into pieces that meet again under a key, of a window and a shard."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate.plan import MIN_TIME, WINDOW_START, AggregationPlan
from beam_pipelines.columnar.batches import split_to_bounds
from beam_pipelines.columnar.shards import by_shard, shard_of
from beam_pipelines.window.assign import to_micros
from beam_pipelines.window.sliding import window_starts_of

_KEY = struct.Struct(">qI")


class Piece(NamedTuple):
    """Part of a partial; `time` is its earliest row's in microseconds, None without windows."""

    key: bytes
    time: int | None
    partial: pa.RecordBatch


def by_window(merged: pa.RecordBatch, plan: AggregationPlan, shards: int) -> Iterator[Piece]:
    """Cut for a runner that shall see one window only: windows are in the keys.

    All sessions of a shard are together, since their windows are known when all rows are.
    """
    starts = to_micros(merged.column(WINDOW_START))
    if plan.window.kind == "session":
        starts = np.zeros(len(starts), np.int64)
    elif plan.window.kind == "sliding":
        places, starts = window_starts_of(starts, plan.window.size_micros, plan.window.period_micros)
        merged = merged.take(pa.array(places))
    groups = plan.group_columns
    hashed = shard_of(merged, groups, shards) if groups else np.zeros(merged.num_rows, np.int32)
    distinct, numbers = np.unique(starts, return_inverse=True)
    for place, piece in by_shard(merged, (numbers * shards + hashed).astype(np.int64)):
        key = _KEY.pack(distinct[place // shards], place % shards)
        # Not earlier than the elements the rows came in, and never after its window.
        time = None if plan.window.kind == "none" else pc.min(piece.column(MIN_TIME)).value
        for bounded in split_to_bounds(piece):
            yield Piece(key, time, bounded)


def start_of(key: bytes) -> int:
    """Start of the window that is in a key, in microseconds; 0 without windows."""
    start: int = _KEY.unpack(key)[0]
    return start
