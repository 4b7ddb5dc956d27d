"""Google Pub/Sub → raw batches."""

from __future__ import annotations

import dataclasses
from typing import Literal

import apache_beam as beam

from beam_pipelines import outcome
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.ingest.pubsub.queue import PubSubAddress
from beam_pipelines.ingest.streams.event_times import EventTimes
from beam_pipelines.ingest.streams.queue import Bounds
from beam_pipelines.ingest.streams.read_queue import QUIET_SECONDS, ReadQueue
from beam_pipelines.ingest.streams.stream_options import QueueOptions
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.options import option
from beam_pipelines.pubsub.connection import SCHEME, Connection, ConnectionOptions, resource_of
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "ReadFromPubSub"


def _check_lease(seconds: int) -> None:
    if not 10 <= seconds <= 600:
        raise ValueError("is not a number of seconds from 10 to 600, which the service takes")


@dataclasses.dataclass(frozen=True)
class PubSubReadOptions(QueueOptions, ConnectionOptions):
    """Options of a `pubsub://` URI that is read."""

    lease: int = option(
        "Seconds after which what a reader had that died is delivered again. A live one renews it.",
        default=60,
        check=_check_lease,
    )
    through: Literal["calls", "runner"] = option(
        "calls: by calls of ours, on any runner; runner: by what Dataflow has of its own for Pub/Sub.",
        default="calls",
    )


class ReadFromPubSub(beam.PTransform):
    """Read a subscription: PBegin → Outcome of raw batches (`columnar.provenance`), a whole poll in each.

    `uri` is `pubsub://PROJECT/SUBSCRIPTION?OPTIONS`; `PubSubReadOptions` says what options there are. `__payload` is
    a message's data, `__source` the subscription, `__position` its message id, `__key` its ordering key; its
    `__attributes` and `__publish_time` are there too.

    As a stream it needs Prism, Dataflow, or Flink with checkpoints. With `?bounded=true` it reads, on any runner,
    until the subscription is empty: nothing waits for `?quiet` seconds (5). The watermark follows the event times of
    the payloads, by the field that `contract` marks; without a contract, the times of publication. `event_times` may
    say it in another way. What the URI doesn't say of watermarks, `policy` does.

    Dead letters: `pubsub.poison`, a message delivered more than `?tries` times, which only a subscription with a
    dead-letter policy counts.

    UsageError at the first worker for a subscription that there isn't, access that isn't given and credentials that
    are refused.

    At least once from Pub/Sub to the runner: a message is acknowledged when the runner has finalised the bundle that
    read it, and leased until then. It may come twice; `__position` is then the same.

    >>> read = ReadFromPubSub("pubsub://shop-prod/orders?bounded=true")
    >>> ReadFromPubSub("pubsub://shop-prod/orders?bouned=true")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: pubsub://shop-prod/orders: ?bouned is not an option of pubsub://. Did you ...
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
        options = read_options(uri, PubSubReadOptions)
        self._options = options
        self._address = address_of(uri, options)
        self._event_times = event_times or options.event_times(contract, dialect)
        self._policy = options.policy(policy)

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        options = self._options
        if options.through == "runner":
            from beam_pipelines.ingest.pubsub.by_runner import ReadByRunner

            return begin | "Subscription" >> ReadByRunner(self._address, self._event_times, STAGE)
        return begin | "Subscription" >> ReadQueue(
            self._address,
            self._event_times,
            self._policy,
            stage=STAGE,
            bounded=options.bounded,
            acknowledges=options.acknowledge == "finalized",
            quiet_seconds=QUIET_SECONDS if options.quiet is None else options.quiet,
            readers=options.readers,
        )


def address_of(uri: Uri, options: PubSubReadOptions) -> PubSubAddress:
    """Where a URI's subscription is and how it is read. UsageError for options that contradict each other."""
    if options.through == "runner" and options.bounded:
        raise uri.refuse("?through=runner reads streams: leave out ?bounded")
    return PubSubAddress(
        Connection.of(uri, options),
        resource_of(uri, "subscriptions"),
        options.format,
        options.tries,
        options.lease,
        waits=not options.bounded,
        bounds=Bounds(None, None) if options.bounded else Bounds(options.unacknowledged),
    )
