"""A run's last step: does it balance? Then its files are published, once; otherwise the job fails."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.transforms.window import GlobalWindows

from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink import storage
from beam_pipelines.sink.commit import AtStep, no_step
from beam_pipelines.sink.folder_writer import WrittenFile
from beam_pipelines.sink.lake import WrittenRecord
from beam_pipelines.sink.outline import outline
from beam_pipelines.sink.publishing import finalize, nothing_to_check, utc_now
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.sink.streaming import CommitStream
from beam_pipelines.sink.tables.table import Table

_Record = tuple[str, str]
"""What meets in the one group: `file`, `entry` or `seed`, and its content as JSON."""

_SEED: _Record = ("seed", "")

Inputs = tuple[Sequence[beam.PCollection[WrittenRecord]], Sequence[beam.PCollection[LedgerEntry]]]


class FinalizeRun(beam.PTransform):
    """([PCollection[WrittenRecord], …], [PCollection[LedgerEntry], …]) → PCollection[str]: the manifest as JSON.

    Exactly once per run id: the rows of a run are published all together or not at all, whatever was
    retried or killed; a run with the same id and fingerprint changes nothing, and yields the manifest
    that is committed. Readers follow manifests; who globs `rows/` or `aggregates/` after a committed
    run finds exactly the files that manifests name.

    Sums the ledger, adds what the files hold, and writes `_runs/RUN_ID/balance.json`. If the run
    balances, moves the files into place and writes `_runs/RUN_ID/manifest.json` last. Give it all that
    WriteToLake and WriteDeadLetters returned, and the ledgers of all stages. Runs exactly once for a
    bounded pipeline, also when nothing was read.

    Fails the job with BalanceError when rows are missing or too many, with DeadLetterRateError when more than
    `max_dead_letter_rate` (a share, 0 to 1) of the rows read were refused, with RunConflictError when the
    run id is committed with another fingerprint, with OutputError when files can't be moved.

    A stream has no last step: its files are published bundle by bundle, and its manifest when it ends, if it ends.
    See `sink.streaming`.

    `tables` says which folders' files are the rows of a table instead (`StageForTable`): when the run balances, and
    before its files are published, they are committed to it under the run's id.

    `compact_every`: seconds after which a stream compacts what it has published, again and again; None: never.

    `before_commit` is called when the run balances, and may refuse it by a UsageError; a stream doesn't call it.
    `clock` tells the time that the manifest is created at; `at_step` is called between the steps of the
    commit (tests kill the process there). They must be picklable.

    >>> import os, tempfile
    >>> lake = tempfile.mkdtemp()
    >>> with beam.Pipeline(runner="FnApiRunner") as pipeline:
    ...     ledger = pipeline | beam.Create([(("", "ReadFiles", "read", ""), 0)])
    ...     run = RunIdentity("run-1", "nothing", "a1")
    ...     manifest = ([], [ledger]) | FinalizeRun(lake, run)
    >>> sorted(os.listdir(f"{lake}/_runs/run-1"))
    ['balance.json', 'manifest.json']
    """

    def __init__(
        self,
        output: str,
        run: RunIdentity,
        *,
        max_dead_letter_rate: float | None = None,
        tables: Mapping[str, Table] | None = None,
        compact_every: float | None = None,
        before_commit: Callable[[], None] = nothing_to_check,
        clock: Callable[[], datetime] = utc_now,
        at_step: AtStep = no_step,
    ) -> None:
        super().__init__()
        self._tables = dict(tables or {})
        self._compact_every = compact_every
        self._before_commit = before_commit
        self._max_dead_letter_rate = max_dead_letter_rate
        self._output = storage.root_of(output)
        self._run = run
        self._clock = clock
        self._at_step = at_step

    def __ror__(self, left: Inputs, label: str | None = None) -> Any:
        # Beam looks for PCollections in tuples only: a list would become a Create of its items.
        files, ledgers = left
        return super().__ror__((tuple(files), tuple(ledgers)), label)

    def expand(self, inputs: Inputs) -> beam.PCollection[str]:
        files, ledgers = inputs
        # Without it an empty run would leave nothing to group, and no step to fail or commit.
        pipeline = next(each.pipeline for each in (*files, *ledgers))
        runner = pipeline.options.view_as(StandardOptions).runner
        run = dataclasses.replace(self._run, engine={"runner": runner, **self._run.engine}, graph=outline(pipeline))
        if not all(each.is_bounded for each in (*files, *ledgers)):
            return (tuple(files), tuple(ledgers)) | "Stream" >> CommitStream(
                self._output, run, self._tables, self._compact_every, self._clock
            )
        records = [pipeline | "Once" >> beam.Create([_SEED]).with_output_types(_Record)]
        if ledgers:
            entries = [
                each | f"InOneWindow{number}" >> beam.WindowInto(GlobalWindows()) for number, each in enumerate(ledgers)
            ]
            records.append(
                entries
                | "Ledgers" >> beam.Flatten()
                | "Entries" >> beam.Map(lambda entry: entry).with_output_types(LedgerEntry)
                | "SumLedger" >> beam.CombinePerKey(sum).with_output_types(LedgerEntry)
                | "LedgerRecord" >> beam.Map(lambda entry: ("entry", json.dumps(entry))).with_output_types(_Record)
            )
        if files:
            records.append(
                files
                | "Files" >> beam.Flatten()
                | "FileRecord" >> beam.Map(lambda file: ("file", json.dumps(file))).with_output_types(_Record)
            )
        return (
            records
            | "Records" >> beam.Flatten()
            | "AtOnePlace" >> beam.Map(lambda record: ("run", record)).with_output_types(tuple[str, _Record])
            | "Together" >> beam.GroupByKey()
            | "Publish"
            >> beam.ParDo(
                _Publish(
                    self._output,
                    run,
                    self._max_dead_letter_rate,
                    self._tables,
                    self._before_commit,
                    self._clock,
                    self._at_step,
                )
            ).with_output_types(str)
        )


class _Publish(beam.DoFn):
    def __init__(
        self,
        output: str,
        run: RunIdentity,
        max_dead_letter_rate: float | None,
        tables: Mapping[str, Table],
        before_commit: Callable[[], None],
        clock: Callable[[], datetime],
        at_step: AtStep,
    ) -> None:
        self._before_commit = before_commit
        self._max_dead_letter_rate = max_dead_letter_rate
        self._tables = tables
        self._output = output
        self._run = run
        self._clock = clock
        self._at_step = at_step

    def process(self, together: tuple[str, Iterable[_Record]]) -> Iterator[str]:
        files, entries = [], []
        for kind, content in together[1]:
            if kind == "file":
                files.append(WrittenFile(*json.loads(content)))
            elif kind == "entry":
                key, rows = json.loads(content)
                entries.append((tuple(key), rows))
        manifest = finalize(
            self._output,
            self._run,
            files,
            entries,
            max_dead_letter_rate=self._max_dead_letter_rate,
            tables=self._tables,
            before_commit=self._before_commit,
            clock=self._clock,
            at_step=self._at_step,
        )
        yield json.dumps(manifest, indent=2, sort_keys=True)
