"""One attempt to commit staged files to a Delta table: append, upsert, or overwrite of partitions.

It finds whether the commit is there already, makes the files the table's, and asks the log for one new version right
after the one it has seen. If another writer was faster, the log refuses, and the next attempt begins from the start.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import storage
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.partitions import texts_of, values_of
from beam_pipelines.sink.tables.committing import staged_batches
from beam_pipelines.sink.tables.delta.statistics import statistics
from beam_pipelines.sink.tables.keys import keys_of
from beam_pipelines.sink.tables.table import Committed, StagedFile

if TYPE_CHECKING:
    from deltalake import CommitProperties
    from deltalake import DeltaTable as Opened
    from deltalake.transaction import AddAction, RemoveAction

    from beam_pipelines.sink.tables.delta.table import DeltaTable

COMMIT_VERSION = 1
"""Of the application id that is the commit's id: there is one commit of it."""

COMMIT = "beam-pipelines.commit-id"
ROWS = "beam-pipelines.rows"
"""Keys of a version in the table's history: which commit it is, and how many rows that had. For people."""

_COPIES_AT_ONCE = 8
_COPIED_BYTES = 8 << 20


class Attempt:
    """What is needed for one attempt."""

    def __init__(self, sink: DeltaTable, commit_id: str, files: Sequence[StagedFile], at_step: AtStep) -> None:
        self._sink = sink
        self._commit_id = commit_id
        self._files = files
        self._at_step = at_step

    def run(self) -> Committed:
        """Commit, or find that it is done. CommitFailedError if another writer was faster."""
        from deltalake import CommitProperties, Transaction

        table = self._sink.open_or_create()
        rows = sum(file.rows for file in self._files)
        if table.transaction_version(self._commit_id) is not None:
            return Committed(rows, True, {"transaction": self._commit_id})
        if not rows and self._sink.options.mode != "overwrite":
            return Committed(0, False, {})
        table = self._sink.evolve(table)
        properties = CommitProperties(
            # Left to itself, delta-rs would put an overwrite or a merge on top of versions that it hasn't looked at.
            max_commit_retries=0,
            app_transactions=[Transaction(self._commit_id, COMMIT_VERSION)],
            custom_metadata={COMMIT: self._commit_id, ROWS: str(rows)},
        )
        if self._sink.options.mode == "upsert":
            self._merge(table, properties)
        else:
            self._add(table, properties)
        self._at_step("stored")
        return Committed(rows, False, {"transaction": self._commit_id, "version": table.version()})

    def _add(self, table: Opened, properties: CommitProperties) -> None:
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
            added = list(pool.map(lambda file: self._taken(file, table), self._files))
        actions: list[AddAction | RemoveAction] = [*added]
        if self._sink.options.mode == "overwrite":
            actions += self._removed(table, added)
        partition_by = table.metadata().partition_columns
        self._at_step("loaded")
        table.create_write_transaction(actions, "append", table.schema(), partition_by, commit_properties=properties)
        self._sweep({each.path for each in added})

    def _taken(self, file: StagedFile, table: Opened) -> AddAction:
        """Copy a staged file into the table (on one local file system, link it) and say what it holds."""
        from deltalake.transaction import AddAction

        with storage.open_to_read(file.path) as stored:
            parquet = pq.ParquetFile(stored, pre_buffer=False)
            footer, columns = parquet.metadata, parquet.schema_arrow
        self._refuse_changed(table, columns, values_of(_below_run(file.path)))
        path = f"{self._commit_id}/{file.path.rpartition('/')[2]}"
        size = self._copy(file.path, path)
        told = values_of(_below_run(file.path))
        return AddAction(path, size, told, int(time.time() * 1000), True, statistics(footer))

    def _refuse_changed(self, table: Opened, columns: pa.Schema, partition: Collection[str]) -> None:
        """A file that is only named isn't looked at again, by us or by the log."""
        there = pa.schema(table.schema())
        kinds = dict(zip(there.names, there.types, strict=True))
        other = next((field.name for field in columns if kinds.get(field.name) != field.type), None)
        if other is not None or set(partition) != set(table.metadata().partition_columns):
            what = "its partitions aren't" if other is None else f"column '{other}' isn't"
            raise UsageError(
                f"{self._sink.name}: the table was changed while rows for it were written: {what} what it was. Nothing "
                "was committed: run again"
            )

    def _copy(self, staged: str, path: str) -> int:
        place = self._sink.place
        if place.is_local and storage.is_local(staged):
            local = Path(place.location, path)
            local.parent.mkdir(parents=True, exist_ok=True)
            copy = f"{local}.{secrets.token_hex(4)}"
            try:
                os.link(staged, copy)
            except OSError:  # another file system, or one without links
                shutil.copyfile(staged, copy)
            return Path(copy).replace(local).stat().st_size
        size = 0
        # Arrow's file system would hand buffers to the stream, which takes bytes (deltalake 1.6, pyarrow 25).
        output = place.handler()._handler.open_output_stream(path, None)
        with storage.open_to_read(staged) as stored:
            while piece := stored.read(_COPIED_BYTES):
                output.write(bytes(piece))
                size += len(piece)
        output.close()
        return size

    def _removed(self, table: Opened, added: Sequence[AddAction]) -> Iterator[RemoveAction]:
        """The files of the partitions that rows are in."""
        from deltalake.transaction import RemoveAction

        partition_by = table.metadata().partition_columns
        replaced = {tuple(each.partition_values[name] for name in partition_by) for each in added}
        now = int(time.time() * 1000)
        for file in pa.table(table.get_add_actions(flatten=True)).to_pylist():
            values = {name: _text(file[f"partition.{name}"]) for name in partition_by}
            if not partition_by or tuple(values.values()) in replaced:
                yield RemoveAction(file["path"], True, now, file["size_bytes"], values)

    def _merge(self, table: Opened, properties: CommitProperties) -> None:
        keys, schema = self._sink.options.key, self._sink.layout().schema
        keys_of(self._files, pa.schema([schema.field(name) for name in keys]), self._sink.name)
        rows = pa.RecordBatchReader.from_batches(schema, self._whole(schema))
        matched = " AND ".join(f"target.{_quoted(name)} = source.{_quoted(name)}" for name in keys)
        merge = table.merge(rows, matched, source_alias="source", target_alias="target", commit_properties=properties)
        self._at_step("loaded")
        columns = {_quoted(name): f"source.{_quoted(name)}" for name in schema.names}
        merge.when_matched_update(columns).when_not_matched_insert(columns).execute()

    def _whole(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Staged rows with their partition columns, which are in the names of folders."""
        for file in self._files:
            told = values_of(_below_run(file.path))
            for batch in staged_batches([file]):
                inside = set(batch.schema.names)
                columns = [
                    batch.column(field.name)
                    if field.name in inside
                    else pa.array([told[field.name]] * batch.num_rows, pa.string()).cast(field.type)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _sweep(self, named: set[str]) -> None:
        """Delete what attempts that were killed have left, now that nobody can commit under this id any more."""
        files = self._sink.place.files()
        for found in files.get_file_info(pa.fs.FileSelector(self._commit_id, allow_not_found=True)):
            path = f"{self._commit_id}/{found.base_name}"
            if found.is_file and path not in named:
                files.delete_file(path)


def _below_run(path: str) -> str:
    """A staged file's path as it would be in a lake, without the folders above it, which may hold a `=` too."""
    return path.rpartition("/tmp/")[2]  # noqa: S108  below the staging folder


def _text(value: Any) -> str | None:
    """A partition's value as the name of a staged file's folder has it."""
    if value is None:
        return None
    return texts_of(pa.array([value]))[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
