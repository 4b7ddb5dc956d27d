"""A subscription read by what the runner has for it: Dataflow's own source, made into raw batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.gcp import pubsub
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import outcome
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from beam_pipelines.ingest.pubsub.queue import PubSubAddress
from beam_pipelines.ingest.streams.account import account
from beam_pipelines.ingest.streams.event_times import EventTimes, earliest_of
from beam_pipelines.ingest.streams.messages import Message, position_of, raw_messages


class ReadByRunner(beam.PTransform):
    """Read a subscription by Beam's `ReadFromPubSub`, which Dataflow has of its own: PBegin → Outcome of raw batches.

    The runner leases, acknowledges and forgets duplicates; its watermark follows the times of publication. Messages
    of a bundle are put together, each batch stamped with its earliest event time, but not before its messages' own.
    """

    def __init__(self, address: PubSubAddress, event_times: EventTimes, stage: str) -> None:
        super().__init__()
        self._address = address
        self._event_times = event_times
        self._stage = stage

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        read = pubsub.ReadFromPubSub(subscription=self._address.subscription, with_attributes=True)
        batches = (
            begin
            | "Messages" >> read
            | "Batches"
            >> beam.ParDo(_Gather(self._address.name, self._address.format, self._event_times)).with_output_types(
                pa.RecordBatch
            )
        )
        return account(batches, self._stage)


class _Gather(beam.DoFn):
    def __init__(self, source: str, format: str, event_times: EventTimes) -> None:
        self._source = source
        self._format = format
        self._event_times = event_times

    def start_bundle(self) -> None:
        self._messages: list[Message] = []
        self._size = 0

    def process(self, message: pubsub.PubsubMessage, window: Any = beam.DoFn.WindowParam) -> Iterator[TimestampedValue]:
        self._window = window
        published = message.publish_time
        self._messages.append(
            Message(
                message.data,
                position_of(message.message_id or ""),
                None if published is None else round(published.timestamp() * 1_000_000),
                message.ordering_key.encode() or None,
                [(name, value.encode()) for name, value in (message.attributes or {}).items()],
            )
        )
        self._size += len(message.data)
        if len(self._messages) >= MAX_BATCH_ROWS or self._size >= MAX_BATCH_BYTES:
            batch, at = self._gathered()
            self.start_bundle()
            yield TimestampedValue(batch, at)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._messages:
            batch, at = self._gathered()
            yield WindowedValue(batch, at, (self._window,))

    def _gathered(self) -> tuple[pa.RecordBatch, Timestamp]:
        batch = raw_messages(self._messages, self._source, self._format)
        earliest = earliest_of(batch, self._event_times)
        published = pc.min(batch.column("__publish_time").cast(pa.int64())).as_py()
        known = [each for each in (earliest, published) if each is not None]
        # Earlier than its messages, a batch wouldn't be held by the runner's watermark.
        return batch, Timestamp(micros=max(known, default=0))
