"""Aggregate rows and write the aggregates, if the options ask for any."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.aggregate.kernels import PANE_INDEX, PANE_TIMING
from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.contract import Contract
from beam_pipelines.errors import ExpressionError, UsageError
from beam_pipelines.pipelines.option_groups.aggregating import AggregatingOptions
from beam_pipelines.pipelines.option_groups.streaming import StreamingOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.sinks import write_to
from beam_pipelines.window.spec import parse_window

PANE_COLUMNS = (pa.field("pane_index", pa.int64()), pa.field("pane_timing", pa.string()))
"""Of a stream's aggregates: the number of a window's pane, and whether it is early, on_time or late."""


def write_aggregates(
    rows: beam.PCollection[pa.RecordBatch],
    schema: pa.Schema,
    contract: Contract,
    options: AggregatingOptions,
    to: str | None,
    account: Account,
) -> dict[str, beam.PCollection]:
    """Aggregates of rows of a schema, by the contract's event time: `{"aggregates": …}`, or nothing.

    They go into the lake, or to the queue or table that `to` names.

    Of a stream, each pane by itself with its number and timing, and the rows that were too late: `{"late": …}`.
    """
    asked = options.aggregate or ", ".join(map(str, contract.measures))
    if not asked:
        _nothing_to_aggregate(options)
        return {}
    aggregate = _aggregation(options, asked, contract, schema)
    aggregates = rows | "Aggregate" >> aggregate
    if rows.is_bounded:
        account.add(ledger=aggregates.ledger)
        _write(aggregates.panes, aggregate.output_schema, to, account)
        return {"aggregates": aggregates.panes}
    panes = aggregates.panes | "NamePanes" >> beam.Map(_with_named_panes).with_output_types(pa.RecordBatch)
    account.add(ledger=aggregates.ledger)
    _write(panes, pa.schema([*aggregate.output_schema, *PANE_COLUMNS]), to, account)
    account.add(aggregates.late | "WriteLate" >> account.writer("late", schema))
    return {"aggregates": panes, "late": aggregates.late}


def _write(panes: beam.PCollection[pa.RecordBatch], schema: pa.Schema, to: str | None, account: Account) -> None:
    if to is None:
        account.add(panes | "WriteAggregates" >> account.writer("aggregates", schema))
    else:
        write_to(panes, to, "aggregates", schema, account)


def _nothing_to_aggregate(options: AggregatingOptions) -> None:
    given = [
        name for name in ("window", "group_by", "aggregate_shards") if getattr(options, name) not in ("none", (), None)
    ]
    if given:
        raise UsageError(
            f"--{given[0]} says how to aggregate, but not what: add --aggregate 'count(*) as events', or measures to "
            "the contract"
        )


def _with_named_panes(panes: pa.RecordBatch) -> pa.RecordBatch:
    """Panes with their number and timing as columns that are written."""
    names = {PANE_INDEX: "pane_index", PANE_TIMING: "pane_timing"}
    return panes.rename_columns([names.get(name, name) for name in panes.schema.names])


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
    firing: dict[str, Any] = {}
    if isinstance(options, StreamingOptions):
        firing = {"allowed_lateness": options.allowed_lateness, "trigger": options.trigger}
    try:
        return AggregateBatches(
            schema,
            aggregates,
            group_by=options.group_by,
            window=window,
            event_time=None if event_time is None else event_time.name,
            shards=options.aggregate_shards,
            hot_key_fanout=1 if options.hot_key_fanout is None else options.hot_key_fanout,
            **firing,
        )
    except ExpressionError as error:
        what = "--aggregate" if options.aggregate else f"the measures of {contract.source}"
        raise ExpressionError(f"{what} and --group_by: {error}") from None
