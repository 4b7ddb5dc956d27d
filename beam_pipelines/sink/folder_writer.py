"""The files one bundle writes into one folder of the lake, below the run's temporary prefix.

Names are random: what a bundle holds is the runner's choice, and a bundle that is tried again must not
write over the files of its first try, which nobody will name.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.provenance import without_provenance
from beam_pipelines.sink import formats, storage
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.formats import DataFile
from beam_pipelines.sink.partitions import by_partition, null_folder
from beam_pipelines.sink.runs import RUNS

COUNTED = "__rows"
"""Column of an aggregate's batch: the rows in each pane. Summed for the balance, not written."""

ROW_GROUP_ROWS = 131_072
"""Rows in a Parquet row group: DuckDB and others read one row group per thread and want over 120,000."""

ROW_GROUP_BYTES = 32 << 20
"""Bytes of Arrow data in a row group, when rows are wide."""

HELD_BYTES = 32 << 20
"""Arrow bytes waiting to be written, over all partitions of a folder: the writer's share of memory."""

FILE_BYTES = 256 << 20
"""Size at which a file is closed and another begun: big enough that opening costs nothing, small enough
to be moved and read again in one go. Lake formats aim at 128 MB to 1 GB."""

OPEN_FILES = 64
"""Partitions with an open file; beyond it the one not written to for longest is closed, and more rows of
it go to another file. So a folder with very many partitions gets more, smaller files, not more memory."""

PARQUET = Encoding("parquet")

_COLUMN_BYTES = 500  # what a waiting column costs beside its data: Arrow's own objects


Cut = Callable[[pa.RecordBatch], Iterator[tuple[str, pa.RecordBatch]]]
"""How rows are cut into (folder, rows), if not by the values of partition columns."""


class WrittenFile(NamedTuple):
    """A closed file. `path` is where it will be below `root` when the run is committed."""

    folder: str
    root: str
    path: str
    rows: int
    counted: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """Where files go and what they hold. `schema` has the partition columns, files don't."""

    root: str
    run_id: str
    folder: str
    schema: pa.Schema
    partition_by: tuple[str, ...] = ()
    encoding: Encoding = PARQUET
    row_group_rows: int = ROW_GROUP_ROWS
    row_group_bytes: int = ROW_GROUP_BYTES
    held_bytes: int = HELD_BYTES
    file_bytes: int = FILE_BYTES
    open_files: int = OPEN_FILES
    cut: Cut | None = None

    @property
    def body(self) -> pa.Schema:
        """The columns that files hold."""
        own = [field for field in self.schema if field.name not in self.partition_by]
        return pa.schema(own, self.schema.metadata)

    def create(self, path: str) -> DataFile:
        """Open a new file."""
        return formats.create(path, self.body, self.encoding, letters=self.folder == "dead_letters")

    def new_path(self, partition: str) -> str:
        """A name below the root that no file has."""
        where = f"{self.folder}/{partition}" if partition else self.folder
        return f"{where}/{self.run_id}-{secrets.token_hex(8)}.{self.encoding.suffix}"


def temporary_prefix(root: str, run_id: str) -> str:
    """Where files of a run are until it is committed; below it they have their final relative path."""
    return f"{root}/{RUNS}/{run_id}/tmp"  # noqa: S108  below the lake


def write_empty(layout: FolderLayout) -> WrittenFile:
    """Write a file without rows, so that a reader who globs finds the columns even if nothing came."""
    path = layout.new_path(null_folder(layout.partition_by))
    file = layout.create(f"{temporary_prefix(layout.root, layout.run_id)}/{path}")
    try:
        file.close()
    except BaseException:
        file.abort()
        raise
    return WrittenFile(layout.folder, layout.root, path, 0, 0, file.bytes)


@dataclasses.dataclass
class _Waiting:
    """Rows of one partition that are not yet written."""

    batches: list[pa.RecordBatch] = dataclasses.field(default_factory=list)
    rows: int = 0
    counted: int = 0
    bytes: int = 0


@dataclasses.dataclass
class _Open:
    """A file that is being written."""

    file: DataFile
    path: str
    rows: int = 0
    counted: int = 0


