"""Batches → a topic of MQTT."""

from __future__ import annotations

import dataclasses
from functools import partial

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.mqtt.connection import SCHEME, Connection, ConnectionOptions
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import DeliverBatches, Written
from beam_pipelines.sink.mqtt.delivery import MqttDelivery
from beam_pipelines.sink.records import RecordOptions, RecordPlan, check_plan
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToMqtt"

REFUSED = "mqtt.refused"
"""Rule of rows that the broker will never take, such as ones that are too large."""


@dataclasses.dataclass(frozen=True)
class MqttWriteOptions(RecordOptions, ConnectionOptions):
    """Options of an `mqtt://` URI that is written to."""

    retain: bool = option("Whether the broker keeps the last message for who subscribes later.", default=False)


class WriteToMqtt(beam.PTransform):
    """Write each row as a message of a topic of an MQTT 5 broker: PCollection[RecordBatch] → Written.

    At least once (QoS 1), with a deterministic id (user property `beam-pipelines-id`) on each message, by which
    readers deduplicate: a bundle that is tried again writes its messages again, under the same ids. A bundle ends
    only when the broker has acknowledged all of its messages; 1,000 messages or 32 MiB are under way at most.

    `uri` is `mqtt://USER@HOST:PORT/TOPIC?OPTIONS`; `MqttWriteOptions` says what options there are. `schema` is that
    of the batches, if options name columns of it. `key` becomes the user property `key`.

    Dead letters (`mqtt.refused`): rows that the broker will never take, such as ones that are too large. The bundle
    fails, and the runner tries it again, when the broker can't be reached for the time of `retries`; UsageError for
    access that isn't given, and credentials that are refused. What nobody has subscribed to is gone: MQTT keeps
    messages for subscribers alone.

    Rows are counted as WRITTEN of `output`; panes of an aggregation as IN_PANES by their `__rows`.

    >>> write = WriteToMqtt("mqtt://localhost/sales?key=country", pa.schema({"country": pa.string()}))
    >>> WriteToMqtt("mqtt://localhost/sales/#")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: mqtt://localhost/sales/#: messages are written to one topic, without wildcards
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
        options = read_options(uri, MqttWriteOptions)
        if not uri.path:
            raise uri.refuse("names no topic: write mqtt://HOST:PORT/TOPIC")
        if "#" in uri.path or "+" in uri.path:
            raise uri.refuse("messages are written to one topic, without wildcards")
        plan = RecordPlan(options.value, options.key, options.id)
        if schema is not None:
            check_plan(plan, schema)
        self._plan, self._output = plan, output
        self._open = partial(MqttDelivery, Connection.of(uri, options), uri.path, options.retain, retries or Retries())

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        return batches | "Deliver" >> DeliverBatches(self._open, self._plan, STAGE, REFUSED, self._output)
