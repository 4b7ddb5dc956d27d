"""Batches → a Kafka topic."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.kafka.connection import SCHEME, Connection, ConnectionOptions, topic_of
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import DeliverBatches, Written
from beam_pipelines.sink.kafka.delivery import Delivery
from beam_pipelines.sink.records import RecordOptions, RecordPlan, check_plan
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToKafka"

REFUSED = "kafka.refused"
"""Rule of rows that the brokers will never take, such as ones too long for the topic."""


@dataclasses.dataclass(frozen=True)
class KafkaWriteOptions(RecordOptions, ConnectionOptions):
    """Options of a `kafka://` URI that is written to."""

    time: str | None = option("Column of a record's time. Default: when it is written.", default=None)
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = option("How records travel.", default="zstd")


class WriteToKafka(beam.PTransform):
    """Write each row as a record of a topic: PCollection[RecordBatch] → Written.

    At least once, with an idempotent producer (acks of all in-sync replicas) and a deterministic id header
    (`beam-pipelines-id`) on each record, by which readers deduplicate: a bundle that is tried again writes its
    records again, under the same ids. A bundle ends only when the brokers have all of its records.

    `uri` is `kafka://USER@HOST:PORT,…/TOPIC?OPTIONS`; `KafkaWriteOptions` says what options there are. `schema` is
    that of the batches, if options name columns of it. The topic has to be there.

    Dead letters (`kafka.refused`): rows that the topic will never take, such as ones longer than its
    `max.message.bytes`. The bundle fails, and the runner tries it again, when the brokers can't be reached for the
    time of `retries`; UsageError for an unknown topic, access that isn't given, and credentials that are refused.

    Rows are counted as WRITTEN of `output`; panes of an aggregation as IN_PANES by their `__rows`.

    >>> write = WriteToKafka("kafka://localhost:9092/sales?key=country", pa.schema({"country": pa.string()}))
    >>> WriteToKafka("kafka://localhost:9092/sales?key=contry", pa.schema({"country": pa.string()}))
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
        options = read_options(uri, KafkaWriteOptions)
        plan = RecordPlan(options.value, options.key, options.id, options.time)
        if schema is not None:
            check_plan(plan, schema)
        self._plan, self._output = plan, output
        self._open = partial(
            Delivery, Connection.of(uri, options), topic_of(uri), options.compression, retries or Retries()
        )

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        return batches | "Deliver" >> DeliverBatches(self._open, self._plan, STAGE, REFUSED, self._output)
