"""A queue as an unbounded source of Beam's: one element for each poll; a mark says what it acknowledges."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.unbounded_source import CheckpointMark, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines import progress
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.ingest.streams import open_queues, together
from beam_pipelines.ingest.streams.event_times import EventTimes, micros_of, publish_times
from beam_pipelines.ingest.streams.open_queues import OpenQueue
from beam_pipelines.ingest.streams.pool import Share
from beam_pipelines.ingest.streams.queue import QueueAddress
from beam_pipelines.ingest.streams.reader import BEGUN
from beam_pipelines.ingest.streams.reported import METRICS, Reported, now
from beam_pipelines.ingest.streams.watermarks import PartitionState, WatermarkPolicy, Watermarks

_QUEUE = "queue"  # the one partition there is
_LOOK_SECONDS = 1.0  # between questions about the backlog while nothing comes


@dataclasses.dataclass(frozen=True)
class QueueSource(UnboundedSource):
    """A queue as a stream of raw batches, read by `shards` readers at the same time; this one is number `shard`."""

    address: QueueAddress
    event_times: EventTimes = publish_times
    policy: WatermarkPolicy = dataclasses.field(default_factory=WatermarkPolicy)
    max_rows: int = 16_384
    max_bytes: int = 8 << 20
    readers: int = 1
    announces: bool = False
    """Whether a reader's very first element is a batch without rows, which says that it began."""
    shard: int = 0
    shards: int = 1
    stream: str = ""
    """What several readers that were split at once have in common."""

    @property
    def share(self) -> Share:
        return Share(self.address, self.shard, self.shards)

    def split(self, desired_num_splits: int, options: Any = None) -> Iterable[QueueSource]:  # noqa: ARG002
        stream = uuid.uuid4().hex if self.readers > 1 else ""
        if stream:
            together.expect(stream, self.readers)
        return [
            dataclasses.replace(self, shard=shard, shards=self.readers, stream=stream) for shard in range(self.readers)
        ]

    def create_reader(self, options: Any, checkpoint_mark: QueueMark | None) -> QueueReader:  # noqa: ARG002
        return QueueReader(self, checkpoint_mark)

    def get_checkpoint_mark_coder(self) -> beam.coders.Coder:
        return QueueMarkCoder(self.share)

    def default_output_coder(self) -> beam.coders.Coder:
        return RecordBatchCoder()


@dataclasses.dataclass(frozen=True)
class QueueMark(CheckpointMark):
    """Up to where messages are acknowledged when this is finalised, and what the watermark follows from.

    Never holds messages. Marks are finalised in any order, and some never: each acknowledges all before it, which
    the runner has committed before.
    """

    share: Share
    session: str
    chain: str
    upto: int
    state: PartitionState
    reported: int | None = None
    """The latest watermark that was reported: the runner's never goes back."""

    def finalize_checkpoint(self) -> None:
        with open_queues.of_session(self.share, self.session) as queue:
            if queue is not None:
                queue.acknowledge(self.chain, self.upto)


class QueueMarkCoder(beam.coders.Coder):
    """Codes a QueueMark as a version byte and JSON; the queue it is of is known."""

    VERSION = b"\x01"

    def __init__(self, share: Share) -> None:
        self._share = share

    def encode(self, mark: QueueMark) -> bytes:
        content = [mark.session, mark.chain, mark.upto, list(mark.state), mark.reported]
        return self.VERSION + json.dumps(content, separators=(",", ":")).encode()

    def decode(self, encoded: bytes) -> QueueMark:
        if encoded[:1] != self.VERSION:
            raise ValueError(
                f"a mark of {self._share.address.name} was coded with version {encoded[0]}, this package reads "
                f"{self.VERSION[0]}: go on with the release that wrote the checkpoint"
            )
        session, chain, upto, state, reported = json.loads(encoded[1:])
        return QueueMark(self._share, session, chain, upto, PartitionState(*state), reported)

    def is_deterministic(self) -> bool:
        return True


class QueueReader(UnboundedReader):
    """Reads a queue."""

    def __init__(self, source: QueueSource, mark: QueueMark | None) -> None:
        self._source = source
        self._share = source.share
        self._begun = mark is not None or not source.announces
        self._chain = mark.chain if mark else uuid.uuid4().hex
        self._session = mark.session if mark else ""
        self._upto = mark.upto if mark else 0
        self._since: list[int] = []  # what was taken since the last mark
        states = {_QUEUE: mark.state if mark else PartitionState()}
        self._watermarks = Watermarks(source.policy, states=states)
        reported = mark.reported if mark else None
        self._reported = Reported(self._watermarks, reported, source.address.name, source.shard, source.stream)
        self._backlog = beam.metrics.Metrics.gauge(METRICS, f"backlog:{source.address.name}")
        self._current: pa.RecordBatch | None = None
        self._earliest: int | None = None
        self._rests = False
        self._looked = -1e9
        if mark is not None:
            with open_queues.of_session(self._share, mark.session) as queue:
                if queue is not None:
                    queue.forget_after(mark.chain, mark.upto)

    def start(self) -> bool:
        self._reported.begin()
        if not self._begun:
            self._begun, self._current, self._earliest = True, BEGUN, None
            return True
        return self.advance()

    def advance(self) -> bool:
        self._reported.begin()
        self._current = None
        if self._rests:
            self._rests = False
            return False
        with open_queues.using(self._share) as queue:
            if queue.session != self._session:
                self._session, self._upto, self._since = queue.session, 0, []
            taken = queue.take(self._chain, self._source.max_rows, self._source.max_bytes)
            if taken is None:
                self._look(queue)
                return False
        number, received = taken
        self._upto = number
        self._since.append(number)
        times = micros_of(received.batch, self._source.event_times)
        self._current, self._earliest = self._reported.told(received.batch), pc.min(times).as_py()
        self._watermarks.saw(_QUEUE, pc.max(times).as_py(), now())
        # What was delivered before may be what made its bundle fail: it has one of its own.
        self._rests = received.tries > 1
        return True

    def get_current(self) -> pa.RecordBatch:
        assert self._current is not None
        return self._current

    def get_current_timestamp(self) -> Timestamp:
        """The earliest event time of the rows; of rows without one, the watermark."""
        return self._reported.time_of(self._earliest)

    def get_watermark(self) -> Timestamp:
        return self._reported.watermark()

    def get_checkpoint_mark(self) -> QueueMark:
        self._since = []
        self._reported.rest()
        state = self._watermarks.states[_QUEUE]
        return QueueMark(self._share, self._session, self._chain, self._upto, state, self._reported.micros)

    def close(self) -> None:
        """Give back what no mark holds: its bundle has failed."""
        self._reported.rest()
        since, self._since = self._since, []
        if since:
            with open_queues.of_session(self._share, self._session) as queue:
                if queue is not None:
                    queue.give_back(since)

    def _look(self, queue: OpenQueue) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        waiting = queue.waiting()
        if waiting == 0:
            self._watermarks.quiet(_QUEUE, now())
        else:
            self._watermarks.unknown(_QUEUE)
        if waiting is not None:
            self._backlog.set(waiting)
            progress.gauge(
                progress.BACKLOG, waiting, source=self._source.address.name, partition=str(self._source.shard)
            )
