"""Files that hold columns, opened for Arrow: what they yield, and whose fault an error is."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from beam_pipelines.decode.columns import wanted_columns
from beam_pipelines.ingest.damage import CORRUPT, UNREADABLE
from beam_pipelines.ingest.records import Refusal

UNREADABLE_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""What Arrow raises for bytes that are no such file, or that claim to be absurdly large."""


class ColumnRows(NamedTuple):
    """Rows of a file as a struct of its columns, and the int64 position of each."""

    records: pa.StructArray
    positions: pa.Array


class Watched:
    """A file for Arrow that remembers why a read failed: the medium and the network aren't the format's fault."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self.failed: OSError | None = None

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.failed = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing to do: Arrow asks on closing."""

    def close(self) -> None:
        """Left to who opened it."""

    def refusal(self, what: str, error: Exception, position: int) -> Refusal:
        """Refuse what an error hides; an I/O error that may pass is raised instead, for the runner to try again."""
        import errno

        if self.failed is not None and self.failed.errno != errno.EIO:
            raise OSError(self.failed.errno, f"can't read '{self._path}': {self.failed}") from error
        rule = CORRUPT if self.failed is None else UNREADABLE
        words = str(error).partition("\n")[0] or type(error).__name__
        return Refusal(rule, f"{what} can't be read: {words}", b"", position)


def select(names: list[str], columns: tuple[str, ...] | None) -> list[str] | None:
    """The columns to read; None for all, also when none is wanted, so that a dead letter shows what is there."""
    if columns is None:
        return None
    return wanted_columns(names, columns) or None


def rows_from(batch: pa.RecordBatch, first: int) -> ColumnRows:
    """Rows numbered from `first` on."""
    records: Any = batch.to_struct_array()
    return ColumnRows(records, pa.array(range(first, first + batch.num_rows), pa.int64()))
