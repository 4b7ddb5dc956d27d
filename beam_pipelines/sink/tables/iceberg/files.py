"""Staged Parquet files made data files of an Iceberg table: taken as they are, or written anew where they don't fit."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.iceberg.partitions import cut, partition_of
from beam_pipelines.iceberg.scanning import rows_of
from beam_pipelines.iceberg.types import arrow_schema, field_ids
from beam_pipelines.sink import storage
from beam_pipelines.sink.folder_writer import FILE_BYTES, OPEN_FILES, ROW_GROUP_BYTES
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.table import StagedFile

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

SPEC = b"iceberg.partition-spec-id"
"""Key in a staged file's metadata: by which of the table's specs its rows were cut."""

_COPIES_AT_ONCE = 8
_COPIED_BYTES = 8 << 20


class Folder:
    """Where a commit puts its data files: a folder of the table's that has the commit's name."""

    def __init__(self, table: Table, metadata: TableMetadata, commit_id: str) -> None:
        self.io = table.io
        self.metadata = metadata
        self._locations = table.location_provider()
        self._commit_id = commit_id

    def path(self, name: str) -> str:
        """The location of a data file."""
        return self._locations.new_data_location(f"{self._commit_id}/{name}")

    def data_file(self, path: str, footer: pq.FileMetaData, size: int, partition: Sequence[Any]) -> DataFile:
        """What manifests say of a Parquet file: its rows, its size and the bounds of its columns."""
        from pyiceberg.io import pyarrow as files
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        schema = self.metadata.schema()
        statistics = files.data_file_statistics_from_parquet_metadata(
            parquet_metadata=footer,
            stats_columns=files.compute_statistics_plan(schema, self.metadata.properties),
            parquet_column_mapping=files.parquet_path_to_id_mapping(schema),
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=path,
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            file_size_in_bytes=size,
            sort_order_id=None,
            spec_id=self.metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )

    def sweep(self, named: set[str]) -> None:
        """Delete what attempts that were killed have left in the folder, once the commit is in the table.

        Nobody else can commit under this id any more, so nobody needs what isn't named. What can't be listed stays.
        """
        from pyiceberg.io.pyarrow import PyArrowFileIO

        folder = self.path("")
        if not isinstance(self.io, PyArrowFileIO) or not folder.endswith(f"/{self._commit_id}/"):
            return
        scheme, netloc, path = PyArrowFileIO.parse_location(folder, self.io.properties)
        selector = pa.fs.FileSelector(path.rstrip("/"), allow_not_found=True)
        kept = {PyArrowFileIO.parse_location(each, self.io.properties)[2] for each in named}
        system = self.io.fs_by_scheme(scheme, netloc)
        for found in system.get_file_info(selector):
            if found.is_file and found.path not in kept:
                system.delete_file(found.path)


def take(files: Sequence[StagedFile], folder: Folder) -> list[DataFile]:
    """Make staged files the table's.

    Those whose columns and partitions are the table's are copied as they are (linked, on one local file system). If the
    table was changed since they were staged, they are read and written anew, a few rows at a time.
    """
    fitting: list[StagedFile] = []
    others: list[StagedFile] = []
    for file in files:
        (fitting if _fits(file, folder.metadata) else others).append(file)
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        taken = list(pool.map(lambda file: _copied(file, folder), fitting))
    if others:
        writer = Writer(folder)
        columns = arrow_schema(folder.metadata.schema())
        for batch in staged_batches(others):
            fields = [columns.field(name) for name in batch.schema.names]
            arrays = [batch.column(field.name).cast(field.type) for field in fields]
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))
        taken += writer.close()
    return taken


def _fits(file: StagedFile, metadata: TableMetadata) -> bool:
    with storage.open_to_read(file.path) as stored:
        found = pq.ParquetFile(stored, pre_buffer=False).schema_arrow
    if (found.metadata or {}).get(SPEC) != str(metadata.default_spec_id).encode():
        return False
    columns = arrow_schema(metadata.schema())
    known = set(field_ids(columns))
    return all(each in known for each in field_ids(found)) and all(
        columns.field(field.name).type == field.type for field in found
    )


def _copied(file: StagedFile, folder: Folder) -> DataFile:
    spec, schema = folder.metadata.spec(), folder.metadata.schema()
    with storage.open_to_read(file.path) as stored:
        parquet = pq.ParquetFile(stored, pre_buffer=False)
        partition: list[Any] = []
        if not spec.is_unpartitioned():
            sources = [schema.find_column_name(field.source_id) or "" for field in spec.fields]
            tops = list(dict.fromkeys(name.split(".")[0] for name in sources))
            partition = partition_of(next(parquet.iter_batches(1, columns=tops)), spec, schema)
        footer = parquet.metadata
    path = folder.path(file.path.rpartition("/")[2])
    _copy(file.path, path, folder)
    return folder.data_file(path, footer, len(folder.io.new_input(path)), partition)


def _copy(staged: str, path: str, folder: Folder) -> None:
    """Copy a file into the table. What is there is a copy that an earlier attempt of this commit has made."""
    local = path.removeprefix("file://")
    if storage.is_local(staged) and storage.is_local(local):
        Path(local).parent.mkdir(parents=True, exist_ok=True)
        copy = f"{local}.{secrets.token_hex(4)}"
        try:
            os.link(staged, copy)
        except OSError:  # another file system, or one without links
            shutil.copyfile(staged, copy)
        Path(copy).replace(local)
        return
    with storage.open_to_read(staged) as stored, folder.io.new_output(path).create(overwrite=True) as output:
        while piece := stored.read(_COPIED_BYTES):
            output.write(piece)


class Writer:
    """Writes rows into data files of the table, each of one partition, in bounded memory."""

    def __init__(self, folder: Folder, target_bytes: int = FILE_BYTES) -> None:
        self._folder = folder
        self._target_bytes = target_bytes
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._closed: list[DataFile] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows that have the table's columns, or some of them, with ids."""
        for name, piece in cut(batch, self._folder.metadata.spec(), self._folder.metadata.schema()):
            if name not in self._open:
                while len(self._open) >= OPEN_FILES:
                    self._finish(next(iter(self._open)))
                self._open[name] = _Open(self._folder, piece)
            self._open.move_to_end(name)
            self._open[name].write(piece)
            if self._open[name].bytes >= self._target_bytes:
                self._finish(name)

    def close(self) -> list[DataFile]:
        """Finish all files and return them."""
        for name in list(self._open):
            self._finish(name)
        return self._closed

    def _finish(self, name: str) -> None:
        self._closed.append(self._open.pop(name).close())


