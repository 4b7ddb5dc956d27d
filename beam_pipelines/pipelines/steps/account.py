"""What a run has to account for, gathered while its graph is wired."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.outcome import Outcome
from beam_pipelines.pipelines.option_groups.writing import WritingOptions
from beam_pipelines.pipelines.steps.dead_letter_topic import queue_letters
from beam_pipelines.sink.finalize import FinalizeRun
from beam_pipelines.sink.lake import Folder, WriteDeadLetters, WriteToLake, WrittenRecord
from beam_pipelines.sink.publishing import nothing_to_check
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.sink.tables.table import Table
from beam_pipelines.window.duration import seconds_of


class Account:
    """The ledgers and files of all stages of one run, whose balance is its last step.

    Each stage's outcome goes through `settle`, or is added by `add`; `close` wires the end. Dead letters are
    written stage by stage: flattened, FnApiRunner would hold all of them in memory.
    """

    def __init__(self, run: RunIdentity, options: WritingOptions) -> None:
        self._run = run
        self._options = options
        self._files: list[beam.PCollection[WrittenRecord]] = []
        self._ledgers: list[beam.PCollection[LedgerEntry]] = []
        self._tables: dict[str, Table] = {}

    @property
    def run(self) -> RunIdentity:
        return self._run

    @property
    def lake(self) -> str:
        """The root below which the run keeps its own files, whatever its rows go to."""
        return self._options.output

    def into(self, folder: Folder, table: Table) -> None:
        """Say that the files of a folder are the rows of a table, which are committed to it as the run ends."""
        self._tables[folder] = table

    def describe(self, contract: Contract) -> None:
        """Say what the rows are that are written: values of their sensitive columns are kept out of reports."""
        told = self._run.contract
        before = told.get("sensitive")
        names = set(before) - set(contract.names) if isinstance(before, list) else set()
        sensitive = sorted(names | {field.name for field in contract.fields if field.sensitive})
        self._run = dataclasses.replace(self._run, contract={**told, "sensitive": sensitive})

    def settle(self, what: str, outcome: Outcome) -> beam.PCollection[pa.RecordBatch]:
        """Write a stage's dead letters (as the step `Write{what}`), keep its ledger, go on with what is good."""
        self.refused(what, outcome.dead_letters, outcome.ledger)
        return outcome.good

    def refused(
        self, what: str, letters: beam.PCollection[pa.RecordBatch], ledger: beam.PCollection[LedgerEntry]
    ) -> None:
        """Write dead letters, and keep the ledger, of a stage after which nothing comes."""
        write = WriteDeadLetters(
            self._options.dead_letter_output or self._options.output,
            self._run,
            format=self._options.dead_letter_format,
        )
        self.add(letters | f"Write{what}" >> write, ledger)
        if self._options.dead_letter_topic is not None:
            queue_letters(letters, self._options.dead_letter_topic, self._run, f"Queue{what}")

    def writer(
        self, folder: Folder, schema: pa.Schema, partition_by: Sequence[str] = (), *, empty_file: bool = True
    ) -> WriteToLake:
        """What writes batches of a schema as the options say. UsageError for what doesn't go together in them."""
        options = self._options
        return WriteToLake(
            options.output,
            self._run.run_id,
            folder,
            schema,
            partition_by,
            format=options.output_format,
            codec=options.codec,
            level=options.codec_level,
            empty_file=empty_file,
        )

    def add(
        self,
        files: beam.PCollection[WrittenRecord] | None = None,
        ledger: beam.PCollection[LedgerEntry] | None = None,
    ) -> None:
        """Add what a sink wrote, or the ledger of a stage without dead letters."""
        if files is not None:
            self._files.append(files)
        if ledger is not None:
            self._ledgers.append(ledger)

    def close(
        self, before_commit: Callable[[], None] = nothing_to_check, compact_every: str | None = None
    ) -> beam.PCollection[str]:
        """Wire the run's last step, and return the manifest. UsageError for a lake that can't be compacted."""
        if compact_every is not None and self._options.output_format != "parquet":
            raise UsageError(
                f"--compact_every: Parquet is compacted, but --output_format is {self._options.output_format}"
            )
        return (self._files, self._ledgers) | "Finalize" >> FinalizeRun(
            self._options.output,
            self._run,
            max_dead_letter_rate=self._options.max_dead_letter_rate,
            tables=self._tables,
            before_commit=before_commit,
            compact_every=None if compact_every is None else seconds_of(compact_every),
        )
