"""What a person wants to know of a running job, from two snapshots of its numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_pipelines.live.families import BACKLOG, CIRCUIT, DEAD_LETTERS, LAG, RETRIES, ROWS, WRITTEN, Family, samples
from beam_pipelines.sink.live_numbers import Snapshot

CIRCUITS = ("closed", "half open", "open")


@dataclasses.dataclass(frozen=True)
class View:
    """`rate` is rows read a second since the snapshot before; None of the first one."""

    run_id: str
    at: float
    rate: float | None
    outcomes: dict[str, int]
    written: dict[str, int]
    dead_letters: dict[str, int]
    lag: dict[str, float]
    backlog: dict[str, dict[str, int]]
    circuits: dict[str, str]
    retries: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """For a page."""
        return dataclasses.asdict(self)


def view_of(run_id: str, now: Snapshot, before: Snapshot | None = None) -> View:
    """Sum up a snapshot.

    >>> from beam_pipelines.progress import Series
    >>> read = Series("read", (("stage", "ReadLog"),))
    >>> view_of("r", Snapshot(12.0, {read: 300}, {}), Snapshot(10.0, {read: 100}, {})).rate
    100.0
    """
    outcomes = _sums(now, ROWS, 1)
    rate = None
    if before is not None and now.at > before.at:
        rate = max(0, outcomes.get("read", 0) - _sums(before, ROWS, 1).get("read", 0)) / (now.at - before.at)
    lag: dict[str, float] = {}
    backlog: dict[str, dict[str, int]] = {}
    circuits = {}
    for sample in samples(now):
        if sample.family is LAG:  # the stream's watermark is that of the reader most behind
            lag[sample.labels[0]] = max(sample.value, lag.get(sample.labels[0], 0))
        elif sample.family is BACKLOG:
            backlog.setdefault(sample.labels[0], {})[sample.labels[1]] = int(sample.value)
        elif sample.family is CIRCUIT:
            circuits[sample.labels[0]] = CIRCUITS[int(sample.value)]
    letters = _sums(now, DEAD_LETTERS, 1)
    by_number = dict(sorted(letters.items(), key=lambda item: (-item[1], item[0])))
    return View(
        run_id,
        now.at,
        rate,
        outcomes,
        _sums(now, WRITTEN, 0),
        by_number,
        lag,
        backlog,
        circuits,
        _sums(now, RETRIES, 0),
    )


def _sums(snapshot: Snapshot, family: Family, label: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for sample in samples(snapshot):
        if sample.family is family:
            found[sample.labels[label]] = found.get(sample.labels[label], 0) + int(sample.value)
    return found
