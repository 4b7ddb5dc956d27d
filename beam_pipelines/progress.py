"""What this process has counted and measured so far, for people to look at while it runs.

These are attempts: a bundle that is tried again counts again. What really happened is the ledger's to say. Labels name
what is counted (a rule, a topic's partition, an endpoint), never a value of a row.

>>> before = counted().get("read", 0)
>>> count("read", 3, stage="ReadFiles")
>>> counted()["read"] - before
3
>>> gauge("backlog_rows", 7, source="orders", partition="0")
>>> gauges()[Series("backlog_rows", (("partition", "0"), ("source", "orders")))].value
7
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import NamedTuple

BYTES = "bytes"
"""Bytes of the payloads read."""

BACKLOG = "backlog_rows"
"""Gauge of rows (about) that wait in a partition: labels source, partition."""

WATERMARK_LAG = "watermark_lag_seconds"
"""Gauge of how far a reader's watermark is behind the clock: labels source, reader."""

CIRCUIT = "circuit_state"
"""Gauge of an endpoint's circuit: 0 closed, 1 half open, 2 open."""

RETRIED = "retried"
"""Count of calls of an endpoint that failed and were tried again."""


class Series(NamedTuple):
    """A name and its labels, sorted."""

    name: str
    labels: tuple[tuple[str, str], ...]


class Measured(NamedTuple):
    """A gauge's value and when it was set, in seconds since the epoch."""

    value: float
    at: float


_LOCK = threading.Lock()
_COUNTED: Counter[Series] = Counter()
_MEASURED: dict[Series, Measured] = {}


def count(what: str, number: int, **labels: str) -> None:
    """Add to a count: an outcome of the ledger, BYTES or RETRIED."""
    series = Series(what, tuple(sorted(labels.items())))
    with _LOCK:
        _COUNTED[series] += number


def counted() -> dict[str, int]:
    """All counts since the process began, whatever their labels."""
    found: Counter[str] = Counter()
    for series, number in counts().items():
        found[series.name] += number
    return dict(found)


def counts() -> dict[Series, int]:
    """All counts since the process began, by labels."""
    with _LOCK:
        return dict(_COUNTED)


def gauge(what: str, value: float, **labels: str) -> None:
    """Set what is measured now: BACKLOG, WATERMARK_LAG or CIRCUIT."""
    series = Series(what, tuple(sorted(labels.items())))
    with _LOCK:
        _MEASURED[series] = Measured(value, time.time())


def gauges() -> dict[Series, Measured]:
    """The last value of each gauge that was ever set in this process."""
    with _LOCK:
        return dict(_MEASURED)
