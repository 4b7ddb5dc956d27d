"""Where the partitions of a topic are begun: `earliest`, `latest`, `committed`, `timestamp:…` or `offsets:…`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from beam_pipelines.errors import did_you_mean
from beam_pipelines.ingest.streams.start_times import millis_of

KINDS = ("earliest", "latest", "committed", "timestamp:2024-05-01T00:00:00Z", "offsets:0=120,1=98")


class Start(NamedTuple):
    """Where to begin. `millis` is of `timestamp`, `offsets` of `offsets`, by partition."""

    kind: str
    millis: int = 0
    offsets: tuple[tuple[int, int], ...] = ()

    @property
    def by_partition(self) -> Mapping[int, int]:
        return dict(self.offsets)


def parse_start(text: str) -> Start:
    """Read where to begin. ValueError says what is allowed.

    `timestamp` is that of the log, not the event time: the first message of each partition at or after it. Of
    partitions that `offsets` doesn't name, the earliest message there is.

    >>> parse_start("offsets:0=120,1=98").by_partition
    {0: 120, 1: 98}
    >>> parse_start("timestamp:1970-01-01T00:00:01Z")
    Start(kind='timestamp', millis=1000, offsets=())
    """
    kind, colon, value = text.partition(":")
    if not colon and kind in ("earliest", "latest", "committed"):
        return Start(kind)
    if kind == "timestamp" and colon:
        return Start(kind, millis_of(value))
    if kind == "offsets" and re.fullmatch(r"\d+=\d+(,\d+=\d+)*", value):
        pairs = [part.split("=") for part in value.split(",")]
        offsets = tuple((int(partition), int(offset)) for partition, offset in pairs)
        if len(dict(offsets)) < len(offsets):
            raise ValueError("names a partition twice")
        return Start(kind, offsets=offsets)
    hint = did_you_mean(kind, [each.partition(":")[0] for each in KINDS])
    raise ValueError(f"is not one of {', '.join(KINDS)}.{hint if hint.startswith(' Did') else ''}")


def check_start(text: str) -> None:
    """Check of an option: ValueError unless `parse_start` can read it."""
    parse_start(text)
