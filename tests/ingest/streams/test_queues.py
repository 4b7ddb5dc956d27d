"""QueueReader and what the process keeps of a queue: what is acknowledged when, what is given back, what waits."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import MIN_TIMESTAMP

from beam_pipelines.ingest.streams import open_queues
from beam_pipelines.ingest.streams.messages import Message
from beam_pipelines.ingest.streams.queue import Bounds, Received
from beam_pipelines.ingest.streams.queue_reader import QueueMark, QueueReader, QueueSource
from beam_pipelines.ingest.streams.read_queue import ReadQueue
from beam_pipelines.ingest.streams.received import received_of
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from tests.conformance import kept

SECOND = 1_000_000
_names = itertools.count()


class Broker:
    """What a broker has of one queue: messages that wait, in order, and how often each was delivered."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.waiting = list(numbers)
        self.tries: dict[int, int] = {}
        self.acknowledged: list[int] = []
        self.extended: list[int] = []
        self.closed = 0


BROKERS: dict[str, Broker] = {}


@dataclasses.dataclass(frozen=True)
class ScriptedAddress:
    """A queue of this process; message n was published at second n."""

    name: str
    bounds: Bounds = Bounds()  # noqa: RUF009  immutable
    rows: int = 2
    lease: float | None = None

    def open(self, shard: int, shards: int) -> ScriptedQueue:
        return ScriptedQueue(self)


class ScriptedQueue:
    def __init__(self, address: ScriptedAddress) -> None:
        self._address = address
        self._broker = BROKERS[address.name]
        self.lease_seconds = address.lease

    def receive(self, max_rows: int, max_bytes: int) -> Sequence[Received]:
        broker = self._broker
        taken = [broker.waiting.pop(0) for _ in range(min(max_rows, self._address.rows, len(broker.waiting)))]
        for number in taken:
            broker.tries[number] = broker.tries.get(number, 0) + 1
        messages = [Message(b"%d" % number, number, number * SECOND, tries=broker.tries[number]) for number in taken]
        return received_of(messages, taken, "q", "jsonl", "scripted.poison", 3)

    def acknowledge(self, handles: Sequence[Any]) -> None:
        self._broker.acknowledged += handles

    def give_back(self, handles: Sequence[Any]) -> None:
        self._broker.waiting += handles

    def extend(self, handles: Sequence[Any]) -> None:
        self._broker.extended += handles

    def keep_alive(self) -> None:
        pass

    def waiting(self) -> int | None:
        return len(self._broker.waiting)

    def close(self) -> None:
        self._broker.closed += 1


def _made(numbers: Sequence[int], **told: Any) -> tuple[Broker, QueueSource]:
    name = f"queue-{next(_names)}"
    BROKERS[name] = Broker(numbers)
    return BROKERS[name], QueueSource(ScriptedAddress(name, **told), policy=WatermarkPolicy(5, ahead=None))


def _rows(reader: QueueReader) -> list[int]:
    return reader.get_current().column("__position").to_pylist()


def _mark(reader: QueueReader, source: QueueSource) -> QueueMark:
    coder = source.get_checkpoint_mark_coder()
    return coder.decode(coder.encode(reader.get_checkpoint_mark()))


def test_a_poll_is_an_element_and_is_acknowledged_by_the_mark_behind_it() -> None:
    broker, source = _made([107, 100, 120])
    reader = source.create_reader(None, None)
    assert reader.get_watermark() == MIN_TIMESTAMP
    assert reader.start()
    assert _rows(reader) == [107, 100]
    assert (reader.get_current_timestamp(), reader.get_watermark()) == (100, 102)
    mark = _mark(reader, source)
    assert reader.advance()
    assert _rows(reader) == [120]
    assert not reader.advance()
    assert broker.acknowledged == []
    mark.finalize_checkpoint()
    assert broker.acknowledged == [107, 100]
    mark.finalize_checkpoint()
    assert broker.acknowledged == [107, 100]


def test_a_mark_acknowledges_what_earlier_ones_hold_since_some_are_never_finalised() -> None:
    broker, source = _made([1, 2, 3, 4])
    reader = source.create_reader(None, None)
    assert reader.start()
    first = _mark(reader, source)
    assert reader.advance()
    second = _mark(reader, source)
    second.finalize_checkpoint()
    assert broker.acknowledged == [1, 2, 3, 4]
    first.finalize_checkpoint()
    assert broker.acknowledged == [1, 2, 3, 4]


def test_the_mark_goes_on_in_a_new_reader_and_never_holds_messages() -> None:
    broker, source = _made([1, 2, 3])
    reader = source.create_reader(None, None)
    assert reader.start()
    mark = _mark(reader, source)
    assert len(source.get_checkpoint_mark_coder().encode(mark)) < 150
    reader.close()
    again = source.create_reader(None, mark)
    assert again.get_watermark() == -3
    assert again.start()
    assert _rows(again) == [3]
    _mark(again, source).finalize_checkpoint()
    assert broker.acknowledged == [1, 2, 3]


def test_a_bundle_that_failed_gives_back_what_it_had() -> None:
    broker, source = _made([1, 2, 3])
    reader = source.create_reader(None, None)
    assert reader.start()
    mark = _mark(reader, source)
    assert reader.advance()
    reader.close()
    assert broker.waiting == [3]
    mark.finalize_checkpoint()
    assert broker.acknowledged == [1, 2]


