"""Batches → a table: rows that fit are staged by each bundle, and committed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, RECORD_FORMAT, without_provenance
from beam_pipelines.dead_letters import count_by_rule, letters_of
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink.finalize import FinalizeRun
from beam_pipelines.sink.folder_writer import COUNTED, ROW_GROUP_BYTES
from beam_pipelines.sink.lake import Folder, WriteToLake, WrittenRecord
from beam_pipelines.sink.runs import RunIdentity, fingerprint
from beam_pipelines.sink.tables.fit import misfits
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Column, Layout, Table, TableOfFiles
from beam_pipelines.uris import Uri

STAGE = "WriteToTable"


class Staged(NamedTuple):
    """What StageForTable returns: files of rows that fit, letters of those that don't, entries for the latter."""

    files: beam.PCollection[WrittenRecord]
    dead_letters: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]


class TableWritten(NamedTuple):
    """What WriteToTable returns. `manifest`: the commit as JSON, once it has happened; of a stream, when it ends."""

    dead_letters: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]
    manifest: beam.PCollection[str]


class WriteToTable(beam.PTransform):
    """Write rows into a table: PCollection[RecordBatch] → TableWritten.

    Exactly once per `commit_id`: bundles stage rows as Parquet files below `staging`, and when all rows are accounted
    for, one transaction of the store takes all files under the commit's id; the same id again changes nothing. A
    stream commits bundle by bundle, when the runner can't take a bundle back any more. `staging` is a folder on any
    file system of Beam's that all workers reach, as sensitive as the rows; staged files are deleted.

    `uri` is `scheme://…?options`, with the scheme of a store (docs/stores.md). `schema` is that of the batches;
    provenance columns are left behind.

    Dead letters: rows that the table can't take, by `table.required`, `table.too_long`, `table.does_not_fit`.
    UsageError, before anything is read, for wrong credentials and a table that doesn't fit; a commit that the store
    refuses, such as for a key that is there twice, fails the job and leaves the table as it was.
    """

    def __init__(self, uri: str | Uri, schema: pa.Schema, *, staging: str, commit_id: str) -> None:
        super().__init__()
        table = table_of(uri, schema)
        table.check()
        self._table = table
        self._schema = schema
        self._staging = staging
        meaning = fingerprint({"table": table.name}, [], str(schema))
        self._run = RunIdentity(commit_id, STAGE, meaning)

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> TableWritten:
        stage = StageForTable(self._table, self._staging, self._run.run_id, "rows", self._schema)
        staged = batches | "Stage" >> stage
        # It is a run of its own, which reads what it is given and leaves its letters to the caller.
        given = batches | "Given" >> beam.ParDo(_Given()).with_output_types(LedgerEntry)
        taken = staged.dead_letters | "HandedOn" >> beam.Map(_handed_on).with_output_types(LedgerEntry)
        finalize = FinalizeRun(self._staging, self._run, tables={"rows": self._table})
        manifest = ([staged.files], [staged.ledger, given, taken]) | "Commit" >> finalize
        return TableWritten(staged.dead_letters, staged.ledger, manifest)


REPLACING = ("overwrite", "replace")
"""Modes of the stores in which a commit takes the place of the one before."""


def refuse_in_stream(table: Table, is_bounded: bool) -> None:
    """UsageError for a table whose rows each commit replaces, if rows never end: each bundle is a commit."""
    mode = getattr(getattr(table, "options", None), "mode", None)
    if mode in REPLACING and not is_bounded:
        raise UsageError(
            f"{table.name}: ?mode={mode}: in a stream each bundle is a commit, so it would leave the rows of the last "
            "one alone: append, or upsert by a key"
        )


class StageForTable(beam.PTransform):
    """Stage rows for a table that `FinalizeRun` is told of: PCollection[RecordBatch] → Staged."""

    def __init__(self, table: Table, output: str, run_id: str, folder: Folder, schema: pa.Schema) -> None:
        super().__init__()
        layout = table.layout() if isinstance(table, TableOfFiles) else Layout(schema)
        self._table = table
        self._judge = _Judge(table, folder, layout.schema)
        self._write = WriteToLake(
            output,
            run_id,
            folder,
            layout.schema,
            layout.partition_by,
            empty_file=False,
            cut=layout.cut,
            file_bytes=layout.file_bytes,
            row_group_bytes=min(ROW_GROUP_BYTES, layout.file_bytes),
            read_once=not isinstance(table, TableOfFiles),
        )

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Staged:
        refuse_in_stream(self._table, batches.is_bounded)
        judged = outcome.apply(batches, self._judge, "Judge")
        return Staged(judged.good | "Files" >> self._write, judged.dead_letters, judged.ledger)


class _Judge(beam.DoFn):
    """Splits off the rows that the table can't take; the others get the types of the staged files."""

    def __init__(self, table: Table, output: str, staged: pa.Schema) -> None:
        self._table = table
        self._output = output
        self._staged = staged
        self._columns: list[Column] | None = None

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        if self._columns is None:
            self._columns = list(self._table.columns())
        failures = misfits(batch, self._columns)
        if failures is None:
            yield _cast(batch, self._staged)
            return
        refused = failures.is_valid()
        rows = batch.append_column(FAILURES, failures).filter(refused)
        letters = letters_of(_with_payload(rows), transform=STAGE)
        yield beam.pvalue.TaggedOutput(outcome.DEAD_LETTERS, letters)
        counted = pc.sum(rows.column(COUNTED)).as_py() if COUNTED in rows.schema.names else None
        yield from self._account(letters, counted)
        fitting = batch.filter(pc.invert(refused))
        if fitting.num_rows:
            yield _cast(fitting, self._staged)

    def _account(self, letters: pa.RecordBatch, counted: int | None) -> Iterator[beam.pvalue.TaggedOutput]:
        for rule, rows in count_by_rule(letters).items():
            yield outcome.note(STAGE, ledger.DEAD_LETTERED, rows, rule, self._output)
        if counted is not None:  # the rows of a pane that is refused were in a pane all the same
            yield outcome.note(STAGE, ledger.IN_PANES, counted, "", self._output)


def _cast(batch: pa.RecordBatch, staged: pa.Schema) -> pa.RecordBatch:
    """The batch with the types of files; values fit, since rows were judged."""
    there = set(staged.names)
    for place, field in enumerate(batch.schema):
        if field.name in there and field.type != staged.field(field.name).type:
            wanted = staged.field(field.name)
            batch = batch.set_column(place, wanted, batch.column(place).cast(wanted.type))
    return batch


def _with_payload(rows: pa.RecordBatch) -> pa.RecordBatch:
    """What would have been written is what there is of a row."""
    if PAYLOAD in rows.schema.names:
        return rows
    own = without_provenance(rows.drop_columns([FAILURES]))
    own = own.select([name for name in own.schema.names if name != COUNTED])
    payload = json_text(pa.StructArray.from_arrays(own.columns, fields=list(own.schema))).cast(pa.binary())
    told = {**(rows.schema.metadata or {}), RECORD_FORMAT: b"jsonl"}
    return rows.append_column(PAYLOAD, payload).replace_schema_metadata(told)


class _Given(beam.DoFn):
    def process(self, batch: pa.RecordBatch) -> Iterator[LedgerEntry]:
        yield ledger.entry(STAGE, ledger.READ, batch.num_rows)


def _handed_on(letters: pa.RecordBatch) -> LedgerEntry:
    return ledger.entry(STAGE, ledger.DEAD_LETTERS_WRITTEN, letters.num_rows)
