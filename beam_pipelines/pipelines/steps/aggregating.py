"""Aggregate rows and write the aggregates, if the options ask for any."""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.contract import Contract
from beam_pipelines.errors import ExpressionError, UsageError
from beam_pipelines.pipelines.option_groups.aggregating import AggregatingOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.sink.lake import WriteToLake
from beam_pipelines.window.spec import parse_window


def write_aggregates(
    rows: beam.PCollection[pa.RecordBatch],
    schema: pa.Schema,
    contract: Contract,
    options: AggregatingOptions,
    output: str,
    account: Account,
) -> dict[str, beam.PCollection]:
    """Aggregates of rows of a schema, by the contract's event time: `{"aggregates": …}`, or nothing."""
    if options.aggregate is None:
        return {}
    aggregate = _aggregation(options, options.aggregate, contract, schema)
    aggregates = rows | "Aggregate" >> aggregate
    write = WriteToLake(output, account.run.run_id, "aggregates", aggregate.output_schema)
    account.add(aggregates.panes | "WriteAggregates" >> write, aggregates.ledger)
    return {"aggregates": aggregates.panes}


def _aggregation(
    options: AggregatingOptions, aggregates: str, contract: Contract, schema: pa.Schema
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
