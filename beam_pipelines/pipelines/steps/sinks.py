"""Sinks that are no lake: which URI is written by what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.contract import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.options import as_text, specs
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.sink.deliver import Written
from beam_pipelines.sink.tables.databases.options import WriteOptions
from beam_pipelines.sink.tables.known import STORES, options_of, table_of
from beam_pipelines.sink.tables.write import StageForTable, refuse_in_stream
from beam_pipelines.uris import Uri, parse_uri

Write = Callable[[Uri, pa.Schema, str], beam.PTransform]


def _kafka(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.kafka.write import WriteToKafka  # here, since its client is an extra

    return WriteToKafka(uri, schema, output=output)


def _kinesis(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.kinesis.write import WriteToKinesis  # here, since its client takes long to load

    return WriteToKinesis(uri, schema, output=output)


def _pubsub(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.pubsub.write import WriteToPubSub

    return WriteToPubSub(uri, schema, output=output)


def _amqp(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.amqp.write import WriteToAmqp

    return WriteToAmqp(uri, schema, output=output)


def _mqtt(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.mqtt.write import WriteToMqtt

    return WriteToMqtt(uri, schema, output=output)


def _redis(uri: Uri, schema: pa.Schema, output: str) -> beam.PTransform:
    from beam_pipelines.sink.redis.write import WriteToRedis  # here, since its client is an extra

    return WriteToRedis(uri, None if output == ledger.AGGREGATES else schema, output=output)


TOPICS: dict[str, Write] = {
    "amqp": _amqp,
    "kafka": _kafka,
    "kinesis": _kinesis,
    "mqtt": _mqtt,
    "pubsub": _pubsub,
}
"""Scheme → what writes records to it, each of which stays for whoever reads."""

QUEUES: dict[str, Write] = {**TOPICS, "redis": _redis}
"""Scheme → what writes to it: batches → Written. It counts what it wrote as WRITTEN, or as IN_PANES."""


def write_to(
    batches: beam.PCollection[pa.RecordBatch],
    uri: str,
    output: Literal["rows", "aggregates"],
    schema: pa.Schema,
    account: Account,
    contract: Contract | None = None,
) -> None:
    """Write an output to the queue or the table that `--rows_to` or `--aggregates_to` names; errors name the option.

    Of a contract, whose rows they are, a store is told the key, the partitions and whether it evolves, if it has
    options of these names and the URI doesn't say otherwise.
    """
    what = output.capitalize()
    try:
        named = parse_uri(uri, [*QUEUES, *STORES])
        if named.scheme in QUEUES:
            write = QUEUES[named.scheme](named, schema, output)
            written: Written = batches | f"Write{what}" >> write
            account.refused(f"Unwritable{what}", written.dead_letters, written.ledger)
            return
        table = table_of(named if contract is None else _as_said(named, contract), schema)
        refuse_in_stream(table, batches.is_bounded)
        table.check()
    except UsageError as wrong:
        raise UsageError(f"--{output}_to: {wrong}") from None
    staged = batches | f"Write{what}" >> StageForTable(table, account.lake, account.run.run_id, output, schema)
    account.add(staged.files)
    account.refused(f"Unwritable{what}", staged.dead_letters, staged.ledger)
    account.into(output, table)


def _as_said(uri: Uri, contract: Contract) -> Uri:
    """The URI with what the contract says, where its store has such options and it has none of them."""
    said = {
        "key": as_text(contract.primary_key),
        "partition_by": as_text(contract.partition_by),
        "evolve": "true" if contract.on_schema_change == "evolve" else "",
    }
    options = options_of(uri.scheme)
    if issubclass(options, WriteOptions) and dict(uri.options).get("mode") != "upsert":
        del said["key"]  # a database that rows are added to has a key or not, as it was made
    known, given = {spec.name for spec in specs(options)}, {name for name, _ in uri.options}
    added = tuple((name, text) for name, text in said.items() if text and name in known - given)
    return dataclasses.replace(uri, options=(*uri.options, *added))
