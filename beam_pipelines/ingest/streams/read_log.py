"""A partitioned log → raw batches: as a stream, or up to what is there now."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.unbounded_source import ReadFromUnboundedSource
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines import outcome
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.account import Tombstones, account
from beam_pipelines.ingest.streams.bundles import BUNDLE_BYTES, BUNDLE_SECONDS, MAX_READERS, POLL_SECONDS
from beam_pipelines.ingest.streams.event_times import EventTimes, publish_times, stamp_of
from beam_pipelines.ingest.streams.log import LogAddress
from beam_pipelines.ingest.streams.reader import STAGE, LogSource
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy

Part = tuple[str, str, str]
"""A partition, where it is begun, and where it ends now: as text, since Beam's integers have 64 bits."""


class ReadLog(beam.PTransform):
    """Read a partitioned log (`streams.log`): PBegin → Outcome of raw batches.

    A whole poll is one element, stamped with the earliest event time of its rows. `event_times` says what that is:
    `publish_times`, or `PayloadTimes(contract)`; `policy` says what watermark follows from it. Bounded, there is no
    watermark, and payloads aren't parsed for a stamp: batches have it when they are validated.

    `bounded` reads up to what is there when the pipeline starts, and stops, on any runner; rows that come with the
    last poll beyond that are kept, nothing is committed to the log. Else the stream ends when the log does (most
    never do), and needs a runner for streams: Prism, Flink or Dataflow; BundleBasedDirectRunner refuses it, and
    FnApiRunner runs it until it ends.

    At least once from the log to the runner, and what a runner commits with its checkpoints counts once: after a
    failure reading goes on from the mark of the last checkpoint. The log is told (`commit`) only of what a
    checkpoint holds.

    Rows with `__failures` become dead letters. All rows are counted as READ under the name `stage`. Rows without a
    payload (tombstones: `__payload` is null) go on, unless `tombstones` says "filter" or "dead_letter".

    A bundle ends after `bundle_bytes` (as elements of `max_batch_bytes`) or `bundle_seconds`.
    """

    def __init__(
        self,
        address: LogAddress,
        event_times: EventTimes = publish_times,
        policy: WatermarkPolicy | None = None,
        *,
        bounded: bool = False,
        stage: str = STAGE,
        tombstones: Tombstones = "keep",
        max_readers: int = MAX_READERS,
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        bundle_bytes: int = BUNDLE_BYTES,
        bundle_seconds: float = BUNDLE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()
        for name, value in (
            ("max_readers", max_readers),
            ("max_batch_rows", max_batch_rows),
            ("max_batch_bytes", max_batch_bytes),
            ("bundle_bytes", bundle_bytes),
        ):
            if value < 1:
                raise UsageError(f"{name}: {value} is not allowed: at least 1")
        if bundle_seconds <= 0 or poll_seconds < 0:
            raise UsageError("bundle_seconds must be more than 0, and poll_seconds not less")
        self._source = LogSource(
            address, event_times, policy or WatermarkPolicy(), max_batch_rows, max_batch_bytes, max_readers, not bounded
        )
        self._bounded = bounded
        self._stage, self._tombstones = stage, tombstones
        self._bundle_elements = max(1, bundle_bytes // max_batch_bytes)
        self._bundle_seconds = bundle_seconds
        self._poll_seconds = poll_seconds

    def expand(self, begin: beam.pvalue.PBegin) -> outcome.Outcome:
        if self._bounded:
            polled = (
                begin
                | "Log" >> beam.Create([self._source])
                | "Parts" >> beam.ParDo(_Parts()).with_output_types(Part)
                | "Spread" >> beam.Reshuffle()
                | "ReadPart" >> beam.ParDo(_ReadPart(self._source)).with_output_types(pa.RecordBatch)
            )
        else:
            polled = begin | "Read" >> ReadFromUnboundedSource(
                self._source,
                poll_interval=self._poll_seconds,
                max_records_per_bundle=self._bundle_elements,
                max_read_time_seconds=self._bundle_seconds,
            )
        return account(polled, self._stage, self._tombstones)


class _Parts(beam.DoFn):
    def process(self, source: LogSource) -> Iterator[Part]:
        log = source.address.open(0, 1)
        try:
            partitions = log.partitions()
            ends = log.ends(partitions)
            for partition in partitions:
                if partition not in ends:
                    raise RuntimeError(
                        f"{source.address.name}: the end of partition {partition} can't be found out now"
                    )
                start = log.start(partition)
                if start < ends[partition]:
                    yield partition, str(start), str(ends[partition])
        finally:
            log.close()


class _ReadPart(beam.DoFn):
    def __init__(self, source: LogSource) -> None:
        self._source = source

    def process(self, part: Part) -> Iterator[TimestampedValue]:
        partition, position, end = part[0], int(part[1]), int(part[2])
        source, finished = self._source, False
        log = source.address.open(0, 1)
        try:
            while position < end and not finished:
                for polled in log.poll({partition: position}, source.max_rows, source.max_bytes):
                    position, finished = polled.position, polled.finished
                    if polled.batch.num_rows:
                        earliest = stamp_of(polled.batch, source.event_times)
                        yield (
                            polled.batch
                            if earliest is None
                            else TimestampedValue(polled.batch, Timestamp(micros=earliest))
                        )
        finally:
            log.close()
