"""What a process has open of streams: one client for each (address, shard), whoever reads by it.

A runner may make a new reader for every bundle (Flink does), and what a checkpoint says comes from other threads than
reads: both use the client that is open already. One that nobody has used for a while is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

IDLE_SECONDS = 120.0
"""A client that was not used for so long is closed: its reader went to another worker, or the job ended."""

KEEP_SECONDS = 1.0
"""Between two times that clients which have to be kept alive are looked after."""

_log = logging.getLogger(__name__)


class Closable(Protocol):
    """An open client."""

    def close(self) -> None:
        """Give connections back."""


T = TypeVar("T", bound=Closable)
T_co = TypeVar("T_co", bound=Closable, covariant=True)


class Address(Hashable, Protocol[T_co]):
    """Where a stream is and how it is read: picklable, compared by value, shown in messages (so without secrets)."""

    @property
    def name(self) -> str:
        """What it is called in metrics and messages: a topic, a subscription, a folder."""

    def open(self, shard: int, shards: int) -> T_co:
        """Connect, on the worker, as reader number `shard` of `shards`."""


class Share(NamedTuple):
    """One reader's share of a stream."""

    address: Address[Closable]
    shard: int
    shards: int


class _Held(Generic[T]):
    def __init__(self, share: Share) -> None:
        self.share = share
        self.lock = threading.RLock()
        self.client: T | None = None
        self.used = time.monotonic()


class Pool(Generic[T]):
    """Open clients of one kind. `keep` is called for each of them about every second while nobody uses it."""

    def __init__(self, open: Callable[[Share], T], keep: Callable[[T], None] | None = None) -> None:
        self._open_one = open
        self._keep_one = keep
        self._held: dict[Share, _Held[T]] = {}
        self._lock = threading.Lock()
        self._keeper: threading.Thread | None = None
        atexit.register(self.close_all)

    @contextlib.contextmanager
    def using(self, share: Share) -> Iterator[T]:
        """Have a client to oneself for a moment. One that raised is closed, and opened again when it is next used."""
        with self._lock:
            held = self._held.setdefault(share, _Held(share))
            held.used = time.monotonic()
            if self._keep_one is not None and self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="streams-keeper", daemon=True)
                self._keeper.start()
        self.close_idle()
        with held.lock:
            if held.client is None:
                held.client = self._open_one(share)
            try:
                yield held.client
            except BaseException:
                _close(held)
                raise
            finally:
                held.used = time.monotonic()

    @contextlib.contextmanager
    def if_open(self, share: Share) -> Iterator[T | None]:
        """Have a client to oneself as `using` does, if it is open; else None."""
        with self._lock:
            held = self._held.get(share)
        if held is None or held.client is None:
            yield None
            return
        with self.using(share) as client:
            yield client

    def close_all(self) -> None:
        """Close every client of this process that nobody is using."""
        self.close_idle(-1.0)

    def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close clients that nobody has used for so long."""
        with self._lock:
            now = time.monotonic()
            idle = [each for each in self._held.values() if each.client is not None and now - each.used > seconds]
        for each in idle:
            if each.lock.acquire(blocking=False):
                try:
                    _close(each)
                finally:
                    each.lock.release()

    def _keep(self) -> None:
        while True:
            time.sleep(KEEP_SECONDS)
            self.close_idle()
            with self._lock:
                held = list(self._held.values())
            for each in held:
                self._look_after(each)

    def _look_after(self, held: _Held[T]) -> None:
        if self._keep_one is None or not held.lock.acquire(blocking=False):
            return  # who uses it looks after it
        try:
            if held.client is not None:
                self._keep_one(held.client)
        except Exception:  # whoever uses it next is told
            _log.info("%s could not be kept alive", held.share.address.name, exc_info=True)
        finally:
            held.lock.release()


def _close(held: _Held[T]) -> None:
    client, held.client = held.client, None
    if client is not None:
        try:
            client.close()
        except Exception:  # it is given up either way
            _log.warning("closing %s failed", held.share.address.name, exc_info=True)
