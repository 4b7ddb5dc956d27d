"""A partitioned log as an unbounded source of Beam's: one element for each poll, positions in the checkpoint mark.

On `apache_beam.io.unbounded_source` (experimental in Beam 2.77), with its limits in mind: a reader may be made for
every bundle, so what is costly is kept by the process (`open_logs`) and what must not be lost is in the mark.
"""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines import progress
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.provenance import PAYLOAD
from beam_pipelines.ingest.streams import open_logs, together
from beam_pipelines.ingest.streams.event_times import EventTimes, micros_of, publish_times
from beam_pipelines.ingest.streams.log import ChangingLog, LogAddress, PartitionedLog, Polled
from beam_pipelines.ingest.streams.pool import Share
from beam_pipelines.ingest.streams.reported import METRICS, Reported, now
from beam_pipelines.ingest.streams.watermarks import NOBODY, PartitionState, WatermarkPolicy, Watermarks

STAGE = "ReadLog"

_LOOK_SECONDS = 1.0  # between questions about the backlog while nothing comes
_measured: dict[Share, float] = {}
"""When the backlog of a share was asked for last, by any of its readers."""

_BUSY_LOOK_SECONDS = 5.0  # between them while rows come: each asks the server about all partitions
_DISCOVER_SECONDS = 30.0  # between questions for new partitions


@dataclasses.dataclass(frozen=True)
class LogSource(UnboundedSource):
    """Some partitions of a log, as a stream of raw batches.

    Of `shards` readers this one, number `shard`, has every `shards`-th partition and finds new ones itself.
    """

    address: LogAddress
    event_times: EventTimes = publish_times
    policy: WatermarkPolicy = dataclasses.field(default_factory=WatermarkPolicy)
    max_rows: int = 16_384
    max_bytes: int = 8 << 20
    max_readers: int = 20
    announces: bool = False
    """Whether a reader's very first element is a batch without rows, which says that it began."""
    shard: int = 0
    shards: int = 1
    stream: str = ""
    """What several readers that were split at once have in common."""

    @property
    def share(self) -> Share:
        return Share(self.address, self.shard, self.shards)

    def split(self, desired_num_splits: int, options: Any = None) -> Iterable[LogSource]:  # noqa: ARG002
        # Beam asks once, for 20. A reader without partitions costs a bundle every second: no more than there are now.
        with open_logs.using(self.share) as log:
            there = desired_num_splits if isinstance(log, ChangingLog) else len(log.partitions())
        shards = max(1, min(desired_num_splits, self.max_readers, there))
        stream = uuid.uuid4().hex if shards > 1 else ""
        if stream:
            together.expect(stream, shards)
        return [dataclasses.replace(self, shard=shard, shards=shards, stream=stream) for shard in range(shards)]

    def create_reader(self, options: Any, checkpoint_mark: LogMark | None) -> LogReader:  # noqa: ARG002
        return LogReader(self, checkpoint_mark)

    def get_checkpoint_mark_coder(self) -> beam.coders.Coder:
        return LogMarkCoder(self.share)

    def default_output_coder(self) -> beam.coders.Coder:
        return RecordBatchCoder()


@dataclasses.dataclass(frozen=True)
class LogMark(CheckpointMark):
    """Where each partition is to be read on, and what its watermark follows from. Never holds rows."""

    share: Share
    positions: Mapping[str, int]
    states: Mapping[str, PartitionState]
    reported: int | None = None
    """The latest watermark that was reported: the runner's never goes back."""

    def finalize_checkpoint(self) -> None:
        open_logs.commit(self.share, self.positions)


