"""What a stream is read from: a log of partitions, each a sequence of rows at growing positions.

A source for a new kind of broker is two classes: an address (frozen dataclass) and the open log that it makes.
`read_log.ReadLog` does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from beam_pipelines.ingest.streams.pool import Address


class Polled(NamedTuple):
    """Rows of one partition.

    `batch` is a raw batch (`columnar.provenance`), or one with `__failures` of what could be read but is no record;
    it may have no rows, as when what was there is nothing to anybody (a transaction's marker). `position` is where
    reading goes on. `finished`: nothing will ever come after these.
    """

    partition: str
    batch: pa.RecordBatch
    position: int
    finished: bool = False
    watermark: int | None = None
    """What the log itself says of the partition's watermark, in microseconds since the epoch."""


class PartitionedLog(Protocol):
    """An open log: a client with its connections. Methods are never called at the same time by two threads.

    What can't be done now (a broker that is down) is tried again by the log itself as its policy says, and then
    raised: the bundle fails and the runner tries it again. UsageError for what no retry can mend.
    """

    def partitions(self) -> Sequence[str]:
        """All partitions there are now, in an order in which new ones come last."""

    @property
    def is_complete(self) -> bool:
        """Whether no partition will ever be added: then the stream ends when all are finished."""

    def start(self, partition: str) -> int:
        """The position at which a partition is begun, such as its earliest row, or the next one to come."""

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:
        """Rows from these positions on, at most so many rows and about so many bytes over all partitions.

        `positions` are those of all partitions to be read, the one that holds the watermark first. Often they are
        where the last poll left off, and not when a bundle is tried again: then the log has to go back. Waits for
        rows a tenth of a second at most. One row longer than `max_bytes` comes alone. Empty if there is nothing now.
        """

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        """The position behind the last row that is there now, asked of the server; of a finite log, its end.

        A partition that can't be asked is left out: it isn't taken to be idle.
        """

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:
        """Rows (about) behind each position, asked of the server; 0 only if there are none now.

        A partition that can't be asked is left out: it isn't taken to be idle.
        """

    def commit(self, positions: Mapping[str, int]) -> None:
        """Tell the server that all before these positions is done with; they never go back."""

    def close(self) -> None:
        """Give connections back."""


class Changes(NamedTuple):
    """What a log whose partitions come and go says of them.

    `new` are to be read from now on. `gone` have been read to their end and will never be named again: nothing of
    them has to be remembered.
    """

    new: Sequence[str] = ()
    gone: Sequence[str] = ()


@runtime_checkable
class ChangingLog(PartitionedLog, Protocol):
    """A log whose partitions come and go, such as files of a folder: it has no order in which to count them.

    So it says itself which are the share of `open`'s shard, also in `partitions`, and it is asked before each poll:
    it may keep its answer for a while.
    """

    def changes(self, known: Mapping[str, bool]) -> Changes:
        """What is new beside the `known` partitions of the share, each with whether it has been read to its end."""


LogAddress = Address[PartitionedLog]
"""Where a log is. The log that reader number `shard` opens is asked for partitions number p with p mod `shards` =
`shard`; a `ChangingLog` has another way to share them, which is its own."""
