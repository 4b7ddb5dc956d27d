"""Kinesis → raw batches."""

from __future__ import annotations

import dataclasses
from typing import Literal

import apache_beam as beam

from beam_pipelines import outcome
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import did_you_mean
from beam_pipelines.ingest.kinesis.log import KinesisAddress
from beam_pipelines.ingest.streams.event_times import EventTimes, PayloadTimes, publish_times
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.start_times import millis_of
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.kinesis.connection import SCHEME, Connection, ConnectionOptions
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "ReadFromKinesis"

_STARTS = ("trim_horizon", "latest", "timestamp:2024-05-01T00:00:00Z")


def check_start(text: str) -> None:
    """Check of an option that says where a stream is begun: ValueError says what is allowed."""
    kind, colon, value = text.partition(":")
    if kind == "timestamp" and colon:
        millis_of(value)
    elif text not in _STARTS[:2]:
        hint = did_you_mean(kind, [each.partition(":")[0] for each in _STARTS])
        raise ValueError(f"is not one of {', '.join(_STARTS)}.{hint if hint.startswith(' Did') else ''}")


@dataclasses.dataclass(frozen=True)
class KinesisReadOptions(ConnectionOptions):
    """Options of a `kinesis://` URI that is read."""

    start: str = option(
        "Where to begin: trim_horizon (the oldest there is), latest, or timestamp:2024-05-01T00:00:00Z (of arrival).",
        default="trim_horizon",
        check=check_start,
    )
    bounded: bool = option("Read up to what is there now, and stop.", default=False)
    format: Literal["jsonl", "csv"] = option("What a record is.", default="jsonl")
    lost: Literal["dead_letter", "fail"] = option(
        "What becomes of records that retention may have deleted before they were read.", default="dead_letter"
    )
    readers: int = option(
        "Readers that share the shards. With several, children of a merge may be read before both their parents are.",
        default=1,
    )
    out_of_orderness: float | None = option(
        "Seconds by which an event may be earlier than the latest of its shard without being late. Default: 5.",
        default=None,
    )
    idle_after: float | None = option(
        "Seconds after which an empty shard no longer holds the watermark. Default: 60.", default=None
    )
    ahead: float | None = option(
        "Seconds by which an event time may be ahead of the clock and is believed. Default: 0.", default=None
    )


class ReadFromKinesis(beam.PTransform):
    """Read a stream of Kinesis: PBegin → Outcome of raw batches (`columnar.provenance`).

    `uri` is `kinesis://REGION/STREAM?OPTIONS`; `KinesisReadOptions` says what options there are. Credentials are found
    as AWS's tools find them, on the worker. `__payload` is a record's data, `__source` the stream, `__partition` the
    shard's number, `__key` the partition key, `__publish_time` its time of arrival; its sequence number is in
    `__attributes` as `kinesis.sequence_number`, and `__position` is 63 bits of that number's hash.

    Shards are partitions. When they are split or merged, the old ones are read to their ends before the new ones are
    begun, which are found within 30 s. As a stream it needs Prism, Flink or Dataflow; with `?bounded=true` it reads,
    on any runner, what is there. The watermark follows the event times of each shard's payloads, by the field that
    `contract` marks; without a contract, times of arrival.

    Dead letters: `kinesis.records_lost`, if the last record read is past retention when reading goes on, so that those
    behind it may be too; `kinesis.aggregated`, records in which the Kinesis Producer Library has packed several.

    UsageError at the first worker for a stream that there isn't and access that isn't given. What is throttled or
    doesn't answer is tried again by the one policy (`retries`).

    At least once from Kinesis to the runner; what follows counts each record once, as far as checkpoints do.

    >>> read = ReadFromKinesis("kinesis://eu-central-1/orders?bounded=true")
    >>> ReadFromKinesis("kinesis://eu-central-1/orders?start=latst")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: kinesis://eu-central-1/orders: ?start: 'latst': is not one of trim_horizon, ...
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
        options = read_options(uri, KinesisReadOptions)
        if event_times is None:
            event_times = publish_times
            if contract is not None:
                event_times = PayloadTimes(contract, options.format, dialect or CsvDialect(header=False))
        given = {name: getattr(options, name) for name in ("out_of_orderness", "idle_after", "ahead")}
        given = {name: value for name, value in given.items() if value is not None}
        self._read = ReadLog(
            address_of(uri, options),
            event_times,
            dataclasses.replace(policy or WatermarkPolicy(), **given),
            bounded=options.bounded,
            stage=STAGE,
            max_readers=options.readers,
        )

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        return begin | "Log" >> self._read


def address_of(uri: Uri, options: KinesisReadOptions) -> KinesisAddress:
    """Where a URI's stream is and how it is read."""
    kind, _, value = options.start.partition(":")
    return KinesisAddress(
        Connection.of(uri, options),
        "timestamp" if kind == "timestamp" else "latest" if kind == "latest" else "trim_horizon",
        millis_of(value) if value else 0,
        options.lost,
        options.format,
        options.bounded,
    )
