"""Kafka → raw batches."""

from __future__ import annotations

import dataclasses
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import outcome
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.ingest.kafka.log import KafkaAddress
from beam_pipelines.ingest.kafka.starts import Start, check_start, parse_start
from beam_pipelines.ingest.streams.bundles import BUNDLE_SECONDS, MAX_READERS, POLL_SECONDS
from beam_pipelines.ingest.streams.event_times import TIME, EventTimes, PayloadTimes, publish_times
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.stream_options import StreamOptions
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.kafka.connection import SCHEME, Connection, ConnectionOptions, topic_of
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, parse_uri, read_options, secret_reference

STAGE = "ReadFromKafka"

PATIENCE = 60.0
"""Seconds after which reading up to now fails when no broker can be reached; a stream waits on."""


def _at_least_one(number: int) -> None:
    if number < 1:
        raise ValueError("is not allowed: at least 1")


def _some_seconds(seconds: float) -> None:
    if not 0.01 <= seconds <= 3600:
        raise ValueError("is not a number of seconds from 0.01 to 3600")


@dataclasses.dataclass(frozen=True)
class KafkaReadOptions(StreamOptions, ConnectionOptions):
    """Options of a `kafka://` URI that is read."""

    start: str | None = option(
        "Where to begin: earliest, latest, committed (by the group; else earliest), timestamp:2024-05-01T00:00:00Z or "
        "offsets:0=120,1=98. Default: committed with a group, else earliest.",
        default=None,
        check=check_start,
    )
    group: str | None = option(
        "Consumer group to which offsets are committed when their rows are safe. Default: none is told.", default=None
    )
    bounded: bool = option("Read up to what is there now, and stop.", default=False)
    registry: str | None = option(
        "URL of a schema registry, if messages begin with the id of a schema (Avro, JSON or Protobuf) of it.",
        default=None,
    )
    registry_user: str | None = option("Our name at the registry.", default=None)
    registry_password: str | None = option("Our password at the registry.", default=None, check=secret_reference)
    isolation: Literal["committed", "uncommitted"] = option(
        "Whether messages of transactions that aren't committed are read.", default="committed"
    )
    lost: Literal["dead_letter", "fail"] = option(
        "What becomes of offsets that retention deleted before they were read.", default="dead_letter"
    )
    tombstones: Literal["filter", "dead_letter", "keep"] = option(
        "What becomes of messages without a value.", default="filter"
    )
    readers: int = option(
        "Most readers of a stream; each has every n-th partition. A bundle may read by all, one after another.",
        default=MAX_READERS,
        check=_at_least_one,
    )
    bundle: float = option(
        "Seconds after which a reader gives on and commits what it has read, if there is more.",
        default=BUNDLE_SECONDS,
        check=_some_seconds,
    )
    poll: float = option(
        "Seconds that a reader pauses when it finds nothing. Flink needs 0.5 or more.",
        default=POLL_SECONDS,
        check=_some_seconds,
    )


class ReadFromKafka(beam.PTransform):
    """Read a topic: PBegin → Outcome of raw batches (`columnar.provenance`), a whole poll in each.

    `uri` is `kafka://USER@HOST:PORT,…/TOPIC?OPTIONS`; `KafkaReadOptions` says what options there are. `__payload` is
    a message's value, `__source` the topic, and `__partition`, `__position` (its offset), `__key`, `__attributes`
    (its headers) and `__publish_time` are there too.

    As a stream it needs Prism, Flink or Dataflow. Its watermark follows the event times of each partition's payloads,
    by the field that `contract` marks; without a contract, the times that Kafka has. `event_times` may say it in
    another way. What the URI doesn't say of watermarks, `policy` does.

    With `?bounded=true` it reads, on any runner, what is there when the pipeline starts. With a contract its batches
    then have the earliest of all times, as those of files do, and are stamped when they are judged.

    Dead letters: `kafka.offsets_lost`, one for each gap that retention left before it was read; its message names
    the offsets. `kafka.unreadable`: messages whose compression or checksum is broken. `tombstone`, if asked for:
    else messages without a value are counted as filtered. With `?registry`, `registry.no_schema_id`,
    `registry.unknown_schema`, `registry.unread_schema`, `avro.malformed` and `protobuf.malformed`.

    UsageError within seconds, at the first worker, for a topic that there isn't, access that isn't given, and
    credentials or certificates that are refused.

    At least once from Kafka to the runner; what follows counts each message once, as far as the runner's checkpoints
    do. Offsets are committed to `group` only when a checkpoint holds what came of them.

    >>> read = ReadFromKafka("kafka://localhost:9092/orders?bounded=true")
    >>> ReadFromKafka("kafka://localhost:9092/orders?strat=latest")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: kafka://localhost:9092/orders: ?strat is not an option of kafka://. Did you ...
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
        options = read_options(uri, KafkaReadOptions)
        self._options = options
        self._address = address_of(uri, options)
        if event_times is None:
            event_times = publish_times
            if contract is not None:
                times = PayloadTimes(contract, options.format, dialect or CsvDialect(header=False))
                event_times = _no_times if options.bounded else times
        self._event_times = event_times
        self._policy = options.policy(policy)

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        return begin | "Log" >> ReadLog(
            self._address,
            self._event_times,
            self._policy,
            bounded=self._options.bounded,
            stage=STAGE,
            tombstones=self._options.tombstones,
            max_readers=self._options.readers,
            bundle_seconds=self._options.bundle,
            poll_seconds=self._options.poll,
        )


def _no_times(batch: pa.RecordBatch) -> pa.Array:
    """Of a bounded read nobody waits for a watermark: so payloads needn't be parsed before they are decoded."""
    return pa.nulls(batch.num_rows, TIME)


def address_of(uri: Uri, options: KafkaReadOptions) -> KafkaAddress:
    """Where a URI's topic is and how it is read. UsageError for options that contradict each other."""
    topic = topic_of(uri)
    start = parse_start(options.start) if options.start else Start("committed" if options.group else "earliest")
    if start.kind == "committed" and options.group is None:
        raise uri.refuse("?start=committed needs ?group, whose commits they are")
    return KafkaAddress(
        Connection.of(uri, options),
        topic,
        start,
        options.group,
        options.isolation,
        options.lost,
        options.format,
        PATIENCE if options.bounded else None,
        options.registry,
        options.registry_user,
        options.registry_password,
    )
