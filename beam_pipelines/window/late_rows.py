"""SplitLateRows: rows whose window has closed, as an output, before the runner would drop them in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.coders import VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.batches import concat
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.expressions import EvaluationError
from beam_pipelines.columnar.source_watermark import source_watermark
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.window.assign import to_micros
from beam_pipelines.window.duration import seconds_of
from beam_pipelines.window.expiry import expiries, next_expiry
from beam_pipelines.window.spec import Window, parse_window

STAGE = "SplitLateRows"

LATE = "late"

_HEAD_START = 16
"""Windows before that of the first rows from which on expiries are watched one by one."""

_START = MIN_TIMESTAMP + 1
"""A watermark that has moved is beyond."""

_NOTHING = pa.RecordBatch.from_pylist([], pa.schema([]))

_ROUNDS = 2
"""Rounds of timers after which a timer of the past would have fired: it was seen in the first of them."""


PATIENCE = 16
"""Expiries looked at one by one while no rows come; then ever further ahead, or a leap of the watermark by
years (as at the end of a stream) would take a round of timers for each window on the way."""


class SplitRows(NamedTuple):
    """`on_time`: batches whose windows are open. `late`: batches of late rows. `ledger`: its entries."""

    on_time: beam.PCollection[pa.RecordBatch]
    late: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]


class SplitLateRows(beam.PTransform):
    """Split batches of an unbounded stream into rows on time and late rows; all columns ride along.

    A row is late when the watermark has passed the end of its window by the allowed lateness (in
    microseconds, or as `1h`): with sliding windows, of the last one it is in. Each row that comes is in
    the ledger as AGGREGATED, each late one as LATE, of the output AGGREGATES. What goes out on time can't be late for a
    runner downstream, if nothing between holds it up without holding the watermark.

    No transform can ask what the watermark is. An event-time timer tells: one is always pending at the
    next expiry, and as long as it is, it holds the watermark of what comes out before that instant. At the
    start of a stream a timer at the beginning of time tells that the watermark hasn't moved: all is on time.
    Rows that expire before the pending timer (by more than some windows than the first rows, or the first
    ones after the watermark moved) wait for two rounds of timers with the timer at their own expiry; it
    fires in them if it was too late. Runners that let such rounds wait for the watermark (Prism, Flink) may
    call those rows late though they came in time, if it leaps over their expiry at once.

    Which rows are late depends on the runner's watermark; no row is lost or counted twice.

    `event_time` names a timestamp column without nulls. Batches are judged in `shards` parts at once, of
    which each has its own look at the watermark. `stage` is the name in the ledger.
    """

    def __init__(
        self,
        window: Window | str,
        event_time: str,
        allowed_lateness: int | str = 0,
        shards: int = 1,
        *,
        stage: str = STAGE,
    ) -> None:
        super().__init__()
        lateness = allowed_lateness
        if isinstance(lateness, str):
            lateness = round(seconds_of(lateness) * 1_000_000)
        self._split = _Split(parse_window(window), event_time, lateness, stage)
        self._shards = shards

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> SplitRows:
        sharded = (
            batches
            | "WithoutWindows" >> beam.WindowInto(GlobalWindows())
            | "Shard"
            >> beam.ParDo(_Shard(self._split.event_time, self._shards)).with_output_types(tuple[int, pa.RecordBatch])
        )
        # As long as these are on their way, they hold the watermark at the beginning of time.
        starts = batches.pipeline | "Starts" >> beam.Create(
            [(shard, _NOTHING) for shard in range(self._shards)], reshuffle=False
        ).with_output_types(tuple[int, pa.RecordBatch])
        split = (
            (sharded, starts)
            | "WithStarts" >> beam.Flatten()
            | "Split"
            >> beam.ParDo(self._split)
            .with_output_types(pa.RecordBatch, **{LATE: pa.RecordBatch, outcome.LEDGER: LedgerEntry})
            .with_outputs(LATE, outcome.LEDGER, main="on_time")
        )
        return SplitRows(split.on_time, split[LATE], split[outcome.LEDGER])


class _Shard(beam.DoFn):
    def __init__(self, event_time: str, shards: int) -> None:
        self._event_time = event_time
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        if batch.num_rows:
            first = int(to_micros(batch.column(self._event_time).slice(0, 1))[0])
            yield (first * 0x9E3779B1 >> 16) % self._shards, batch


class _Split(beam.DoFn):
    WAITING = BagStateSpec("waiting", RecordBatchCoder())
    """Batches of rows that expire before the timer that is pending."""
    PASSED = ReadModifyWriteStateSpec("passed", VarIntCoder())
    """Expiry at which the timer fired last: the watermark is there, or further."""
    PENDING = ReadModifyWriteStateSpec("pending", VarIntCoder())
    """Expiry at which the timer is set."""
    IDLE = ReadModifyWriteStateSpec("idle", VarIntCoder())
    """How often the timer fired since rows came."""
    ROUND = ReadModifyWriteStateSpec("round", VarIntCoder())
    """Rounds of timers since rows began to wait."""
    TOLD = ReadModifyWriteStateSpec("told", VarIntCoder())
    """The latest watermark of which a batch told, if batches do: expiries before it needn't be watched."""
    MOVED = ReadModifyWriteStateSpec("moved", VarIntCoder())
    """Whether the watermark has moved since the stream began."""
    START = TimerSpec("start", TimeDomain.WATERMARK)
    EXPIRY = TimerSpec("expiry", TimeDomain.WATERMARK)
    LOOK = TimerSpec("look", TimeDomain.WATERMARK)

    def __init__(self, window: Window, event_time: str, lateness: int, stage: str) -> None:
        self.event_time = event_time
        self._stage = stage
        self._window = window
        self._lateness = lateness

    def process(
        self,
        element: tuple[int, pa.RecordBatch],
        waiting: Any = beam.DoFn.StateParam(WAITING),  # noqa: B008  Beam's way of asking for it, here and below
        passed: Any = beam.DoFn.StateParam(PASSED),  # noqa: B008
        pending: Any = beam.DoFn.StateParam(PENDING),  # noqa: B008
        idle: Any = beam.DoFn.StateParam(IDLE),  # noqa: B008
        round: Any = beam.DoFn.StateParam(ROUND),  # noqa: B008
        told: Any = beam.DoFn.StateParam(TOLD),  # noqa: B008
        moved: Any = beam.DoFn.StateParam(MOVED),  # noqa: B008
        start: Any = beam.DoFn.TimerParam(START),  # noqa: B008
        expiry: Any = beam.DoFn.TimerParam(EXPIRY),  # noqa: B008
        look: Any = beam.DoFn.TimerParam(LOOK),  # noqa: B008
    ) -> Iterator[Any]:
        batch = element[1]
        if not batch.num_rows:
            start.set(_START)
            return
        yield outcome.note(self._stage, ledger.AGGREGATED, batch.num_rows, output=ledger.AGGREGATES)
        idle.write(0)
        ends = self._expiries(batch)
        last, due, reported = passed.read(), pending.read(), source_watermark(batch)
        if reported is not None:
            told.write(max(reported, told.read() or reported))
        if not moved.read():
            yield from self._pass(batch, np.ones(len(ends), bool))
            self._watch(int(ends.min()), expiry, pending)
            return
        late = ends <= last if last is not None else np.zeros(len(ends), bool)
        sure = ~late & (ends >= due) if due is not None else np.zeros(len(ends), bool)
        if reported is not None and (in_time := ~(late | sure) & (ends > reported)).any():
            sure |= in_time
            self._watch(int(ends[in_time].min()), expiry, pending)
        yield from self._refuse(batch, late)
        yield from self._pass(batch, sure)
        unsure = ~(late | sure)
        if unsure.any():
            waiting.add(batch.filter(pa.array(unsure)))
            _set(expiry, pending, int(ends[unsure].min()))
            _begin(round, look)

    @on_timer(START)  # type: ignore[untyped-decorator]
    def at_start(self, moved: Any = beam.DoFn.StateParam(MOVED)) -> None:  # noqa: B008
        moved.write(1)

    @on_timer(LOOK)  # type: ignore[untyped-decorator]
    def after_a_round(
        self,
        waiting: Any = beam.DoFn.StateParam(WAITING),  # noqa: B008
        round: Any = beam.DoFn.StateParam(ROUND),  # noqa: B008
        look: Any = beam.DoFn.TimerParam(LOOK),  # noqa: B008
    ) -> Iterator[Any]:
        done = (round.read() or 0) + 1
        if done < _ROUNDS:
            _begin(round, look, done)
            return
        # The timer at the first expiry of what waits has not fired: it holds the watermark for all of it.
        batches = list(waiting.read())
        waiting.clear()
        if batches:
            batch = concat(batches)
            yield from self._pass(batch, np.ones(batch.num_rows, bool))

    @on_timer(EXPIRY)  # type: ignore[untyped-decorator]
    def at_expiry(
        self,
        waiting: Any = beam.DoFn.StateParam(WAITING),  # noqa: B008
        passed: Any = beam.DoFn.StateParam(PASSED),  # noqa: B008
        pending: Any = beam.DoFn.StateParam(PENDING),  # noqa: B008
        idle: Any = beam.DoFn.StateParam(IDLE),  # noqa: B008
        round: Any = beam.DoFn.StateParam(ROUND),  # noqa: B008
        told: Any = beam.DoFn.StateParam(TOLD),  # noqa: B008
        expiry: Any = beam.DoFn.TimerParam(EXPIRY),  # noqa: B008
        look: Any = beam.DoFn.TimerParam(LOOK),  # noqa: B008
    ) -> Iterator[Any]:
        now = pending.read()
        if now is None:
            return
        pending.clear()
        passed.write(max(now, passed.read() or now))
        fired = (idle.read() or 0) + 1
        idle.write(fired)
        following = self._next(passed.read(), told.read(), fired)
        batches = list(waiting.read())
        waiting.clear()
        if batches:
            batch = concat(batches)
            ends = self._expiries(batch)
            late = ends <= passed.read()
            yield from self._refuse(batch, late)
            if not late.all():
                waiting.add(batch.filter(pa.array(~late)))
                following = int(ends[~late].min())
                _begin(round, look)
        if following is not None:
            _set(expiry, pending, following)

    def _next(self, passed: int, reported: int | None, fired: int) -> int | None:
        """The expiry to watch when one has passed and the timer has fired so often since rows came."""
        if reported is None:
            return next_expiry(passed, self._window, self._lateness, 4 ** max(0, fired - PATIENCE) - 1)
        beyond = next_expiry(passed, self._window, self._lateness, 64 ** max(0, fired - 1) - 1)
        if beyond is None or beyond > reported:
            return beyond
        return int(expiries(np.array([reported - self._lateness]), self._window, self._lateness)[0])

    def _expiries(self, batch: pa.RecordBatch) -> Any:
        times = batch.column(self.event_time)
        if times.null_count:
            raise EvaluationError(
                f"event time '{self.event_time}' is null in {times.null_count} of {batch.num_rows} rows: make the "
                "field required, so that such rows are dead letters"
            )
        return expiries(to_micros(times), self._window, self._lateness)

    def _watch(self, first: int, expiry: Any, pending: Any) -> None:
        """Have the timer pending before an expiry: some windows before it, if it is the first to be watched."""
        due = pending.read()
        if due is None:
            first -= _HEAD_START * (self._window.period_micros or self._window.size_micros)
        if due is None or first < due:
            _set(expiry, pending, first)

    def _pass(self, batch: pa.RecordBatch, rows: Any) -> Iterator[Any]:
        if rows.any():
            yield self._stamped(batch if rows.all() else batch.filter(pa.array(rows)))

    def _refuse(self, batch: pa.RecordBatch, rows: Any) -> Iterator[Any]:
        if rows.any():
            late = batch if rows.all() else batch.filter(pa.array(rows))
            yield outcome.note(self._stage, ledger.LATE, late.num_rows, output=ledger.AGGREGATES)
            yield beam.pvalue.TaggedOutput(LATE, self._stamped(late))

    def _stamped(self, batch: pa.RecordBatch) -> TimestampedValue:
        return TimestampedValue(batch, Timestamp(micros=int(to_micros(batch.column(self.event_time)).min())))


def _set(expiry: Any, pending: Any, when: int) -> None:
    pending.write(when)
    expiry.set(Timestamp(micros=when))


def _begin(round: Any, look: Any, done: int = 0) -> None:
    round.write(done)
    look.set(MIN_TIMESTAMP)
