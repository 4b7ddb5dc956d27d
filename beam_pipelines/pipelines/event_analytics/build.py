"""The graph of `event_analytics`, and what can be checked before it runs."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.contract import Contract, read_contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.transform import DecodeBatches
from beam_pipelines.errors import ExpressionError, UsageError, did_you_mean
from beam_pipelines.ingest.inputs import list_inputs
from beam_pipelines.ingest.read_files import ReadFiles
from beam_pipelines.mask.keys import KeyReference
from beam_pipelines.mask.methods import masked_schema
from beam_pipelines.mask.transform import MaskBatches
from beam_pipelines.pipelines.event_analytics import EventAnalyticsOptions
from beam_pipelines.sink.finalize import FinalizeRun
from beam_pipelines.sink.lake import WriteDeadLetters, WriteToLake
from beam_pipelines.sink.runs import RunIdentity, check_output, fingerprint, inputs_summary, new_run_id
from beam_pipelines.transform.deduplicate_transform import DeduplicateBatches
from beam_pipelines.validate.transform import ValidateBatches
from beam_pipelines.window.spec import parse_window

PLACES = frozenset({"run_id", "output", "dead_letter_output", "mask_key_file"})
"""Options that say where, not what: two runs that differ in them alone do the same."""


def identify(options: EventAnalyticsOptions) -> RunIdentity:
    """Name the run and look at its surroundings: what it reads, and whether it can write.

    UsageError when there is nothing to read or the output can't be written.
    """
    contract = _contract(options)
    inputs = list_inputs(options.input)
    check_output(options.output, options.dead_letter_output)
    told = dataclasses.asdict(options)
    meaning = {name: value for name, value in told.items() if name not in PLACES and name != "contract"}
    now = datetime.now(timezone.utc)
    return RunIdentity(
        run_id=options.run_id or new_run_id(now),
        pipeline="event_analytics",
        fingerprint=fingerprint(meaning, inputs, contract.fingerprint),
        started=now,
        options=told,
        inputs=inputs_summary(inputs),
        contract={"name": contract.name, "version": contract.version, "fingerprint": contract.fingerprint},
    )


def build(pipeline: beam.Pipeline, options: EventAnalyticsOptions) -> dict[str, beam.PCollection]:
    """Wire the pipeline and return its outputs: `rows`, `aggregates` (if asked for) and `manifest`.

    UsageError when contract and options don't fit each other, before anything is read.
    """
    run = identify(options)
    contract = _contract(options)
    dialect = CsvDialect(
        options.csv_delimiter.replace("\\t", "\t"), nulls=("", *options.csv_nulls), header=options.csv_header
    )

    read = pipeline | "Read" >> ReadFiles(
        options.input, format=options.format, compression=options.compression, dialect=dialect
    )
    valid = read.good | "Decode" >> DecodeBatches(contract, dialect=dialect) | "Validate" >> ValidateBatches(contract)
    rows, ledgers = valid.good, [read.ledger, valid.ledger]
    if contract.deduplicate:
        unique = rows | "Deduplicate" >> DeduplicateBatches(contract)
        rows = unique.good
        ledgers.append(unique.ledger)
    rows = rows | "Mask" >> MaskBatches(contract, KeyReference(options.mask_key_file))

    schema = masked_schema(contract)
    letters = options.dead_letter_output or options.output
    written = [
        rows | "WriteRows" >> WriteToLake(options.output, run.run_id, "rows", schema, contract.partition_by),
        read.dead_letters | "WriteUnreadable" >> WriteDeadLetters(letters, run, format=options.dead_letter_format),
        valid.dead_letters | "WriteInvalid" >> WriteDeadLetters(letters, run, format=options.dead_letter_format),
    ]
    outputs = {"rows": rows}
    if options.aggregate is None:
        _nothing_to_aggregate(options)
    else:
        aggregate = _aggregation(options, options.aggregate, contract, schema)
        aggregates = rows | "Aggregate" >> aggregate
        written.append(
            aggregates.panes
            | "WriteAggregates" >> WriteToLake(options.output, run.run_id, "aggregates", aggregate.output_schema)
        )
        ledgers.append(aggregates.ledger)
        outputs["aggregates"] = aggregates.panes
    outputs["manifest"] = (written, ledgers) | "Finalize" >> FinalizeRun(options.output, run)
    return outputs


def _nothing_to_aggregate(options: EventAnalyticsOptions) -> None:
    given = [name for name in ("window", "group_by") if getattr(options, name) not in ("none", ())]
    if given:
        raise UsageError(f"--{given[0]}: says how to aggregate, but not what: add --aggregate 'count(*) as events'")


def _contract(options: EventAnalyticsOptions) -> Contract:
    contract = read_contract(options.contract)
    if options.event_time is None:
        return contract
    if options.event_time not in contract.names:
        raise UsageError(
            f"--event_time: {contract.name} has no field '{options.event_time}'."
            + did_you_mean(options.event_time, contract.names)
        )
    fields = [dataclasses.replace(field, event_time=field.name == options.event_time) for field in contract.fields]
    return dataclasses.replace(contract, fields=tuple(fields))


def _aggregation(
    options: EventAnalyticsOptions, aggregates: str, contract: Contract, schema: pa.Schema
) -> AggregateBatches:
    event_time = contract.event_time
    if options.window != "none" and event_time is None:
        raise UsageError(
            f"--window: '{options.window}' needs event times, and no field of {contract.source} is marked "
            "with the custom property eventTime: true. Name one with --event_time, or use --window none"
        )
    try:
        window = parse_window(options.window)
    except UsageError as error:
        raise UsageError(f"--window: {error}") from None
    try:
        return AggregateBatches(
            schema,
            aggregates,
            group_by=options.group_by,
            window=window,
            event_time=None if event_time is None else event_time.name,
            shards=options.aggregate_shards,
        )
    except ExpressionError as error:
        raise ExpressionError(f"--aggregate and --group_by: {error}") from None
