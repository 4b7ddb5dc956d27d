"""Readers of one stream in one process: none tells the runner of more than all the others have promised.

A runner has to take the least of what a stream's readers tell. Prism (2.77) takes that of whichever ended a bundle last
(`estimatedOutput` of a stage), so a reader that is behind, as after a broker was away, brought rows that were late, or
that Prism dropped without a word. On runners that take the least this changes nothing but that a watermark may be a
bundle behind. What is in other processes isn't known here, and Prism has one.
"""

from __future__ import annotations

import dataclasses
import threading
import time

from beam_pipelines.ingest.streams.watermarks import ENDED

GONE_SECONDS = 30.0
"""A reader that hasn't begun a bundle for so long has gone to another process, or has never been in this one."""


@dataclasses.dataclass
class _Promise:
    """What the runner was told when a reader's last bundle ended, and with it all that was read until then."""

    micros: int | None
    heard: float
    in_bundle: bool = False

    @property
    def counts(self) -> bool:
        return self.in_bundle or time.monotonic() - self.heard < GONE_SECONDS


_promises: dict[str, dict[int, _Promise]] = {}  # stream → reader → what it promised
_lock = threading.Lock()


def expect(stream: str, readers: int) -> None:
    """Know of a stream's readers before the first of them begins."""
    with _lock:
        for name in [name for name, theirs in _promises.items() if not any(each.counts for each in theirs.values())]:
            del _promises[name]
        _promises[stream] = {reader: _Promise(None, time.monotonic()) for reader in range(readers)}


def begin(stream: str, reader: int, micros: int | None) -> None:
    """A bundle of a reader begins: the runner has the one before, and was told of a watermark then."""
    with _lock:
        theirs = _promises.setdefault(stream, {})
        before = theirs.get(reader)
        if before is not None and before.micros is not None:
            micros = before.micros if micros is None else max(micros, before.micros)
        theirs[reader] = _Promise(micros, time.monotonic(), in_bundle=True)


def rest(stream: str, reader: int) -> None:
    """A reader's bundle ends; whether the runner has what it read isn't known before the next one begins."""
    with _lock:
        promise = _promises.get(stream, {}).get(reader)
        if promise is not None:
            promise.heard, promise.in_bundle = time.monotonic(), False


def end(stream: str, reader: int) -> None:
    """The runner has all that a reader will ever bring."""
    with _lock:
        _promises.get(stream, {}).pop(reader, None)


def least_of_others(stream: str, reader: int) -> int | None:
    """The least that other readers have promised: None if one of them nothing, ENDED if there are none."""
    with _lock:
        theirs = _promises.get(stream, {})
        promised = [each.micros for other, each in theirs.items() if other != reader and each.counts]
    known = [micros for micros in promised if micros is not None]
    return min(known, default=ENDED) if len(known) == len(promised) else None
