"""The graph of `files_to_lake`, and what can be checked before it runs."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import apache_beam as beam

from beam_pipelines.contract import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import InputFile
from beam_pipelines.mask.keys import KeyReference
from beam_pipelines.mask.transform import MaskBatches
from beam_pipelines.pipelines.files_to_lake import FilesToLakeOptions
from beam_pipelines.pipelines.files_to_lake.evolution import check_evolution, told
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.bookmark import READ, StillUnread, bookmark, list_files, unread
from beam_pipelines.pipelines.steps.evolving import row_schema, with_extra
from beam_pipelines.pipelines.steps.identity import identify_run
from beam_pipelines.pipelines.steps.quality import check_quality
from beam_pipelines.pipelines.steps.reading import contract_of, read_rows
from beam_pipelines.sink import runs
from beam_pipelines.sink.runs import RunIdentity
from beam_pipelines.transform.deduplicate_transform import DeduplicateBatches


class _Plan(NamedTuple):
    """What a run is, and the files it reads."""

    run: RunIdentity
    contract: Contract
    files: list[InputFile]


def identify(options: FilesToLakeOptions) -> RunIdentity:
    """Name the run and look at its surroundings: what is new, whether it can write, and whether that fits the lake.

    UsageError when a pattern matches nothing, files have changed, or the lake can't be written.
    """
    return _plan(options).run


def build(pipeline: beam.Pipeline, options: FilesToLakeOptions) -> dict[str, beam.PCollection]:
    """Wire the pipeline and return its outputs: `rows` and `manifest`.

    UsageError when contract, options and lake don't fit each other, before anything is read.
    """
    run, contract, files = _plan(options)
    account = Account(run, options)
    schema = row_schema(contract)

    rows = read_rows(pipeline, options, contract, account, files)
    if contract.deduplicate:
        unique = rows | "Deduplicate" >> DeduplicateBatches(contract)
        account.add(ledger=unique.ledger)
        rows = unique.good
    check_quality(rows, contract, account)
    rows = with_extra(rows | "Mask" >> MaskBatches(contract, KeyReference(options.mask_key_file)), contract)
    # A lake with files tells its columns; a run without rows adds no file to it.
    is_first = not [each for each in runs.committed_runs(options.output) if each != run.run_id]
    writer = account.writer("rows", schema, contract.partition_by, empty_file=is_first)
    account.add(rows | "WriteRows" >> writer)
    check = StillUnread(options.output, run.run_id, tuple(options.input), tuple(files))
    return {"rows": rows, "manifest": account.close(check)}


def _plan(options: FilesToLakeOptions) -> _Plan:
    if options.format == "dead_letters":
        raise UsageError("--format: dead_letters are for event_analytics; files_to_lake reads files")
    contract = contract_of(options)
    known = bookmark(options.output, options.run_id)
    files = unread(list_files(options.input), known, options.changed_files, options.max_files)
    run = identify_run("files_to_lake", options, options, contract, files=files)
    shape = told(row_schema(contract), contract.partition_by, options.output_format)
    check_evolution(options.output, shape, contract, run.run_id)
    inputs = {**run.inputs, READ: [list(file) for file in files]}
    run = dataclasses.replace(run, inputs=inputs, contract={**run.contract, **shape})
    return _Plan(run, contract, files)
