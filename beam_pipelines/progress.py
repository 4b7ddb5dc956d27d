"""What the stages in this process have counted so far, for a terminal to show while they run.

These are attempts: a bundle that is tried again counts again. What really happened is the ledger's to say.

>>> before = counted().get("read", 0)
>>> count("read", 3)
>>> counted()["read"] - before
3
"""

from __future__ import annotations

import threading
from collections import Counter

BYTES = "bytes"
"""Bytes of the payloads read."""

_LOCK = threading.Lock()
_COUNTED: Counter[str] = Counter()


def count(what: str, number: int) -> None:
    """Add to a count: an outcome of the ledger, or BYTES."""
    with _LOCK:
        _COUNTED[what] += number


def counted() -> dict[str, int]:
    """All counts since the process began."""
    with _LOCK:
        return dict(_COUNTED)
