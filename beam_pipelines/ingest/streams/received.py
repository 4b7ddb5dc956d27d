"""Messages as a queue gives them out: those that were delivered before apart, those delivered too often refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_pipelines.ingest.streams.messages import Message, by_tries, poisoned, raw_messages
from beam_pipelines.ingest.streams.queue import Received


def received_of(
    messages: Sequence[Message], handles: Sequence[Any], source: str, format: str, rule: str, tries: int
) -> list[Received]:
    """Put messages into raw batches, one for each number of deliveries; beyond `tries` they break `rule`.

    >>> found = received_of([Message(b"a", 1), Message(b"b", 2, tries=4)], "xy", "q", "jsonl", "q.poison", 3)
    >>> [(each.handles, each.tries, "__failures" in each.batch.schema.names) for each in found]
    [(['x'], 1, False), (['y'], 1, True)]
    """
    found = []
    for times, places in by_tries(messages).items():
        batch = raw_messages([messages[place] for place in places], source, format)
        those = [handles[place] for place in places]
        # What is refused isn't looked into by anybody: it can't fail again.
        found.append(Received(poisoned(batch, rule, tries), those) if times > tries else Received(batch, those, times))
    return found
