"""How much a stream reads before what it has read is committed."""

from __future__ import annotations

BUNDLE_BYTES = 128 << 20
"""Bytes that a bundle may read before it is committed: what is in flight, and read again after a crash."""

BUNDLE_SECONDS = 2.0
"""Longest time of a bundle that always has something to read: results and commits wait for its end."""

POLL_SECONDS = 1.0
"""Pause after a poll that found nothing. Flink fails below about half a second (see docs/streams.md)."""

MAX_READERS = 20
"""Most readers that share a log's partitions: as many as Beam asks a source for."""
