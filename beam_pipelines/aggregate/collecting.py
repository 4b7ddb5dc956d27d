"""Partials of batches, merged over a bundle before they are shuffled, each at its place in time."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.aggregate.kernels import merge_partials, partial_aggregate
from beam_pipelines.aggregate.keys import by_time, by_window
from beam_pipelines.aggregate.plan import AggregationPlan
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS

MAX_HELD_GROUPS = 8 * MAX_BATCH_ROWS
"""Rows of partials held while a bundle goes on: about 10 MB, more with distinct counts."""

MAX_HELD_BYTES = 32 << 20
"""Bytes of merged partials held while a bundle goes on; distinct values make few groups large."""

MIN_MERGED_BYTES = 8 << 20
"""Bytes of partials that are worth merging; and as many as are merged already."""


_SALT = struct.Struct(">H")


class CollectPartials(beam.DoFn):
    """Batches to (key, partial), merged over the bundle; one element for each window and shard.

    With a `fanout`, each goes to one of so many parts of its key at random: `without_salt` is the key itself.
    """

    def __init__(
        self, plan: AggregationPlan, shards: int, *, in_keys: bool, counts: bool, stage: str, fanout: int = 1
    ) -> None:
        self._plan = plan
        self._shards = shards
        self._cut = by_window if in_keys else by_time
        self._counts = counts
        self._stage = stage
        self._fanout = fanout
        self.start_bundle()

    def start_bundle(self) -> None:
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._merged_bytes = 0
        self._earliest = MAX_TIMESTAMP

    def process(
        self, batch: pa.RecordBatch, timestamp: Timestamp = beam.DoFn.TimestampParam
    ) -> Iterator[WindowedValue | beam.pvalue.TaggedOutput]:
        if self._counts:
            yield outcome.note(self._stage, ledger.AGGREGATED, batch.num_rows, output=ledger.AGGREGATES)
        if not batch.num_rows:
            return
        partial = partial_aggregate(batch, self._plan)
        self._earliest = min(self._earliest, timestamp)
        self._held.append(partial)
        self._held_rows += partial.num_rows
        self._held_bytes += partial.nbytes
        if self._held_rows > MAX_HELD_GROUPS or self._held_bytes > max(MIN_MERGED_BYTES, 2 * self._merged_bytes):
            merged = merge_partials(self._held, self._plan)
            self._held, self._held_rows = [merged], merged.num_rows
            self._held_bytes = self._merged_bytes = merged.nbytes
            if merged.num_rows > MAX_HELD_GROUPS // 2 or merged.nbytes > MAX_HELD_BYTES:
                yield from self.finish_bundle()
                self.start_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if not self._held:
            return
        merged = merge_partials(self._held, self._plan)
        for key, micros, piece in self._cut(merged, self._plan, self._shards):
            time = self._earliest if micros is None else Timestamp(micros=micros)
            salt = b"" if self._fanout == 1 else _SALT.pack(random.randrange(self._fanout))  # noqa: S311  no secret
            yield WindowedValue((key + salt, piece), time, (GlobalWindow(),))


def without_salt(element: tuple[bytes, pa.RecordBatch]) -> tuple[bytes, pa.RecordBatch]:
    """The key that all parts of a hot key share."""
    return element[0][: -_SALT.size], element[1]
