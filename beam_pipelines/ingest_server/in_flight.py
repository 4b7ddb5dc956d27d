"""How much the server holds."""

from __future__ import annotations

import threading

from beam_pipelines.ingest_server.refusal import RefusalError

RETRY_AFTER = {"Retry-After": "1"}  # seconds


class InFlight:
    """Bytes of bodies that are held, over all threads, with a bound.

    >>> held = InFlight(10)
    >>> held.take(6), held.give_back(6), held.take(10), held.bytes
    (None, None, None, 10)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self.bytes = 0

    def take(self, count: int) -> None:
        """Hold more. RefusalError 503 if that is too much."""
        with self._lock:
            if self.bytes + count > self._most:
                raise RefusalError(
                    503, "more is under way than this server holds: send it again later", headers=RETRY_AFTER
                )
            self.bytes += count

    def give_back(self, count: int) -> None:
        """Hold less."""
        with self._lock:
            self.bytes -= count