class LogMarkCoder(beam.coders.Coder):
    """Codes a LogMark as a version byte and JSON; the log it is of is known."""

    VERSION = b"\x01"

    def __init__(self, share: Share) -> None:
        self._share = share

    def encode(self, mark: LogMark) -> bytes:
        states = {name: list(state) for name, state in mark.states.items()}
        content = {"positions": dict(mark.positions), "states": states, "reported": mark.reported}
        return self.VERSION + json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    def decode(self, encoded: bytes) -> LogMark:
        if encoded[:1] != self.VERSION:
            raise ValueError(
                f"a position in {self._share.address.name} was coded with version {encoded[0]}, this package reads "
                f"{self.VERSION[0]}: go on with the release that wrote the checkpoint"
            )
        content = json.loads(encoded[1:])
        states = {name: PartitionState(*state) for name, state in content["states"].items()}
        return LogMark(self._share, content["positions"], states, content["reported"])

    def is_deterministic(self) -> bool:
        return True


class _Element(NamedTuple):
    """What one poll came to, or the part of it that has one schema."""

    batch: pa.RecordBatch
    earliest: int | None
    latest: list[tuple[str, int | None]]
    polled: list[Polled]


BEGUN = pa.RecordBatch.from_pylist([], pa.schema([(PAYLOAD, pa.binary())]))


