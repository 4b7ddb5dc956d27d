"""Clicks at a steady rate whose event time is when they are written, for as long as somebody wants them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime, timezone

from confluent_kafka import Producer

from benchmarks.kafka import messages
from benchmarks.kafka.rules import WINDOW_SECONDS

_TICK = 0.01  # seconds; clicks of a tick have one event time
_KINDS = 2000  # different clicks; what is bad among them is a hundredth of each
_BEHIND = 0.5  # seconds: a writer that is more behind doesn't hold its rate


class Clicks:
    """Writes them from a thread of its own. `rate`, in messages a second, may be changed at any time."""

    def __init__(self, broker: str, topic: str, rate: float) -> None:
        self.rate = rate
        self.written = 0
        self.good: Counter[int] = Counter()
        """Good clicks by the start of their window, in seconds since the epoch."""
        self.behind = 0.0
        """Longest that the writer was behind its rate, in seconds, since somebody set it to 0."""
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "linger.ms": 5,
                "queue.buffering.max.messages": 0,
                "enable.idempotence": True,
                "log_level": 2,
            }
        )
        self._parts = [parts(number) for number in range(_KINDS)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="clicks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop when all that was written is in the log."""
        self._stop.set()
        self._thread.join()
        self._producer.flush()
        del self._producer  # which else looks for a broker that has gone

    @property
    def holds(self) -> bool:
        """Whether the writer itself kept up."""
        return self.behind < _BEHIND and len(self._producer) < self.rate * _BEHIND

    def _write(self) -> None:
        due, then = 0.0, time.monotonic()
        while not self._stop.wait(_TICK):
            now = time.monotonic()
            due += (now - then) * self.rate
            then = now
            at = datetime.now(timezone.utc)
            window = int(at.timestamp()) // WINDOW_SECONDS * WINDOW_SECONDS
            text, good = at.isoformat().encode(), 0
            for _ in range(int(due)):
                before, after, is_good = self._parts[self.written % _KINDS]
                payload = before + text + after if after else before
                self._producer.produce(self._topic, payload, partition=self.written % messages.PARTITIONS)
                self.written += 1
                good += is_good
            self.good[window] += good
            due -= int(due)
            self._producer.poll(0)
            self.behind = max(self.behind, time.monotonic() - now)


def parts(number: int) -> tuple[bytes, bytes, bool]:
    """What is before and after a click's time, nothing after it where its time is none; and whether it is good."""
    found, is_good = messages.click(number)
    text = messages.text_of(number, found)
    before, _, after = text.partition(found["at"].encode())
    return (text, b"", False) if found["at"] == "yesterday" else (before, after, is_good)
