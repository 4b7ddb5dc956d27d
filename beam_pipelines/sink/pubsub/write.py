"""Batches → a Google Pub/Sub topic."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines import ledger
from beam_pipelines.options import option
from beam_pipelines.pubsub.connection import SCHEME, Connection, ConnectionOptions, resource_of
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import DeliverBatches, Written
from beam_pipelines.sink.pubsub.delivery import PubSubDelivery
from beam_pipelines.sink.records import RecordOptions, RecordPlan, check_plan
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WriteToPubSub"

REFUSED = "pubsub.refused"
"""Rule of rows that the service will never take, such as ones of more than 10 MB."""


@dataclasses.dataclass(frozen=True)
class PubSubWriteOptions(RecordOptions, ConnectionOptions):
    """Options of a `pubsub://` URI that is written to."""

    through: Literal["calls", "runner"] = option(
        "calls: by calls of ours, on any runner; runner: by what Dataflow has of its own for Pub/Sub.",
        default="calls",
    )


class WriteToPubSub(beam.PTransform):
    """Write each row as a message of a topic: PCollection[RecordBatch] → Written.

    At least once, with a deterministic id attribute (`beam-pipelines-id`) on each message, by which readers
    deduplicate: a bundle that is tried again writes its messages again, under the same ids. A bundle ends only when
    the service has all of its messages; 32 MiB are under way at most.

    `uri` is `pubsub://PROJECT/TOPIC?OPTIONS`; `PubSubWriteOptions` says what options there are. `schema` is that of
    the batches, if options name columns of it. `key` is the ordering key, in which bytes that aren't UTF-8 are
    replaced. The topic has to be there.

    Dead letters (`pubsub.refused`): rows that the service will never take, such as ones of more than 10 MB. The
    bundle fails, and the runner tries it again, when the service can't be reached for the time of `retries`;
    UsageError for an unknown topic, access that isn't given, and credentials that are refused.

    Rows are counted as WRITTEN of `output`; panes of an aggregation as IN_PANES by their `__rows`.

    >>> write = WriteToPubSub("pubsub://shop-prod/sales?key=country", pa.schema({"country": pa.string()}))
    >>> WriteToPubSub("pubsub://shop-prod/sales?key=contry", pa.schema({"country": pa.string()}))
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
        options = read_options(uri, PubSubWriteOptions)
        plan = RecordPlan(options.value, options.key, options.id)
        if schema is not None:
            check_plan(plan, schema)
        if options.through == "runner" and options.key:
            raise uri.refuse("?through=runner writes no keys: Dataflow's own sink has none (Beam 2.77)")
        self._plan, self._output, self._through = plan, output, options.through
        self._topic = resource_of(uri, "topics")
        self._open = partial(PubSubDelivery, Connection.of(uri, options), self._topic, retries or Retries())

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Written:
        if self._through == "runner":
            from beam_pipelines.sink.pubsub.by_runner import WriteByRunner

            return batches | "Deliver" >> WriteByRunner(self._topic, self._plan, STAGE, REFUSED, self._output)
        return batches | "Deliver" >> DeliverBatches(self._open, self._plan, STAGE, REFUSED, self._output)
