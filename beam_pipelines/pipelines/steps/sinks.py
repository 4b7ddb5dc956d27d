"""Sinks that are no lake: which URI is written by what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.errors import UsageError
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.sink.deliver import Written
from beam_pipelines.sink.tables.known import STORES, table_of
from beam_pipelines.sink.tables.write import StageForTable
from beam_pipelines.uris import Uri, parse_uri

Write = Callable[[Uri, pa.Schema, str], beam.PTransform]


def _kafka(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.kafka.write import WriteToKafka  # here, since its client is an extra

    return WriteToKafka(uri, schema, output=output)


QUEUES: dict[str, Write] = {"kafka": _kafka}
"""Scheme → what writes to it: batches → Written. It counts what it wrote as WRITTEN, or as IN_PANES."""


def write_to(
    batches: beam.PCollection[pa.RecordBatch],
    uri: str,
    output: Literal["rows", "aggregates"],
    schema: pa.Schema,
    account: Account,
) -> None:
    """Write an output to the queue or the table that `--rows_to` or `--aggregates_to` names; errors name the option."""
    what = output.capitalize()
    try:
        named = parse_uri(uri, [*QUEUES, *STORES])
        if named.scheme in QUEUES:
            write = QUEUES[named.scheme](named, schema, output)
            written: Written = batches | f"Write{what}" >> write
            account.refused(f"Unwritable{what}", written.dead_letters, written.ledger)
            return
        table = table_of(named, schema)
        table.check()
    except UsageError as wrong:
        raise UsageError(f"--{output}_to: {wrong}") from None
    staged = batches | f"Write{what}" >> StageForTable(table, account.lake, account.run.run_id, output, schema)
    account.add(staged.files)
    account.refused(f"Unwritable{what}", staged.dead_letters, staged.ledger)
    account.into(output, table)
