"""Batches → a stream of Kinesis."""

from __future__ import annotations

import dataclasses
from functools import partial

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.kinesis.connection import SCHEME, Connection, ConnectionOptions
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import DeliverBatches, Written
from beam_pipelines.sink.kinesis.delivery import Delivery
from beam_pipelines.sink.kinesis.entries import MAX_RECORD_BYTES
from beam_pipelines.sink.records import RecordOptions, RecordPlan, check_plan
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToKinesis"

REFUSED = "kinesis.refused"
"""Rule of rows that the stream will never take, such as ones that are too long."""


@dataclasses.dataclass(frozen=True)
class KinesisWriteOptions(RecordOptions, ConnectionOptions):
    """Options of a `kinesis://` URI that is written to."""

    max_record_bytes: int = option(
        "Longest record that the stream takes, with its partition key.", default=MAX_RECORD_BYTES
    )


class WriteToKinesis(beam.PTransform):
    """Write each row as a record of a stream: PCollection[RecordBatch] → Written.

    At least once, with a deterministic id in each record, by which readers deduplicate: a bundle that is tried again
    writes its records again, under the same ids. Kinesis has no headers. With `value=json` the id is the field
    `beam-pipelines-id` of the object; without `key` it is the partition key too, also of `value=raw`, whose bytes are
    written as they are: raw records with a key have no id. A bundle ends only when the service has all of its records.

    `uri` is `kinesis://REGION/STREAM?OPTIONS`; `KinesisWriteOptions` says what options there are. `schema` is that of
    the batches, if options name columns of it. Credentials are found as AWS's tools find them, on the worker.

    Requests hold 500 records; those of one that the service couldn't take are tried again by themselves, which may
    change their order. Dead letters (`kinesis.refused`): rows longer than `max_record_bytes`, and payloads that are
    null. The bundle fails, and the runner tries it again, when that doesn't help for the time of `retries`; UsageError
    for an unknown stream and access that isn't given.

    Rows are counted as WRITTEN of `output`; panes of an aggregation as IN_PANES by their `__rows`.

    >>> write = WriteToKinesis("kinesis://eu-central-1/sales?key=country", pa.schema({"country": pa.string()}))
    >>> WriteToKinesis("kinesis://eu-central-1/sales?key=contry", pa.schema({"country": pa.string()}))
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: ?key: there is no column 'contry' to write. Did you mean 'country'?
    """

    def __init__(
        self,
        uri: str | Uri,
        schema: pa.Schema | None = None,
        *,
        output: str = ledger.ROWS,
        retries: Retries | None = None,
    ) -> None:
        super().__init__()
        uri = parse_uri(uri, [SCHEME]) if isinstance(uri, str) else uri
        options = read_options(uri, KinesisWriteOptions)
        self._plan, self._output = RecordPlan(options.value, options.key, options.id), output
        if schema is not None:
            check_plan(self._plan, schema)
        self._open = partial(
            Delivery, Connection.of(uri, options), options.value, options.max_record_bytes, retries or Retries()
        )

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        return batches | "Deliver" >> DeliverBatches(self._open, self._plan, STAGE, REFUSED, self._output)
