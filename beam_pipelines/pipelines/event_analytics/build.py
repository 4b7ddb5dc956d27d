"""The graph of `event_analytics`, and what can be checked before it runs."""

from __future__ import annotations

import apache_beam as beam

from beam_pipelines.mask.keys import KeyReference
from beam_pipelines.mask.transform import MaskBatches
from beam_pipelines.pipelines.event_analytics import EventAnalyticsOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.aggregating import write_aggregates
from beam_pipelines.pipelines.steps.evolving import row_schema, with_extra
from beam_pipelines.pipelines.steps.identity import identify_run
from beam_pipelines.pipelines.steps.join_grammar import tables_of
from beam_pipelines.pipelines.steps.quality import check_quality
from beam_pipelines.pipelines.steps.reading import contract_of, dialect_of, read_rows
from beam_pipelines.pipelines.steps.scoring import score_rows
from beam_pipelines.pipelines.steps.sinks import write_to
from beam_pipelines.pipelines.steps.transforming import distinct_rows, transform_rows
from beam_pipelines.sink.runs import RunIdentity


def identify(options: EventAnalyticsOptions) -> RunIdentity:
    """Name the run and look at its surroundings: what it reads, and whether it can write.

    UsageError when there is nothing to read or the output can't be written.
    """
    tables = tables_of(options.join, options.references)
    return identify_run("event_analytics", options, options, contract_of(options), tables)


def build(pipeline: beam.Pipeline, options: EventAnalyticsOptions) -> dict[str, beam.PCollection]:
    """Wire the pipeline and return its outputs: `rows`, `aggregates` (if asked for) and `manifest`.

    UsageError when contract and options don't fit each other, before anything is read.
    """
    run = identify(options)
    account = Account(run, options)
    contract = contract_of(options)

    rows = read_rows(pipeline, options, contract, account)
    rows = distinct_rows(rows, options, contract, account)
    check_quality(rows, contract, account)
    rows, contract = transform_rows(rows, options, contract, dialect_of(options), account)
    rows, contract = score_rows(rows, options, contract, options.output, account)
    account.describe(contract)
    rows = with_extra(rows | "Mask" >> MaskBatches(contract, KeyReference(options.mask_key_file)), contract)

    schema = row_schema(contract)
    if options.rows_to is None:
        account.add(rows | "WriteRows" >> account.writer("rows", schema, contract.partition_by))
    else:
        write_to(rows, options.rows_to, "rows", schema, account, contract)
    aggregates = write_aggregates(rows, schema, contract, options, options.aggregates_to, account)
    return {"rows": rows, **aggregates, "manifest": account.close(compact_every=options.compact_every)}
