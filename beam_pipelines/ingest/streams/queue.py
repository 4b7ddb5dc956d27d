"""What a stream is read from when there is nothing to go back to: a queue whose messages are acknowledged one by one.

A source for a new kind of queue is two classes: an address (frozen dataclass) and the open queue that it makes.
`read_queue.ReadQueue` does the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from beam_pipelines.ingest.streams.pool import Address


class Received(NamedTuple):
    """Messages that came together.

    `batch` is a raw batch (`columnar.provenance`), or one with `__failures` of what is no record or was tried too
    often. `handles` are what each is acknowledged by. `tries` is how often the broker has delivered them, this time
    among them, as far as it tells.
    """

    batch: pa.RecordBatch
    handles: Sequence[Any]
    tries: int = 1


class AcknowledgedQueue(Protocol):
    """An open queue: a client with its connections. Methods are never called at the same time by two threads.

    What can't be done now is tried again by the queue itself as its policy says, and then raised: the bundle fails
    and the runner tries it again. UsageError for what no retry can mend. A queue whose connection is lost forgets
    what it has received: the broker delivers it again.
    """

    lease_seconds: float | None
    """For how long a message is ours from when it was received or last extended; None: as long as we are connected."""

    def receive(self, max_rows: int, max_bytes: int) -> Sequence[Received]:
        """Messages that wait, at most so many rows and about so many bytes; one longer than that comes alone.

        Waits for them a tenth of a second at most. Empty if there is nothing now.
        """

    def acknowledge(self, handles: Sequence[Any]) -> None:
        """Tell the broker that these are done with. Nothing happens for handles of a connection that was lost."""

    def give_back(self, handles: Sequence[Any]) -> None:
        """Have the broker deliver these again."""

    def extend(self, handles: Sequence[Any]) -> None:
        """Lease these for `lease_seconds` from now on."""

    def keep_alive(self) -> None:
        """Do what keeps the connection: called about every second, while nothing else is."""

    def waiting(self) -> int | None:
        """Messages (about) that wait, 0 only if there are none now, as far as can be told; None if it can't."""

    def close(self) -> None:
        """Give connections back, and with them what was received and not acknowledged."""


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What may be received and not yet acknowledged: beyond these, nothing more is given out.

    `seconds`: after so long a message is given back, since whoever had it won't finish it. None is without a bound.
    """

    messages: int | None = 100_000
    bytes: int | None = 256 << 20
    seconds: float = 600.0


class QueueAddress(Address[AcknowledgedQueue], Protocol):
    """Where a queue is. `open` is called on the worker, for reader number `shard` of `shards`."""

    @property
    def bounds(self) -> Bounds:
        """How much of it may be under way in one reader."""
