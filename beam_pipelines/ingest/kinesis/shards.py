"""Which shards of a stream are to be read when: parents before their children. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from beam_pipelines.ingest.streams.log import Changes


class Shard(NamedTuple):
    """A shard and those it was made from: one by a split, two by a merge."""

    name: str
    parents: tuple[str, ...] = ()
    closed: bool = False

    @property
    def number(self) -> int:
        """Its number, as provenance has it.

        >>> Shard("shardId-000000000012").number
        12
        """
        digits = self.name.rpartition("-")[2]
        return int(digits) & 0x7FFFFFFF if digits.isdigit() else 0


def share_of(name: str, shards: int) -> int:
    """Which of so many readers has a shard, in whatever process it is asked: their numbers grow for ever."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) % shards


def changes(listed: Sequence[Shard], mine: Collection[str], known: Mapping[str, bool]) -> Changes:
    """Which of my shards are to be read from now on, and which of those known are past retention.

    A shard waits for its parents that are mine and still listed. `known` says of each whether it is finished.

    >>> parent, child = Shard("shardId-0", closed=True), Shard("shardId-1", ("shardId-0",))
    >>> changes([parent, child], {"shardId-0", "shardId-1"}, {"shardId-0": False}).new
    []
    >>> changes([parent, child], {"shardId-0", "shardId-1"}, {"shardId-0": True}).new
    ['shardId-1']
    >>> changes([child], {"shardId-1"}, {"shardId-0": True, "shardId-1": False}).gone
    ['shardId-0']
    """
    there = {shard.name for shard in listed}
    awaited = there & set(mine)
    new = [
        shard.name
        for shard in listed
        if shard.name in mine
        and shard.name not in known
        and all(known.get(parent, False) for parent in shard.parents if parent in awaited)
    ]
    return Changes(new, [name for name, finished in known.items() if finished and name not in there])
