"""Deduplicate a stream: keys are remembered in state for a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.transform.seen_keys import earliest, remembered, unseen

MAX_PIECES = 16
"""Batches of remembered keys in a shard's state before they are put together."""

_ROUNDS = 8
"""Times that a shard looks for keys to forget while one is remembered: more cost more, fewer remember longer."""


class KeepFirstSeen(beam.DoFn):
    """(shard, batch) → batches of rows whose key the shard hasn't seen; duplicates go to the ledger.

    A key is remembered until the watermark has passed its first row's event time by `time_to_live`
    (microseconds), and for an eighth of that longer at most.
    """

    SEEN = BagStateSpec("seen", RecordBatchCoder())
    PIECES = ReadModifyWriteStateSpec("pieces", VarIntCoder())
    DUE = ReadModifyWriteStateSpec("due", VarIntCoder())
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)

    def __init__(self, keys: tuple[str, ...], event_time: str | None, time_to_live: int, stage: str) -> None:
        self._keys = keys
        self._event_time = event_time
        self._time_to_live = time_to_live
        self._stage = stage

    def process(
        self,
        element: tuple[int, pa.RecordBatch],
        time: Any = beam.DoFn.TimestampParam,
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008  Beam's way of asking for it, here and below
        pieces: Any = beam.DoFn.StateParam(PIECES),  # noqa: B008
        due: Any = beam.DoFn.StateParam(DUE),  # noqa: B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> Iterator[Any]:
        batch = element[1]
        known = list(seen.read())
        fresh, keys = unseen(batch, self._keys, self._until(batch, time.micros), known)
        if keys.num_rows:
            count = (pieces.read() or 0) + 1
            if count > MAX_PIECES:
                seen.clear()
                together = remembered([*known, keys], -(2**63))
                seen.add(together)
                count = 1
            else:
                seen.add(keys)
            pieces.write(count)
            if due.read() is None:
                self._look_again(earliest(keys), due, forget)
        if batch.num_rows > fresh.num_rows:
            yield outcome.note(self._stage, ledger.DUPLICATE, batch.num_rows - fresh.num_rows)
        if fresh.num_rows:
            yield fresh

    @on_timer(FORGET)  # type: ignore[untyped-decorator]
    def forget_some(
        self,
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008
        pieces: Any = beam.DoFn.StateParam(PIECES),  # noqa: B008
        due: Any = beam.DoFn.StateParam(DUE),  # noqa: B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: B008
    ) -> None:
        now = due.read()
        left = None if now is None else remembered(list(seen.read()), now)
        seen.clear()
        due.clear()
        pieces.clear()
        if left is not None:
            seen.add(left)
            pieces.write(1)
            self._look_again(earliest(left), due, forget)

    def _look_again(self, first: int, due: Any, forget: Any) -> None:
        step = max(1, self._time_to_live // _ROUNDS)
        when = -(-first // step) * step
        due.write(when)
        forget.set(Timestamp(micros=when))

    def _until(self, batch: pa.RecordBatch, stamp: int) -> pa.Array:
        if self._event_time is None:
            return pa.repeat(pa.scalar(stamp + self._time_to_live), batch.num_rows)
        times = batch.column(self._event_time).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return pc.add(pc.fill_null(times, stamp), self._time_to_live)