def test_a_runner_that_goes_back_to_a_mark_has_what_came_after_it_delivered_again() -> None:
    broker, source = _made([1, 2, 3, 4, 5])
    reader = source.create_reader(None, None)
    assert reader.start()
    mark = _mark(reader, source)
    assert reader.advance()
    lost = _mark(reader, source)  # of a bundle that is never finalised
    assert broker.waiting == [5]
    again = source.create_reader(None, mark)
    assert broker.waiting == [5, 3, 4]
    assert again.start()
    lost.finalize_checkpoint()
    assert broker.acknowledged == [1, 2]


def test_another_process_or_connection_acknowledges_nothing_by_a_mark() -> None:
    broker, source = _made([1, 2, 3])
    reader = source.create_reader(None, None)
    assert reader.start()
    mark = _mark(reader, source)
    with pytest.raises(ValueError, match="broken"), open_queues.using(source.share):
        raise ValueError("broken")
    assert (broker.waiting, broker.closed) == ([3, 1, 2], 1)
    mark.finalize_checkpoint()
    assert broker.acknowledged == []
    again = source.create_reader(None, mark)
    assert again.start()
    _mark(again, source).finalize_checkpoint()
    assert broker.acknowledged == [3]  # what comes again comes apart


def test_two_chains_of_readers_do_not_touch_what_the_other_has() -> None:
    broker, source = _made([1, 2, 3, 4, 5])
    one, other = source.create_reader(None, None), source.create_reader(None, None)
    assert one.start()
    mark = _mark(one, source)
    assert other.start()
    _ = source.create_reader(None, mark)
    mark.finalize_checkpoint()
    assert (broker.acknowledged, broker.waiting) == ([1, 2], [5])


@pytest.mark.parametrize("bounds", [Bounds(4, None), Bounds(None, 100)])
def test_nothing_more_is_read_while_too_much_waits_to_be_acknowledged(bounds: Bounds) -> None:
    _, source = _made(range(20), bounds=bounds)
    reader = source.create_reader(None, None)
    taken = 0
    while reader.advance():
        taken += len(_rows(reader))
    assert 2 <= taken <= 4
    assert reader.get_watermark() < 10  # waiting for itself, it is not idle
    _mark(reader, source).finalize_checkpoint()
    assert reader.advance()


def test_what_nobody_finishes_is_given_back(caplog: pytest.LogCaptureFixture) -> None:
    broker, source = _made([1, 2], bounds=Bounds(seconds=0))
    reader = source.create_reader(None, None)
    assert reader.start()
    with open_queues.using(source.share) as queue:
        queue.look_after()
    assert broker.waiting == [1, 2]
    assert "does this runner finalise bundles?" in caplog.text


def test_leases_are_extended_while_bundles_are_under_way() -> None:
    broker, source = _made([1, 2, 3], lease=0.0)
    reader = source.create_reader(None, None)
    assert reader.start()
    with open_queues.using(source.share) as queue:
        queue.look_after()
    assert broker.extended == [1, 2]


def test_messages_delivered_again_come_in_bundles_of_their_own_and_in_the_end_are_refused() -> None:
    broker, source = _made([1])
    source = dataclasses.replace(source, max_rows=1)
    for _ in range(3):
        reader = source.create_reader(None, None)
        assert reader.advance()
        assert _rows(reader) == [1]
        broker.waiting.append(2)
        if broker.tries[1] > 1:
            assert not reader.advance()  # the bundle ends, though there is more
        broker.waiting.remove(2)
        reader.close()
    reader = source.create_reader(None, None)
    assert reader.advance()
    (failed,) = reader.get_current().column("__failures").to_pylist()
    assert failed[0]["rule"] == "scripted.poison"


def test_a_mark_of_another_version_is_refused() -> None:
    _, source = _made([])
    with pytest.raises(ValueError, match="coded with version 9, this package reads 1"):
        source.get_checkpoint_mark_coder().decode(b"\x09[]")


def _numbers(batch: pa.RecordBatch) -> Iterator[str]:
    yield from map(str, batch.column("__position").to_pylist())


@pytest.mark.parametrize("acknowledges", [True, False])
def test_until_it_is_empty_a_queue_is_read_once_and_then_acknowledged_or_given_back(
    acknowledges: bool, tmp_path: Any
) -> None:
    broker, source = _made(range(7))
    read = ReadQueue(source.address, stage="ReadIt", bounded=True, acknowledges=acknowledges, quiet_seconds=0)
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = pipeline | read
        kept.keep({"numbers": found.good | beam.FlatMap(_numbers), "ledger": found.ledger}, tmp_path)
    assert sorted(eval(text) for text in kept.read(tmp_path, "numbers")) == list(range(7))
    assert sum(eval(text)[1] for text in kept.read(tmp_path, "ledger")) == 7
    assert (sorted(broker.acknowledged), sorted(broker.waiting)) == (
        (list(range(7)), []) if acknowledges else ([], list(range(7)))
    )


def test_a_bounded_read_that_fails_gives_back_what_it_had() -> None:
    broker, source = _made(range(4))
    pipeline = beam.Pipeline("FnApiRunner")
    read = pipeline | ReadQueue(source.address, stage="ReadIt", bounded=True, quiet_seconds=0)
    _ = read.good | beam.Map(lambda batch: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        pipeline.run()
    open_queues.close_all()
    assert broker.acknowledged == []
    assert sorted(broker.waiting) == [0, 1, 2, 3]
