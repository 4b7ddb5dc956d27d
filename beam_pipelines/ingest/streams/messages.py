"""Messages of queues → raw batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, PROVENANCE, RECORD_FORMAT, SOURCE_TYPE
from beam_pipelines.dead_letters import failure, failures_column

_COLUMNS = {PAYLOAD: pa.binary(), **{name: kind for name, kind in PROVENANCE.items() if name != "__partition"}}


class Message(NamedTuple):
    """A message, and what its broker tells of it. `published` is in microseconds since the epoch."""

    payload: bytes
    position: int
    published: int | None = None
    key: bytes | None = None
    attributes: Sequence[tuple[str, bytes]] = ()
    tries: int = 1


def raw_messages(messages: Sequence[Message], source: str, format: str) -> pa.RecordBatch:
    """Put messages into a raw batch.

    >>> raw_messages([Message(b"{}", 7)], "orders", "jsonl").select(["__payload", "__source", "__position"]).to_pylist()
    [{'__payload': b'{}', '__source': 'orders', '__position': 7}]
    """
    rows = len(messages)
    attributes = [message.attributes or None for message in messages]
    columns = {
        PAYLOAD: pa.array([message.payload for message in messages], pa.binary()),
        "__source": pa.DictionaryArray.from_arrays(
            pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([source], pa.string())
        ).cast(SOURCE_TYPE),
        "__position": pa.array([message.position for message in messages], pa.int64()),
        "__publish_time": pa.array([message.published for message in messages], pa.int64()).cast(
            PROVENANCE["__publish_time"]
        ),
        "__key": pa.array([message.key for message in messages], pa.binary()),
        # Pairs, not a dict: names may come twice.
        "__attributes": pa.array(attributes, PROVENANCE["__attributes"])
        if any(attributes)
        else pa.nulls(rows, PROVENANCE["__attributes"]),
    }
    metadata = {RECORD_FORMAT: format.encode()}
    return pa.record_batch([columns[name] for name in _COLUMNS], names=list(_COLUMNS), metadata=metadata)


def poisoned(batch: pa.RecordBatch, rule: str, tries: int) -> pa.RecordBatch:
    """Refuse all rows of a raw batch: they were delivered more often than `tries` and never acknowledged."""
    said = f"was delivered more than {tries} times and never acknowledged: whatever read it has failed each time"
    return batch.append_column(FAILURES, failures_column([[failure(rule, None, None, said)]] * batch.num_rows))


def position_of(name: str) -> int:
    """A message's name as a position: the number that it is, else 63 bits of its hash. The same for the same name.

    >>> position_of("8104712358"), 0 < position_of("m7") < 2**63
    (8104712358, True)
    """
    if name.isascii() and name.isdigit() and len(name) <= 18:
        return int(name)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 1


def by_tries(messages: Sequence[Message]) -> Mapping[int, list[int]]:
    """Which messages were delivered how often, those that came for the first time first."""
    found: dict[int, list[int]] = {}
    for place, message in enumerate(messages):
        found.setdefault(message.tries, []).append(place)
    return dict(sorted(found.items()))