class FolderWriter:
    """Writes batches into files by partition, in bounded memory and with a bounded number of open files.

    After `close`, which returns the files, or `abort`, which deletes them, it is done.
    """

    def __init__(self, layout: FolderLayout) -> None:
        self._layout = layout
        self._prefix = temporary_prefix(layout.root, layout.run_id)
        self._waiting: dict[str, _Waiting] = {}
        self._held = 0
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._closed: list[WrittenFile] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the rows of a batch; provenance is left behind. ValueError when its columns aren't the folder's."""
        rows = self._own_columns(without_provenance(batch))
        cut = self._layout.cut
        for partition, piece in cut(rows) if cut is not None else by_partition(rows, self._layout.partition_by):
            self._hold(partition, piece)
        if self._held > self._layout.held_bytes:
            largest = sorted(self._waiting, key=lambda partition: -self._waiting[partition].bytes)
            for partition in largest:
                self._flush(partition)
                if self._held <= self._layout.held_bytes // 2:
                    break

    def close(self) -> list[WrittenFile]:
        """Write what is waiting, close all files and return them."""
        for partition in list(self._waiting):
            self._flush(partition)
            self._finish(partition)
        for partition in list(self._open):
            self._finish(partition)
        closed, self._closed = self._closed, []
        return closed

    def abort(self) -> None:
        """Close and delete everything written; never raises."""
        self._waiting.clear()
        self._held = 0
        for being_written in self._open.values():
            being_written.file.abort()
        self._open.clear()
        for done in self._closed:
            storage.discard(f"{self._prefix}/{done.path}")
        self._closed.clear()

    def _own_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with exactly the folder's columns and types, and the column of counts if it has one."""
        schema = self._layout.schema
        given = [name for name in batch.schema.names if name != COUNTED]
        if sorted(given) != sorted(schema.names):
            raise ValueError(
                f"{self._layout.folder}: a batch has the columns {', '.join(given)}; "
                f"the files have {', '.join(schema.names)}"
            )
        for field in schema:
            found = batch.schema.field(field.name).type
            if found != field.type:
                raise ValueError(
                    f"{self._layout.folder}: column '{field.name}' is {found}; the files have {field.type}"
                )
        columns = [batch.column(name) for name in schema.names]
        if COUNTED in batch.schema.names:
            schema = schema.append(pa.field(COUNTED, batch.schema.field(COUNTED).type))
            columns.append(batch.column(COUNTED))
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _hold(self, partition: str, piece: pa.RecordBatch) -> None:
        waiting = self._waiting.setdefault(partition, _Waiting())
        if COUNTED in piece.schema.names:
            waiting.counted += pc.sum(piece.column(COUNTED)).as_py() or 0
            piece = piece.drop_columns([COUNTED])
        piece = _compact(piece)
        size = piece.nbytes + _COLUMN_BYTES * piece.num_columns
        waiting.batches.append(piece)
        waiting.rows += piece.num_rows
        waiting.bytes += size
        self._held += size
        if waiting.rows >= self._layout.row_group_rows or waiting.bytes >= self._layout.row_group_bytes:
            self._flush(partition)

    def _flush(self, partition: str) -> None:
        """Write one partition's waiting rows as a row group."""
        waiting = self._waiting.pop(partition)
        self._held -= waiting.bytes
        being_written = self._file_of(partition)
        being_written.file.write(waiting.batches)
        being_written.rows += waiting.rows
        being_written.counted += waiting.counted
        if being_written.file.bytes >= self._layout.file_bytes:
            self._finish(partition)

    def _file_of(self, partition: str) -> _Open:
        if partition not in self._open:
            while len(self._open) >= self._layout.open_files:
                self._finish(next(iter(self._open)))
            layout = self._layout
            path = layout.new_path(partition)
            file = layout.create(f"{self._prefix}/{path}")
            self._open[partition] = _Open(file, path)
        self._open.move_to_end(partition)
        return self._open[partition]

    def _finish(self, partition: str) -> None:
        being_written = self._open.get(partition)
        if being_written is None:
            return
        file = being_written.file
        file.close()
        del self._open[partition]
        self._closed.append(
            WrittenFile(
                self._layout.folder,
                self._layout.root,
                being_written.path,
                being_written.rows,
                being_written.counted,
                file.bytes,
            )
        )


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A copy if the batch keeps more than twice its size in memory: a slice, or part of an IPC message."""
    return pa.concat_batches([batch]) if _kept_bytes(batch.columns) > 2 * batch.nbytes + (1 << 16) else batch


def _kept_bytes(columns: Sequence[pa.Array]) -> int:
    """Bytes of memory that stay allocated for as long as these columns live."""
    allocations: dict[int, int] = {}
    for column in columns:
        for buffer in column.buffers():
            while buffer is not None and buffer.parent is not None:
                buffer = buffer.parent
            if buffer is not None:
                allocations[buffer.address] = buffer.size
    return sum(allocations.values())