class LogReader(UnboundedReader):
    """Reads its share of a log's partitions, the one that holds the watermark first."""

    def __init__(self, source: LogSource, mark: LogMark | None) -> None:
        self._source = source
        self._share = source.share
        self._positions: dict[str, int] = dict(mark.positions) if mark else {}
        self._ahead = dict(self._positions)  # where to poll next: waiting elements lie between
        self._watermarks = Watermarks(source.policy, states=dict(mark.states) if mark else None)
        reported = mark.reported if mark else None
        self._reported = Reported(self._watermarks, reported, source.address.name, source.shard, source.stream)
        self._gave = False  # rows since the last mark
        self._waiting: deque[_Element] = deque()
        self._current: _Element | None = None
        self._begins = mark is None
        self._complete = False
        self._name = source.address.name
        self._discovered = self._looked = -1e9
        self._backlog = beam.metrics.Metrics.gauge(METRICS, f"backlog:{source.address.name}")

    def start(self) -> bool:
        self._reported.begin()
        if self._source.announces and self._begins:
            self._current = _Element(BEGUN, None, [], [])
            return True
        return self.advance()

    def advance(self) -> bool:
        self._reported.begin()
        if not self._waiting:
            with open_logs.using(self._share) as log:
                self._discover(log)
                if time.monotonic() - _measured.get(self._share, -1e9) >= _BUSY_LOOK_SECONDS:
                    self._measure(log)
                while self._poll(log) and not self._waiting:
                    pass  # it moved on without rows
        if not self._waiting:
            self._current = None
            return False
        element = self._waiting.popleft()
        self._gave = True
        self._current = element._replace(batch=self._reported.told(element.batch))
        at = now()
        for partition, latest in element.latest:
            self._watermarks.saw(partition, latest, at)
        for polled in element.polled:
            self._move(polled)
        return True

    def get_current(self) -> pa.RecordBatch:
        assert self._current is not None
        return self._current.batch

    def get_current_timestamp(self) -> Timestamp:
        """The earliest event time of the rows; of rows without one, the watermark."""
        assert self._current is not None
        return self._reported.time_of(self._current.earliest)

    def get_watermark(self) -> Timestamp:
        return self._reported.watermark(is_over=self._is_over)

    @property
    def _is_over(self) -> bool:
        # One of several ends in a bundle without rows: the others go on without it once the runner has all of its own.
        return self._complete and not self._waiting and not (self._gave and self._source.stream)

    def get_checkpoint_mark(self) -> LogMark:
        self._gave = False
        self._reported.rest()
        return LogMark(self._share, dict(self._positions), dict(self._watermarks.states), self._reported.micros)

    def close(self) -> None:
        """Let go of the watermark: of all, if this was the end."""
        states = self._watermarks.states
        if self._is_over and states and all(state.finished for state in states.values()):
            self._reported.end()
        else:
            self._reported.rest()

    def _discover(self, log: PartitionedLog) -> None:
        if isinstance(log, ChangingLog):
            states = self._watermarks.states
            changes = log.changes({name: states[name].finished for name in self._positions})
            for partition in changes.gone:
                del self._positions[partition], self._ahead[partition]
                self._watermarks.forget(partition)
            new = changes.new
        elif time.monotonic() - self._discovered < _DISCOVER_SECONDS:
            return
        else:
            new = log.partitions()[self._share.shard :: self._share.shards]
        self._complete = log.is_complete
        for partition in new:
            if partition not in self._positions:
                self._positions[partition] = self._ahead[partition] = log.start(partition)
            self._watermarks.add(partition)
        if self._complete and not self._positions:
            self._watermarks.finish(NOBODY)
        self._discovered = time.monotonic()

    def _poll(self, log: PartitionedLog) -> bool:
        """Take what there is, and tell if it was anything; if not, find out whether that is all there is."""
        states = self._watermarks.states
        open_ones = [each for each in self._positions if not states[each].finished]
        order = self._watermarks.most_behind_first(open_ones)
        positions, source = {each: self._ahead[each] for each in order}, self._source
        found = log.poll(positions, source.max_rows, source.max_bytes) if order else ()
        for polled in found:
            self._ahead[polled.partition] = polled.position
        self._waiting.extend(_elements(self._rows_of(found), source.event_times))
        if not found and time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._look(log, order)
        return bool(found)

    def _rows_of(self, found: Iterable[Polled]) -> list[Polled]:
        """What holds rows; a move without rows goes with the partition's rows before it, or is made at once."""
        kept: list[Polled] = []
        last: dict[str, int] = {}
        for polled in found:
            if polled.batch.num_rows:
                last[polled.partition] = len(kept)
                kept.append(polled)
            elif polled.partition in last:
                place = last[polled.partition]
                kept[place] = polled._replace(batch=kept[place].batch)
            else:
                self._move(polled)
        return kept

    def _move(self, polled: Polled) -> None:
        self._positions[polled.partition] = polled.position
        if polled.watermark is not None:
            self._watermarks.told(polled.partition, polled.watermark)
        if polled.finished:
            self._watermarks.finish(polled.partition)

    def _look(self, log: PartitionedLog, partitions: list[str]) -> None:
        at = now()
        if not partitions and not self._complete:
            self._watermarks.expect()
        if NOBODY in self._watermarks.states:
            self._watermarks.quiet(NOBODY, at)
        self._looked = time.monotonic()
        waiting = self._measure(log)
        for partition in partitions:
            if waiting.get(partition) == 0:
                self._watermarks.quiet(partition, at)
            else:
                self._watermarks.unknown(partition)

    def _measure(self, log: PartitionedLog) -> Mapping[str, int]:
        """Tell how much waits, and return it by partition."""
        states = self._watermarks.states
        open_ones = {each: at for each, at in self._ahead.items() if not states[each].finished}
        waiting = log.backlog(open_ones) if open_ones else {}
        for partition, rows in waiting.items():
            progress.gauge(progress.BACKLOG, rows, source=self._name, partition=partition)
        self._backlog.set(sum(waiting.values()))
        _measured[self._share] = time.monotonic()
        return waiting


def _elements(found: Iterable[Polled], event_times: EventTimes) -> Iterable[_Element]:
    """Join what has one schema (each CSV file may have its header), keeping each partition's order; find its times."""
    for alike in _alike(found):
        batches = [polled.batch for polled in alike]
        batch = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
        times = micros_of(batch, event_times)
        latest, start = [], 0
        for polled in alike:
            rows = polled.batch.num_rows
            latest.append((polled.partition, pc.max(times.slice(start, rows)).as_py()))
            start += rows
        yield _Element(batch, pc.min(times).as_py(), latest, alike)


def _alike(found: Iterable[Polled]) -> list[list[Polled]]:
    groups: list[list[Polled]] = []
    schemas: dict[str, int] = {}  # schema → number of its last group
    after: dict[str, int] = {}  # partition → number of the group with its last rows
    for polled in found:
        schema = polled.batch.schema.to_string(show_schema_metadata=True)
        group = schemas.get(schema, -1)
        if group < after.get(polled.partition, 0):
            group = schemas[schema] = len(groups)
            groups.append([])
        groups[group].append(polled)
        after[polled.partition] = group
    return groups
