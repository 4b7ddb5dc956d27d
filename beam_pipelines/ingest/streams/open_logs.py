"""The logs a process has open: one for each (address, shard), whoever reads it.

A runner may make a new reader for every bundle (Flink does), and commits come from other threads than reads: both use
the log that is open already. One that nobody has used for a while is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from beam_pipelines.ingest.streams.log import LogAddress, PartitionedLog

IDLE_SECONDS = 120.0
"""A log that was not used for so long is closed: its reader went to another worker, or the job ended."""


class Shard(NamedTuple):
    """One reader's share of a log: partitions number p with p mod `shards` = `shard`."""

    address: LogAddress
    shard: int
    shards: int


class _Open:
    def __init__(self, share: Shard) -> None:
        self.share = share
        self.lock = threading.Lock()
        self.log: PartitionedLog | None = None
        self.used = time.monotonic()
        self.committed: dict[str, int] = {}


_open: dict[Shard, _Open] = {}
_lock = threading.Lock()
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def using(share: Shard) -> Iterator[PartitionedLog]:
    """Have a log to oneself for a moment. One that raised is closed, and opened again when it is next used."""
    with _lock:
        held = _open.setdefault(share, _Open(share))
        held.used = time.monotonic()
    _close_idle()
    with held.lock:
        if held.log is None:
            held.log = share.address.open(share.shard, share.shards)
        try:
            yield held.log
        except BaseException:
            _close(held)
            raise
        finally:
            held.used = time.monotonic()


def commit(share: Shard, positions: Mapping[str, int]) -> None:
    """Commit positions that are further than those committed already: marks come out of order."""
    with using(share) as log:
        committed = _open[share].committed
        further = {name: at for name, at in positions.items() if at > committed.get(name, -1)}
        if further:
            log.commit(further)
            committed.update(further)


def close_all() -> None:
    """Close every log of this process that nobody is using."""
    _close_idle(-1.0)


def _close_idle(seconds: float = IDLE_SECONDS) -> None:
    with _lock:
        now = time.monotonic()
        idle = [each for each in _open.values() if now - each.used > seconds]
    for each in idle:
        if each.lock.acquire(blocking=False):
            try:
                _close(each)
            finally:
                each.lock.release()


def _close(held: _Open) -> None:
    log, held.log = held.log, None
    if log is not None:
        try:
            log.close()
        except Exception:  # it is given up either way
            _log.warning("closing %s failed", held.share.address.name, exc_info=True)


atexit.register(close_all)
