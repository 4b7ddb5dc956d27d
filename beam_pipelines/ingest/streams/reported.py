"""What a reader has said of how far its stream is: to the runner, and with each batch."""

from __future__ import annotations

import time

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp

from beam_pipelines import progress
from beam_pipelines.columnar.source_watermark import with_source_watermark
from beam_pipelines.ingest.streams import together
from beam_pipelines.ingest.streams.watermarks import ENDED, MICROS, Watermarks

METRICS = "ReadLog"
"""Namespace of the gauges `backlog:NAME` and `watermark_lag_seconds:NAME`."""


class Reported:
    """The latest watermark of a reader, in `micros`: the runner's never goes back, and is never beyond.

    `stream` names what the reader is one of several of: it reports no more than the others have promised.
    """

    def __init__(self, watermarks: Watermarks, micros: int | None, name: str, shard: int, stream: str = "") -> None:
        self._watermarks = watermarks
        self._stream, self._shard = stream, shard
        self._in_bundle = False
        self._labels = {"source": name, "reader": str(shard)}
        self.micros = micros
        self._lag = beam.metrics.Metrics.gauge(METRICS, f"watermark_lag_seconds:{name}")

    def watermark(self, *, is_over: bool = False) -> Timestamp:
        """The watermark now. `is_over`: whether a stream whose partitions have all ended has really ended."""
        found = self._watermarks.watermark()
        if found is None:
            return MIN_TIMESTAMP
        behind = max(0, (now() - found) // MICROS)
        self._lag.set(behind)
        progress.gauge(progress.WATERMARK_LAG, behind, **self._labels)
        if found >= ENDED:
            return MAX_TIMESTAMP if is_over else MIN_TIMESTAMP
        self.micros = found if self.micros is None else max(found, self.micros)
        least = together.least_of_others(self._stream, self._shard) if self._stream else ENDED
        return MIN_TIMESTAMP if least is None else Timestamp(micros=min(found, least))

    def begin(self) -> None:
        """Something is about to be read: in a new bundle, if the last one rests."""
        if self._stream and not self._in_bundle:
            self._in_bundle = True
            together.begin(self._stream, self._shard, self.micros)

    def rest(self) -> None:
        """The bundle ends."""
        if self._stream:
            self._in_bundle = False
            together.rest(self._stream, self._shard)

    def end(self) -> None:
        """Nothing will ever come, and the runner has all that came."""
        if self._stream:
            together.end(self._stream, self._shard)

    def time_of(self, earliest: int | None) -> Timestamp:
        """The time of an element: the earliest of its rows; of rows without one, the watermark."""
        return min(self.watermark(), MAX_TIMESTAMP - 1) if earliest is None else Timestamp(micros=earliest)

    def told(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the watermark that its reader had before it: the runner's isn't further."""
        return with_source_watermark(batch, MIN_TIMESTAMP.micros if self.micros is None else self.micros)


def now() -> int:
    """Microseconds since the epoch by this machine's clock."""
    return time.time_ns() // 1000
