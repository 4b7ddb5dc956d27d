"""The queues a process has open, and the messages each has given out and nobody has acknowledged yet.

What is to be acknowledged is kept here and not in checkpoint marks: a mark only says up to where. It is of use to
this process alone, since another one has not received these messages; they are delivered again if this one dies.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from beam_pipelines.ingest.streams.pool import Pool, Share
from beam_pipelines.ingest.streams.queue import AcknowledgedQueue, Bounds, QueueAddress, Received

_log = logging.getLogger(__name__)


class _Given(NamedTuple):
    chain: str
    handles: list[Any]
    size: int
    at: float


class OpenQueue:
    """A queue's client, what it has received, and what of that is with readers.

    What is given out is numbered. `session` tells these numbers from those of another client. A chain is a reader
    and those that go on where it left off: they see one message after the other, so what comes before a durable one
    of their own is durable too.
    """

    def __init__(self, queue: AcknowledgedQueue, bounds: Bounds, name: str) -> None:
        self.session = uuid.uuid4().hex
        self._queue = queue
        self._bounds = bounds
        self._name = name
        self._ready: deque[Received] = deque()
        self._given: dict[int, _Given] = {}
        self._number = 0
        self._extended = time.monotonic()
        self._acknowledged = False

    def take(self, chain: str, max_rows: int, max_bytes: int) -> tuple[int, Received] | None:
        """The next messages, and their number; None if there are none now, or too much is under way."""
        self.look_after()
        if not self._ready:
            if self.is_full:
                return None
            for received in self._queue.receive(max_rows, max_bytes):
                self._ready.extend(pieces(received, max_rows))
        if not self._ready:
            return None
        received = self._ready.popleft()
        self._number += 1
        size = received.batch.nbytes
        self._given[self._number] = _Given(chain, list(received.handles), size, time.monotonic())
        return self._number, received

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be acknowledged that nothing more is given out."""
        messages = sum(len(given.handles) for given in self._given.values())
        size = sum(given.size for given in self._given.values())
        most, most_bytes = self._bounds.messages, self._bounds.bytes
        return (most is not None and messages >= most) or (most_bytes is not None and size >= most_bytes)

    def acknowledge(self, chain: str, upto: int) -> None:
        """Acknowledge what a chain was given up to a number: it is durable."""
        done = [number for number, given in self._given.items() if given.chain == chain and number <= upto]
        if done:
            self._acknowledged = True
            self._queue.acknowledge([handle for number in done for handle in self._given.pop(number).handles])

    def give_back(self, numbers: Iterable[int]) -> None:
        """Have the broker deliver messages again."""
        handles = [handle for number in numbers if number in self._given for handle in self._given.pop(number).handles]
        if handles:
            self._queue.give_back(handles)

    def forget_after(self, chain: str, upto: int) -> None:
        """Give back what a chain was given after a number: the runner went back to there."""
        self.give_back([number for number, given in self._given.items() if given.chain == chain and number > upto])

    def waiting(self) -> int | None:
        """Messages that wait, as far as can be told."""
        if self.is_full:
            return None
        waiting = self._queue.waiting()
        return None if waiting is None else waiting + sum(len(received.handles) for received in self._ready)

    def look_after(self) -> None:
        """Keep the connection and the leases; give back what nobody will finish."""
        self._queue.keep_alive()
        now = time.monotonic()
        old = [number for number, given in self._given.items() if now - given.at > self._bounds.seconds]
        if old:
            why = "" if self._acknowledged else " (does this runner finalise bundles? On Flink, with checkpoints)"
            _log.warning(
                "%s: %d batches of messages were not acknowledged within %.0f s%s, and are given back",
                *(self._name, len(old), self._bounds.seconds, why),
            )
            self.give_back(old)
        lease = self._queue.lease_seconds
        if lease is not None and now - self._extended >= lease / 3:
            self._extended = now
            handles = [handle for given in self._given.values() for handle in given.handles]
            handles += [handle for received in self._ready for handle in received.handles]
            if handles:
                self._queue.extend(handles)

    def close(self) -> None:
        """Give back all that wasn't acknowledged."""
        try:
            self.give_back(list(self._given))
            if self._ready:
                self._queue.give_back([handle for received in self._ready for handle in received.handles])
        finally:
            self._queue.close()


def pieces(received: Received, max_rows: int) -> list[Received]:
    """Cut messages that were delivered before, the smaller the more often: so that one that can't be handled is found.

    >>> import pyarrow as pa
    >>> twice = Received(pa.record_batch({"__payload": [b"x"] * 40}), range(40), tries=2)
    >>> [len(piece.handles) for piece in pieces(twice, 256)]
    [16, 16, 8]
    """
    rows = received.batch.num_rows
    most = max(1, max_rows >> 4 * min(received.tries - 1, 8))
    if rows <= most:
        return [received]
    return [
        received._replace(batch=received.batch.slice(at, most), handles=received.handles[at : at + most])
        for at in range(0, rows, most)
    ]


def _open(share: Share) -> OpenQueue:
    address = cast("QueueAddress", share.address)
    return OpenQueue(address.open(share.shard, share.shards), address.bounds, address.name)


_pool: Pool[OpenQueue] = Pool(_open, OpenQueue.look_after)


@contextlib.contextmanager
def using(share: Share) -> Iterator[OpenQueue]:
    """Have a queue to oneself for a moment. One that raised is closed, and opened again when it is next used."""
    with _pool.using(share) as queue:
        yield queue


@contextlib.contextmanager
def of_session(share: Share, session: str) -> Iterator[OpenQueue | None]:
    """Have a queue to oneself, if it is the one of this session; else None, as it has forgotten these messages."""
    with _pool.if_open(share) as queue:
        yield queue if queue is not None and queue.session == session else None


close_all = _pool.close_all
