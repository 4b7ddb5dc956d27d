"""AMQP 0-9-1 → raw batches."""

from __future__ import annotations

import dataclasses

import apache_beam as beam

from beam_pipelines import outcome
from beam_pipelines.amqp.connection import SCHEME, Connection, ConnectionOptions, queue_of
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.ingest.amqp.queue import AmqpAddress
from beam_pipelines.ingest.streams.event_times import EventTimes
from beam_pipelines.ingest.streams.queue import Bounds
from beam_pipelines.ingest.streams.read_queue import ReadQueue
from beam_pipelines.ingest.streams.stream_options import QueueOptions
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "ReadFromAmqp"

MOST_PREFETCHED = 65_535  # the protocol's own bound


def _check_prefetch(messages: int) -> None:
    if not 1 <= messages <= MOST_PREFETCHED:
        raise ValueError(f"is not a number of messages from 1 to {MOST_PREFETCHED}")


@dataclasses.dataclass(frozen=True)
class AmqpReadOptions(QueueOptions, ConnectionOptions):
    """Options of an `amqp://` URI that is read."""

    prefetch: int = option(
        "Messages that the broker sends to a reader of a stream before it has acknowledged them.",
        default=20_000,
        check=_check_prefetch,
    )


class ReadFromAmqp(beam.PTransform):
    """Read a queue of AMQP 0-9-1, such as RabbitMQ's: PBegin → Outcome of raw batches, a whole poll in each.

    `uri` is `amqp://USER@HOST:PORT/VHOST/QUEUE?OPTIONS` (without VHOST: `/`); `AmqpReadOptions` says what options
    there are. `__payload` is a message's body, `__source` the queue, `__key` its routing key, `__attributes` its
    headers, `__publish_time` its timestamp property. `__position` is made of its id (header `beam-pipelines-id`, or
    the property message-id), else it is another one with each delivery.

    As a stream it needs Prism, Dataflow, or Flink with checkpoints. With `?bounded=true` it reads, on any runner,
    until the queue is empty. The watermark follows the event times of the payloads, by the field that `contract`
    marks; without a contract, the messages' timestamps. `event_times` may say it in another way. What the URI
    doesn't say of watermarks, `policy` does.

    Dead letters: `amqp.poison`, a message delivered more than `?tries` times, which quorum queues and dead-letter
    exchanges count.

    UsageError at the first worker for a queue that there isn't, access that isn't given and credentials that are
    refused.

    At least once from the broker to the runner: a message is acknowledged when the runner has finalised the bundle
    that read it. What wasn't goes back to the queue when the connection ends, so it may come twice.

    >>> read = ReadFromAmqp("amqp://localhost/orders?bounded=true")
    >>> ReadFromAmqp("amqp://localhost/orders?prefetch=100000")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: amqp://localhost/orders: ?prefetch: '100000': is not a number of messages ...
    """

    def __init__(
        self,
        uri: str | Uri,
        contract: Contract | None = None,
        *,
        event_times: EventTimes | None = None,
        policy: WatermarkPolicy | None = None,
        dialect: CsvDialect | None = None,
    ) -> None:
        super().__init__()
        uri = parse_uri(uri, [SCHEME]) if isinstance(uri, str) else uri
        options = read_options(uri, AmqpReadOptions)
        self._options = options
        self._address = AmqpAddress(
            Connection.of(uri, options),
            queue_of(uri),
            options.format,
            options.tries,
            # Beyond a consumer's prefetch nothing would come until it is acknowledged, at the end.
            None if options.bounded else options.prefetch,
            waits=not options.bounded,
            bounds=Bounds(None, None) if options.bounded else Bounds(options.unacknowledged),
        )
        self._event_times = event_times or options.event_times(contract, dialect)
        self._policy = options.policy(policy)

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        options = self._options
        return begin | "Queue" >> ReadQueue(
            self._address,
            self._event_times,
            self._policy,
            stage=STAGE,
            bounded=options.bounded,
            acknowledges=options.acknowledge == "finalized",
            quiet_seconds=options.quiet or 0.0,
            readers=options.readers,
        )
