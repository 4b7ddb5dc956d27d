"""Read, decode, aggregate, write."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.aggregate.kernels import PANE_INDEX, PANE_TIMING
from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.columnar.source_watermark import SOURCE_WATERMARK
from beam_pipelines.ledger import LedgerEntry, LedgerKey
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.aggregating import PANE_COLUMNS
from beam_pipelines.pipelines.steps.evolving import row_schema
from beam_pipelines.pipelines.steps.identity import identify_run
from beam_pipelines.pipelines.steps.reading import contract_of, read_rows
from tests.window.panes import PanesOptions


def build(pipeline: beam.Pipeline, options: PanesOptions) -> None:
    contract = contract_of(options)
    account = Account(identify_run("panes", options, options, contract), options)
    schema = row_schema(contract)
    rows = read_rows(pipeline, options, contract, account)
    if not options.tells:
        rows = rows | "TellNothing" >> beam.Map(_silent).with_output_types(pa.RecordBatch)
    accumulating = options.accumulation == "accumulating"
    aggregate = AggregateBatches(
        schema,
        options.aggregate or "",
        group_by=options.group_by,
        window=options.window,
        event_time="at",
        allowed_lateness=options.allowed_lateness,
        trigger=options.trigger,
        accumulation=options.accumulation,
    )
    found = rows | "Aggregate" >> aggregate
    panes = found.panes | "NamePanes" >> beam.Map(_named, accumulating).with_output_types(pa.RecordBatch)
    entries = found.ledger
    if accumulating:
        entries = entries | "CountLateRows" >> beam.FlatMap(_late_alone).with_output_types(LedgerEntry)
    write = account.writer("aggregates", pa.schema([*aggregate.output_schema, *PANE_COLUMNS]))
    account.add(panes | "WriteAggregates" >> write, entries)
    account.add(rows | "WriteRows" >> account.writer("rows", schema))
    account.add(found.late | "WriteLate" >> account.writer("late", schema))
    account.close()


def _silent(batch: pa.RecordBatch) -> pa.RecordBatch:
    told = {key: value for key, value in (batch.schema.metadata or {}).items() if key != SOURCE_WATERMARK}
    return batch.replace_schema_metadata(told)


def _named(panes: pa.RecordBatch, accumulating: bool) -> pa.RecordBatch:
    names = {PANE_INDEX: "pane_index", PANE_TIMING: "pane_timing"}
    if accumulating:  # panes hold rows that others hold too, which no balance can count
        place = panes.schema.get_field_index("__rows")
        panes = panes.set_column(place, panes.schema.field(place), pa.array([0] * panes.num_rows, pa.int64()))
    return panes.rename_columns([names.get(name, name) for name in panes.schema.names])


def _late_alone(entry: LedgerEntry) -> Iterator[LedgerEntry]:
    key, rows = LedgerKey(*entry[0]), entry[1]
    if key.outcome != ledger.AGGREGATED:
        yield entry
    if key.outcome == ledger.LATE:
        yield tuple(key._replace(outcome=ledger.AGGREGATED)), rows
