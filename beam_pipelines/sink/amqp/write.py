"""Batches → AMQP 0-9-1."""

from __future__ import annotations

import dataclasses
from functools import partial

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.amqp.connection import SCHEME, Connection, ConnectionOptions, queue_of
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.amqp.delivery import AmqpDelivery
from beam_pipelines.sink.deliver import DeliverBatches, Written
from beam_pipelines.sink.records import RecordOptions, RecordPlan, check_plan
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToAmqp"

REFUSED = "amqp.refused"
"""Rule of rows that the broker will never take: too large, or bound for nowhere."""


@dataclasses.dataclass(frozen=True)
class AmqpWriteOptions(RecordOptions, ConnectionOptions):
    """Options of an `amqp://` URI that is written to."""

    exchange: bool = option(
        "Whether the name is an exchange's, to which keys are routing keys; else it is a queue's.", default=False
    )
    time: str | None = option("Column of a message's timestamp, in whole seconds. Default: none.", default=None)


class WriteToAmqp(beam.PTransform):
    """Write each row as a message to a queue or exchange of AMQP 0-9-1: PCollection[RecordBatch] → Written.

    At least once, with publisher confirms and a deterministic id (header `beam-pipelines-id`, and message-id) on
    each message, by which readers deduplicate: a bundle that is tried again writes its messages again, under the
    same ids. A bundle ends only when the broker has confirmed all of its messages, which are persistent.

    `uri` is `amqp://USER@HOST:PORT/VHOST/QUEUE?OPTIONS`, or an exchange in the queue's place with `?exchange=true`;
    `AmqpWriteOptions` says what options there are. `schema` is that of the batches, if options name columns of it.
    The queue or exchange has to be there.

    Dead letters (`amqp.refused`): rows that the broker will never take, as they are too large or no queue is bound
    for their key. The bundle fails, and the runner tries it again, when the broker can't be reached for the time of
    `retries`, or takes no messages now; UsageError for an unknown queue or exchange, access that isn't given, and
    credentials that are refused.

    Rows are counted as WRITTEN of `output`; panes of an aggregation as IN_PANES by their `__rows`.

    >>> write = WriteToAmqp("amqp://localhost/sales?exchange=true&key=country", pa.schema({"country": pa.string()}))
    >>> WriteToAmqp("amqp://localhost/sales?key=contry", pa.schema({"country": pa.string()}))
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
        options = read_options(uri, AmqpWriteOptions)
        plan = RecordPlan(options.value, options.key, options.id, options.time)
        if schema is not None:
            check_plan(plan, schema)
        self._plan, self._output = plan, output
        name = queue_of(uri)
        exchange, queue = (name, "") if options.exchange else ("", name)
        self._open = partial(AmqpDelivery, Connection.of(uri, options), exchange, queue, retries or Retries())

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        return batches | "Deliver" >> DeliverBatches(self._open, self._plan, STAGE, REFUSED, self._output)
