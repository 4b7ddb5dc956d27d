"""How far a stream is, from the event times of its rows: a watermark for each partition, and the least of them.

Pure: the clock's reading is an argument. Times are microseconds since the epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from beam_pipelines.errors import UsageError

ENDED = 1 << 62
"""Watermark of what is finished: later than any time that Beam can hold."""

NOBODY = ""
"""Stands for the partitions of a reader that has none: it must not hold up the others for ever."""

MICROS = 1_000_000


@dataclasses.dataclass(frozen=True)
class WatermarkPolicy:
    """How a watermark follows from event times, in seconds.

    `out_of_orderness`: how much earlier than the latest row a row of the same partition may be. Of an idle partition:
    how much earlier than the moment it comes.
    `idle_after`: a partition of which the server says for so long that nothing waits, or which brings only rows without
    an event time, no longer holds the watermark.
    `ahead`: how far ahead of this machine's clock an event time may be to be believed; a later one counts as that.
    None believes every time, as for recorded streams.
    `by_rows`: whether event times of rows say anything, or only what the log tells (`Polled.watermark`).
    """

    out_of_orderness: float = 5.0
    idle_after: float = 60.0
    ahead: float | None = 0.0
    by_rows: bool = True

    def __post_init__(self) -> None:
        for name in ("out_of_orderness", "idle_after", "ahead"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 10**9:
                raise UsageError(f"{name}: {value} is not a number of seconds from 0 on")


class PartitionState(NamedTuple):
    """What is known of a partition: its latest believed event time, and since when it has been quiet."""

    latest: int | None = None
    quiet_since: int | None = None
    finished: bool = False


class Watermarks:
    """The watermark of some partitions.

    >>> seen = Watermarks(WatermarkPolicy(out_of_orderness=2, idle_after=10, ahead=None), ["a", "b"])
    >>> seen.saw("a", 60 * MICROS, now=0)
    >>> seen.watermark() is None  # nothing is known of b
    True
    >>> seen.saw("b", 50 * MICROS, now=0)
    >>> seen.watermark() // MICROS
    48
    """

    def __init__(
        self,
        policy: WatermarkPolicy,
        partitions: Iterable[str] = (),
        states: Mapping[str, PartitionState] | None = None,
    ) -> None:
        self._policy = policy
        self._late = round(policy.out_of_orderness * MICROS)
        self._states: dict[str, PartitionState] = dict(states) if states else {NOBODY: PartitionState()}
        self._idle: dict[str, int] = {}  # partition → when it was last heard to be idle
        for partition in partitions:
            self.add(partition)

    def add(self, partition: str) -> None:
        """Know of a partition, which holds the watermark until something is known of it."""
        if partition not in self._states:
            self._states[partition] = PartitionState()
            self._states.pop(NOBODY, None)

    def saw(self, partition: str, latest: int | None, now: int) -> None:
        """Rows came, the latest of this event time; None if no row of them has one.

        Rows without one don't tell how far their partition is. If for `idle_after` it has brought only such, it is as
        good as idle: poison must not hold up the others for ever. Of what is recorded the clock says nothing.
        """
        if not self._policy.by_rows:
            return
        if latest is None:
            if self._policy.ahead is not None:
                self.quiet(partition, now)
            return
        state = self._states[partition]
        if self._policy.ahead is not None:
            latest = min(latest, now + round(self._policy.ahead * MICROS))
        known = latest if state.latest is None else max(latest, state.latest)
        self._states[partition] = PartitionState(known, finished=state.finished)
        self._idle.pop(partition, None)

    def told(self, partition: str, watermark: int) -> None:
        """The log said how far a partition is."""
        state, latest = self._states[partition], watermark + self._late
        self._states[partition] = state._replace(latest=max(latest, state.latest or latest))

    def quiet(self, partition: str, now: int) -> None:
        """The server says that nothing waits, or what came has no event time."""
        state = self._states[partition]
        since = now if state.quiet_since is None else state.quiet_since
        self._states[partition] = state._replace(quiet_since=since)
        if now - since >= round(self._policy.idle_after * MICROS):
            self._idle[partition] = now

    def unknown(self, partition: str) -> None:
        """Something waits, or the server can't be asked."""
        self._states[partition] = self._states[partition]._replace(quiet_since=None)
        self._idle.pop(partition, None)

    def expect(self) -> None:
        """All are finished, and others may be added: hold the watermark for them as for one idle partition."""
        self._states.setdefault(NOBODY, PartitionState())

    def forget(self, partition: str) -> None:
        """Know nothing any more of a finished partition; the last one leaves a place for those that may come."""
        del self._states[partition]
        if not self._states:
            self._states[NOBODY] = PartitionState()

    def finish(self, partition: str) -> None:
        """Nothing will ever come of it."""
        self._states[partition] = self._states[partition]._replace(finished=True)

    @property
    def states(self) -> Mapping[str, PartitionState]:
        return self._states

    def of(self, partition: str) -> int | None:
        """Watermark of one partition; None while nothing is known."""
        state = self._states[partition]
        if state.finished:
            return ENDED
        times = [each for each in (state.latest, self._idle.get(partition)) if each is not None]
        return max(times) - self._late if times else None

    def watermark(self) -> int | None:
        """The earliest of all partitions' watermarks; None while one is unknown, ENDED when all are finished."""
        marks = [self.of(partition) for partition in self._states]
        known = [mark for mark in marks if mark is not None]
        return min(known) if len(known) == len(marks) else None

    def most_behind_first(self, partitions: Iterable[str]) -> list[str]:
        """Partitions by watermark: the one that holds it first, those of which nothing is known before it."""
        marks = {partition: self.of(partition) for partition in partitions}
        return sorted(marks, key=lambda partition: -ENDED if (mark := marks[partition]) is None else mark)
