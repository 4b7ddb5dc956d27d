"""What a table is to whoever reads it: parts that can be read apart, each of the same rows whenever it is read."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Protocol

import pyarrow as pa

Part = str
"""By what a table finds one of its parts again, as text: a range of keys, a file of a snapshot, a stream's name."""


class Table(Hashable, Protocol):
    """A table and how it is read: picklable, compared by value, without secrets."""

    @property
    def name(self) -> str:
        """The table in messages and dead letters: its URI without options."""

    def check(self) -> None:
        """Connect, where the pipeline is made, and look: UsageError for what a person has to mend."""

    def parts(self) -> Sequence[Part]:
        """The parts of the table as it is now, asked once, on a worker; none for an empty table.

        Where the store has snapshots, the parts are of one.
        """

    def read(self, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of a part, in the same order whenever it is read, as far as the store keeps one."""
