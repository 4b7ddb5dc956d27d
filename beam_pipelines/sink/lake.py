"""Write batches as files of a lake, as far as a bundle can: publishing them is `FinalizeRun`'s."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import dead_letters, ledger, progress
from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sink import dead_letter_files, storage
from beam_pipelines.sink.avro_files import avro_schema
from beam_pipelines.sink.encoding import Codec, Encoding, Format
from beam_pipelines.sink.folder_writer import (
    FILE_BYTES,
    ROW_GROUP_BYTES,
    ROW_GROUP_ROWS,
    Cut,
    FolderLayout,
    FolderWriter,
    write_empty,
)
from beam_pipelines.sink.partitions import check_partition_columns
from beam_pipelines.sink.runs import FOLDERS, RunIdentity, check_run_id

Folder = Literal["rows", "aggregates", "late", "shadow", "dead_letters"]

LETTER_GROUP_BYTES = 8 << 20
"""Bytes of letters in a row group: they are read to be looked at, and are not worth holding much memory for."""

WrittenRecord = tuple[str, str, str, int, int, int]
"""A folder_writer.WrittenFile as a plain tuple: what travels to FinalizeRun."""


class WriteToLake(beam.PTransform):
    """PCollection[RecordBatch] → PCollection[WrittenRecord]: the files that hold the rows.

    Exactly once per run id, together with `FinalizeRun`: each bundle writes files of random names below
    the run's temporary prefix and names them when it commits, so that a bundle that failed or was tried
    twice leaves nothing that anyone reads; `FinalizeRun` publishes the named files.

    Batches have the columns of `schema`, and leave provenance columns behind; an aggregate's `__rows`
    is summed for the balance and not written. `partition_by` makes Hive folders `column=value/`, whose
    columns files don't hold. If there are no rows at all, the run still publishes one empty file (for
    `rows` and `aggregates`), so that a reader who globs finds the columns.

    `format` is `parquet`, `orc`, `avro`, `jsonl` or `csv` (dead letters: `parquet` or `jsonl`); codecs and
    levels are those of `Encoding`. Files are closed at `file_bytes`, row groups at
    `row_group_rows` or `row_group_bytes` of Arrow data.

    `cut` makes other folders than `partition_by` does, and leaves all columns in the files. Files that are `read_once`,
    and then deleted, have no dictionaries.

    Raises UsageError for a partition column that can't be one. The job fails with ValueError for a
    batch of other columns, with OutputError when the file system refuses.

    >>> import pyarrow as pa
    >>> write = WriteToLake("lake", "run-1", "rows", pa.schema({"id": pa.int64(), "country": pa.string()}), ["country"])
    >>> write.default_label()
    'WriteToLake(rows)'
    """

    def __init__(
        self,
        output: str,
        run_id: str,
        folder: Folder,
        schema: pa.Schema,
        partition_by: Sequence[str] = (),
        *,
        format: Format = "parquet",
        codec: Codec | None = None,
        level: int | None = None,
        row_group_rows: int = ROW_GROUP_ROWS,
        row_group_bytes: int = ROW_GROUP_BYTES,
        file_bytes: int = FILE_BYTES,
        empty_file: bool = True,
        cut: Cut | None = None,
        read_once: bool = False,
    ) -> None:
        super().__init__()
        _one_of("folder", folder, FOLDERS)
        encoding = Encoding(format, codec, level, dictionaries=not read_once)
        if folder == "dead_letters" and format not in ("parquet", "jsonl"):
            raise UsageError(f"format '{format}' is not possible for dead letters, only parquet and jsonl")
        if format == "avro":
            avro_schema(schema)
        self._empty_file = empty_file and folder != dead_letter_files.FOLDER
        check_run_id(run_id)
        check_partition_columns(schema, partition_by)
        self._layout = FolderLayout(
            root=storage.root_of(output),
            run_id=run_id,
            folder=folder,
            schema=schema,
            partition_by=tuple(partition_by),
            encoding=encoding,
            row_group_rows=row_group_rows,
            row_group_bytes=row_group_bytes,
            file_bytes=file_bytes,
            cut=cut,
        )

    def default_label(self) -> str:
        return f"WriteToLake({self._layout.folder})"

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[WrittenRecord]:
        written = (
            batches
            | "InOneWindow" >> beam.WindowInto(GlobalWindows())
            | "WriteFiles" >> beam.ParDo(_WriteFiles(self._layout)).with_output_types(WrittenRecord)
        )
        if not self._empty_file:
            return written
        empty = (
            batches.pipeline
            | "Once" >> beam.Impulse()
            | "WriteEmptyFile" >> beam.Map(_write_empty, self._layout).with_output_types(WrittenRecord)
        )
        return (written, empty) | "Files" >> beam.Flatten()


class WriteDeadLetters(beam.PTransform):
    """PCollection[RecordBatch of dead_letters.SCHEMA] → PCollection[WrittenRecord].

    Stamps letters with their pipeline and run and writes them to `dead_letters/` with the guarantee of
    WriteToLake. `output` may be another root than the lake's, since letters hold raw payloads; tell
    FinalizeRun nothing of it, files carry their root. No letters, no file.

    >>> WriteDeadLetters("vault", RunIdentity("run-1", "event_analytics", "a1"), format="jsonl").default_label()
    'WriteDeadLetters'
    """

    def __init__(
        self, output: str, run: RunIdentity, *, format: Format = "parquet", codec: Codec | None = None
    ) -> None:
        super().__init__()
        self._run = run
        self._write = WriteToLake(
            output,
            run.run_id,
            "dead_letters",
            dead_letters.SCHEMA,
            format=format,
            codec=codec if format == "parquet" else "none",
            row_group_bytes=LETTER_GROUP_BYTES,
        )

    def expand(self, letters: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[WrittenRecord]:
        stamped = letters | "Stamp" >> beam.Map(
            dead_letter_files.stamp, self._run.pipeline, self._run.run_id
        ).with_output_types(pa.RecordBatch)
        return stamped | self._write


class _WriteFiles(beam.DoFn):
    def __init__(self, layout: FolderLayout) -> None:
        self._layout = layout
        self._writer: FolderWriter | None = None

    def start_bundle(self) -> None:
        self._abort()  # what a bundle that failed left open
        self._writer = FolderWriter(self._layout)

    def process(self, batch: pa.RecordBatch) -> None:
        assert self._writer is not None
        self._writer.write(batch)
        beam.metrics.Metrics.counter("WriteToLake", self._layout.folder).inc(batch.num_rows)
        progress.count(ledger.WRITTEN, batch.num_rows, folder=self._layout.folder)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        assert self._writer is not None
        files = self._writer.close()
        self._writer = None
        for file in files:
            yield GlobalWindows.windowed_value(tuple(file))

    def teardown(self) -> None:
        self._abort()

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()
            self._writer = None


def _write_empty(_: bytes, layout: FolderLayout) -> WrittenRecord:
    record: WrittenRecord = write_empty(layout)
    return record


def _one_of(what: str, value: str, allowed: Sequence[Any]) -> None:
    if value not in allowed:
        raise UsageError(f"{what} '{value}' is not one of {', '.join(allowed)}.{did_you_mean(value, allowed)}")
