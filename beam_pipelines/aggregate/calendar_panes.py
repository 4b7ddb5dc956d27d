"""Panes of calendar windows in a stream, by state and timers: Beam has no such windows that every runner takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines.aggregate.kernels import TIMINGS, Pane, merge_partials
from beam_pipelines.aggregate.keys import start_of
from beam_pipelines.aggregate.plan import AggregationPlan
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.window.expiry import end_of
from beam_pipelines.window.firing import Firing


class FireCalendarWindows(beam.DoFn):
    """(key, partial) to Panes, in the global window; a key names one window and shard.

    A window fires when the watermark passes its end, and once more for each round of late partials.
    """

    HELD = BagStateSpec("held", RecordBatchCoder())
    FIRED = ReadModifyWriteStateSpec("fired", VarIntCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)
    EXPIRY = TimerSpec("expiry", TimeDomain.WATERMARK)

    def __init__(self, plan: AggregationPlan, firing: Firing) -> None:
        self._plan = plan
        self._firing = firing

    def process(
        self,
        element: tuple[bytes, pa.RecordBatch],
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008  Beam's way of asking for it, here and below
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
        expiry: Any = beam.DoFn.TimerParam(EXPIRY),  # noqa: B008
    ) -> None:
        key, partial = element
        held.add(partial)
        ends = end_of(start_of(key), self._plan.window)
        end.set(Timestamp(micros=ends))
        if self._firing.lateness_micros:
            expiry.set(Timestamp(micros=ends + self._firing.lateness_micros))

    @on_timer(END)  # type: ignore[untyped-decorator]
    def at_end(
        self,
        key: bytes = beam.DoFn.KeyParam,
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008
        fired: Any = beam.DoFn.StateParam(FIRED),  # noqa: B008
    ) -> Iterator[Pane]:
        partials = list(held.read())
        if not partials:
            return
        merged = merge_partials(partials, self._plan)
        index = fired.read() or 0
        held.clear()
        if self._firing.lateness_micros:
            fired.write(index + 1)
            if self._firing.accumulation == "accumulating":
                held.add(merged)
        timing = TIMINGS.index("late" if index else "on_time")
        start = start_of(key)
        yield Pane(merged, start, end_of(start, self._plan.window), index, timing)

    @on_timer(EXPIRY)  # type: ignore[untyped-decorator]
    def forget(
        self,
        held: Any = beam.DoFn.StateParam(HELD),  # noqa: B008
        fired: Any = beam.DoFn.StateParam(FIRED),  # noqa: B008
    ) -> None:
        held.clear()
        fired.clear()
