"""A queue whose messages are acknowledged → raw batches: as a stream, or until it is empty."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.unbounded_source import ReadFromUnboundedSource
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines import outcome
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams import open_queues
from beam_pipelines.ingest.streams.account import account
from beam_pipelines.ingest.streams.bundles import BUNDLE_BYTES, BUNDLE_SECONDS, POLL_SECONDS
from beam_pipelines.ingest.streams.event_times import EventTimes, publish_times, stamp_of
from beam_pipelines.ingest.streams.queue import QueueAddress
from beam_pipelines.ingest.streams.queue_reader import QueueMark, QueueSource
from beam_pipelines.ingest.streams.watermarks import PartitionState, WatermarkPolicy

QUIET_SECONDS = 5.0
"""A queue of which nobody can say how much is in it counts as empty when nothing came for so long."""


class ReadQueue(beam.PTransform):
    """Read a queue (`streams.queue`): PBegin → Outcome of raw batches.

    A whole poll is one element, stamped with the earliest event time of its rows. `event_times` says what that is:
    `publish_times`, or `PayloadTimes(contract)`; `policy` says what watermark follows from it. Bounded, there is no
    watermark, and payloads aren't parsed for a stamp: batches have it when they are validated.

    At least once from the queue to the runner: messages are acknowledged when the runner has finalised the bundle
    that read them, that is when it has committed what came of them, and given back when the bundle fails. What a
    process had when it died is delivered again by the broker.

    `bounded` reads until the queue is empty, and stops, on any runner: for `quiet_seconds` nothing waited. All that
    a reader gave out is acknowledged when the runner finalises its one bundle; with `acknowledges=False` it is given
    back. Else the stream never ends, and needs a runner for streams that finalises bundles: Prism, Dataflow, or
    Flink with checkpoints.

    `readers` read at the same time. Rows with `__failures` become dead letters. All rows are counted as READ under
    the name `stage`. A bundle ends after `bundle_bytes` (as elements of `max_batch_bytes`) or `bundle_seconds`.
    """

    def __init__(
        self,
        address: QueueAddress,
        event_times: EventTimes = publish_times,
        policy: WatermarkPolicy | None = None,
        *,
        stage: str,
        bounded: bool = False,
        acknowledges: bool = True,
        quiet_seconds: float = QUIET_SECONDS,
        readers: int = 1,
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        bundle_bytes: int = BUNDLE_BYTES,
        bundle_seconds: float = BUNDLE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()
        for name, value in (
            ("readers", readers),
            ("max_batch_rows", max_batch_rows),
            ("max_batch_bytes", max_batch_bytes),
            ("bundle_bytes", bundle_bytes),
        ):
            if value < 1:
                raise UsageError(f"{name}: {value} is not allowed: at least 1")
        if not bounded and not acknowledges:
            raise UsageError("a stream acknowledges what it has read: only what is bounded can leave it")
        self._source = QueueSource(
            address,
            event_times,
            policy or WatermarkPolicy(),
            max_batch_rows,
            max_batch_bytes,
            1 if bounded else readers,
            not bounded,
        )
        self._bounded = bounded
        self._acknowledges = acknowledges
        self._quiet_seconds = quiet_seconds
        self._stage = stage
        self._bundle_elements = max(1, bundle_bytes // max_batch_bytes)
        self._bundle_seconds = bundle_seconds
        self._poll_seconds = poll_seconds

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        if self._bounded:
            read = _ReadUntilEmpty(self._source, self._acknowledges, self._quiet_seconds)
            polled = (
                begin
                | "Queue" >> beam.Create([0])
                | "Alone" >> beam.Reshuffle()
                | "ReadUntilEmpty" >> beam.ParDo(read).with_output_types(pa.RecordBatch)
            )
        else:
            polled = begin | "Read" >> ReadFromUnboundedSource(
                self._source,
                poll_interval=self._poll_seconds,
                max_records_per_bundle=self._bundle_elements,
                max_read_time_seconds=self._bundle_seconds,
            )
        return account(polled, self._stage)


class _ReadUntilEmpty(beam.DoFn):
    def __init__(self, source: QueueSource, acknowledges: bool, quiet_seconds: float) -> None:
        self._source = source
        self._acknowledges = acknowledges
        self._quiet_seconds = quiet_seconds

    def process(
        self,
        number: int,  # noqa: ARG002  there is one reader
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
    ) -> Iterator[pa.RecordBatch | TimestampedValue]:
        source, chain = self._source, uuid.uuid4().hex
        session, last, empty_since, done = "", 0, None, False
        try:
            while True:
                with open_queues.using(source.share) as queue:
                    if session and queue.session != session:
                        raise ConnectionError(f"{source.address.name}: the connection was lost, and what it had read")
                    session = queue.session
                    taken = queue.take(chain, source.max_rows, source.max_bytes)
                    is_empty = taken is None and queue.waiting() == 0
                if taken is not None:
                    last, received = taken
                    earliest = stamp_of(received.batch, source.event_times)
                    at = None if earliest is None else Timestamp(micros=earliest)
                    yield received.batch if at is None else TimestampedValue(received.batch, at)
                if not is_empty:
                    empty_since = None
                elif empty_since is None:
                    empty_since = time.monotonic()
                if empty_since is not None and time.monotonic() - empty_since >= self._quiet_seconds:
                    break
            done = self._acknowledges
        finally:
            if done:
                mark = QueueMark(source.share, session, chain, last, PartitionState())
                finalizer.register(mark.finalize_checkpoint)
            else:
                with open_queues.of_session(source.share, session) as queue:
                    if queue is not None:
                        queue.forget_after(chain, 0)