class _Open:
    """One data file that is being written."""

    def __init__(self, folder: Folder, first: pa.RecordBatch) -> None:
        spec, schema = folder.metadata.spec(), folder.metadata.schema()
        self._folder = folder
        self._partition = [] if spec.is_unpartitioned() else partition_of(first, spec, schema)
        self._path = folder.path(f"{secrets.token_hex(16)}.parquet")
        self._output = folder.io.new_output(self._path)
        self._stream = self._output.create()
        self._writer = pq.ParquetWriter(
            self._stream, first.schema, compression="zstd", coerce_timestamps="us", store_decimal_as_integer=True
        )
        self._waiting: list[pa.RecordBatch] = []

    @property
    def bytes(self) -> int:
        return int(self._stream.tell())

    def write(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        if sum(each.nbytes for each in self._waiting) >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> DataFile:
        self._flush()
        self._writer.close()
        self._stream.close()
        given = self._output.to_input_file()
        with given.open() as stored:
            footer = pq.read_metadata(stored)
        return self._folder.data_file(self._path, footer, len(given), self._partition)

    def _flush(self) -> None:
        if self._waiting:
            rows = pa.Table.from_batches(self._waiting)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
            self._waiting.clear()


def scanned(folder: Folder, task: Any, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows that a data file of the table has now, in the file's order, with the table's types and ids."""
    schema = folder.metadata.schema()
    schema = schema if columns is None else schema.select(*columns)
    wanted = arrow_schema(schema)
    for batch in rows_of(folder.io, folder.metadata, task, schema):
        arrays = [batch.column(field.name).cast(field.type) for field in wanted]
        yield pa.RecordBatch.from_arrays(arrays, schema=wanted)
