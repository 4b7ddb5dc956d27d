"""MQTT → raw batches."""

from __future__ import annotations

import dataclasses

import apache_beam as beam

from beam_pipelines import outcome
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.ingest.mqtt.queue import MqttAddress
from beam_pipelines.ingest.streams.event_times import EventTimes
from beam_pipelines.ingest.streams.queue import Bounds
from beam_pipelines.ingest.streams.read_queue import QUIET_SECONDS, ReadQueue
from beam_pipelines.ingest.streams.stream_options import QueueOptions
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.mqtt.connection import SCHEME, Connection, ConnectionOptions
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "ReadFromMqtt"

MOST_UNACKNOWLEDGED = 65_535
"""Messages that a broker sends before they are acknowledged, at most: the protocol counts them in 16 bits."""


@dataclasses.dataclass(frozen=True)
class MqttReadOptions(QueueOptions, ConnectionOptions):
    """Options of an `mqtt://` URI that is read."""

    client: str | None = option(
        "Our name at the broker, by which it keeps messages for us while we are away. Needed.", default=None
    )
    expiry: int = option("Seconds for which the broker keeps them.", default=86_400)


class ReadFromMqtt(beam.PTransform):
    """Read topics of an MQTT 5 broker: PBegin → Outcome of raw batches, a whole poll in each.

    `uri` is `mqtt://USER@HOST:PORT/TOPIC?client=NAME&OPTIONS`; the topic may have wildcards (`halls/+/temperature`,
    `halls/#`) and be shared (`$share/GROUP/halls/#`), which `?readers` of more than one need. `MqttReadOptions` says
    what options there are. `__payload` is a message, `__source` the filter, `__key` its topic, `__attributes` its
    user properties, `__publish_time` when it came. `__position` is made of its user property `beam-pipelines-id`,
    else it is another one with each delivery.

    As a stream it needs Prism, Dataflow, or Flink with checkpoints. With `?bounded=true` it reads, on any runner,
    what the broker has kept for `client`, until nothing comes for `?quiet` seconds (5): at most 65,535 messages, and
    no more than the broker has under way for a client. The watermark follows the event times of the payloads, by the
    field that `contract` marks; without a contract, when messages came. `event_times` may say it in another way.
    What the URI doesn't say of watermarks, `policy` does.

    UsageError at the first worker for access that isn't given and credentials that are refused, and when the broker
    says that another client has our name. A topic that nobody publishes to is no error.

    At least once from the broker to the runner, of messages published with QoS 1 or 2: one is acknowledged when the
    runner has finalised the bundle that read it. What wasn't comes again with the next connection. Messages that
    were published with QoS 0 come at most once. Deliveries aren't counted by MQTT, so there is no poison rule.

    >>> read = ReadFromMqtt("mqtt://localhost/halls/+/temperature?client=thermometer")
    >>> ReadFromMqtt("mqtt://localhost/halls/#")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: mqtt://localhost/halls/#: ?client is needed: our name at the broker, by which ...
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
        options = read_options(uri, MqttReadOptions)
        self._options = options
        if not uri.path:
            raise uri.refuse("names no topic: write mqtt://HOST:PORT/TOPIC")
        if not options.client:
            raise uri.refuse("?client is needed: our name at the broker, by which it keeps messages for us")
        if options.readers > 1 and not uri.path.startswith("$share/"):
            raise uri.refuse(
                f"?readers={options.readers} would each get all messages: share them, as in $share/GROUP/{uri.path}"
            )
        self._address = MqttAddress(
            Connection.of(uri, options),
            uri.path,
            options.client,
            options.format,
            options.expiry,
            min(options.unacknowledged, MOST_UNACKNOWLEDGED),
            waits=not options.bounded,
            bounds=Bounds(None, None) if options.bounded else Bounds(options.unacknowledged),
        )
        self._event_times = event_times or options.event_times(contract, dialect)
        self._policy = options.policy(policy)

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        options = self._options
        return begin | "Topic" >> ReadQueue(
            self._address,
            self._event_times,
            self._policy,
            stage=STAGE,
            bounded=options.bounded,
            acknowledges=options.acknowledge == "finalized",
            quiet_seconds=QUIET_SECONDS if options.quiet is None else options.quiet,
            readers=options.readers,
        )
