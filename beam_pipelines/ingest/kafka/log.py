"""A topic as a partitioned log (`streams.log`), over one consumer that assigns itself its partitions."""

from __future__ import annotations

import dataclasses
import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Literal, TypeVar

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from beam_pipelines.columnar import collector
from beam_pipelines.columnar.provenance import RECORD_FORMAT
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.kafka.raw_batches import failed_batch, raw_batch_of
from beam_pipelines.ingest.kafka.starts import Start
from beam_pipelines.ingest.streams.log import Polled
from beam_pipelines.kafka.asking import ASK_SECONDS, Asking
from beam_pipelines.kafka.connection import Connection
from beam_pipelines.retries import Retries

if TYPE_CHECKING:
    from beam_pipelines.ingest.kafka.registered import Registry

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

QUEUE_BYTES = 32 << 20
"""Bytes that the client holds before they are asked for: what it reads ahead of a slow pipeline, for each reader.
It goes beyond by one answer of the broker's (`_FETCH_BYTES`), or one longer message."""

_FETCH_BYTES = 16 << 20  # most in one answer of a broker
_PARTITION_BYTES = 4 << 20  # most of one partition in it; a longer message comes alone
_MOST_BYTES = 1_000_000_000  # of one message, as librdkafka has it: the broker's limit is the one that counts
_WAIT_SECONDS = 0.1  # for messages, as PartitionedLog says

_ONCE = Retries(attempts=1)

LOST = "kafka.offsets_lost"
UNREADABLE = "kafka.unreadable"

# Of a batch of messages that can't be taken apart: its checksum is wrong, its codec unknown or its content broken.
_UNREADABLE = (KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED)
# Of a commit to a group that has members: brokers take it from these only.
_OTHERS_GROUP = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS)
_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


@dataclasses.dataclass(frozen=True)
class KafkaAddress:
    """A topic, and how it is read. `patience`: seconds without a broker after which a poll fails; None waits on."""

    connection: Connection
    topic: str
    start: Start = Start("earliest")  # noqa: RUF009  immutable
    group: str | None = None
    isolation: Literal["committed", "uncommitted"] = "committed"
    lost: Literal["dead_letter", "fail"] = "dead_letter"
    format: str = "jsonl"
    patience: float | None = None
    registry: str | None = None
    registry_user: str | None = None
    registry_password: str | None = None
    retries: Retries = Retries()  # noqa: RUF009  immutable

    @property
    def name(self) -> str:
        return self.topic

    def open(self, shard: int, shards: int) -> KafkaLog:  # noqa: ARG002  the reader chooses its partitions
        return KafkaLog(self)


class KafkaLog:
    """An open topic. Partitions are named by their numbers."""

    is_complete = False

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._topic = address.topic
        self._asking = Asking(address.connection, address.topic, address.retries, address.group is not None)
        self._assigned: dict[int, int] = {}  # partition → offset from which the client's next message is
        self._held: list[Message] = []  # more than was asked for: the next poll's
        self._message_bytes = 1000.0  # mean length, to ask for about as many bytes as are wanted
        self._known: set[int] | None = None
        self._starts: dict[int, int] = {}
        self._registry: Registry | None = None
        if address.registry is not None:
            from beam_pipelines.ingest.kafka.registered import Registry

            self._registry = Registry(address.registry, address.registry_user, address.registry_password)
        self._metadata = {RECORD_FORMAT: address.format.encode()}
        try:
            self._consumer = Consumer(
                {
                    **address.connection.settings(),
                    "group.id": address.group or "beam-pipelines",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "enable.partition.eof": True,  # says how far a partition is whose end is no message
                    "auto.offset.reset": "error",
                    "isolation.level": f"read_{address.isolation}",
                    "check.crcs": True,
                    "allow.auto.create.topics": False,
                    "queued.max.messages.kbytes": QUEUE_BYTES >> 10,
                    "fetch.max.bytes": _FETCH_BYTES,
                    "max.partition.fetch.bytes": _PARTITION_BYTES,
                    "message.max.bytes": _FETCH_BYTES,
                    "receive.message.max.bytes": _MOST_BYTES,
                    "error_cb": self._asking.hear,
                }
            )
        except KafkaException as error:  # such as a file of certificates that isn't there
            raise UsageError(f"{address.connection.endpoint}: {error.args[0].str()}") from error

    def partitions(self) -> Sequence[str]:
        found = self._asking.partitions(self._consumer, can_poll=not self._assigned)
        if self._known is None:
            self._known = set(found)
        return [str(each) for each in found]

    def start(self, partition: str) -> int:
        number = int(partition)
        if number not in self._starts:
            self._starts |= self._find_starts(sorted({number, *(self._known or ())} - self._starts.keys()))
        return self._starts[number]

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:
        # In what order partitions come is the client's business: it fetches from all brokers at the same time.
        self._go_to({int(name): position for name, position in positions.items()})
        with collector.paused():
            return self._poll(max_rows, max_bytes)

    def _poll(self, max_rows: int, max_bytes: int) -> Sequence[Polled]:
        messages, ends, instead = self._take(max_rows, max_bytes)
        found = [] if instead is None else [instead]
        for partition in {**messages, **ends}:
            theirs = messages.get(partition, [])
            position = max(theirs[-1].offset() + 1 if theirs else 0, ends.get(partition, 0))
            batch = raw_batch_of(theirs, self._topic, partition, self._metadata)
            if self._registry is not None and theirs:
                batch = self._registry.decode(batch)
            found.append(Polled(str(partition), batch, position))
            self._assigned[partition] = position
        return found

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        return {str(each): end for each, end in self._offsets([int(name) for name in partitions], OFFSET_END).items()}

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:
        try:
            # Not tried again: whoever reads a stream asks every second.
            ends = self._offsets([int(name) for name in positions], OFFSET_END, _ONCE)
        except (KafkaException, ConnectionError):
            return {}  # unknown: nobody is idle
        return {name: max(0, ends[int(name)] - at) for name, at in positions.items() if int(name) in ends}

    def commit(self, positions: Mapping[str, int]) -> None:
        if self._address.group is None:
            return
        places = [TopicPartition(self._topic, int(name), at) for name, at in positions.items()]
        try:
            self._ask(lambda: self._consumer.commit(offsets=places, asynchronous=False))
        except KafkaException as error:
            if error.args[0].code() not in _OTHERS_GROUP:
                raise
            # Where we are is in the runner's checkpoints; a later commit is further.
            _log.warning(
                "%s: the offsets of %s are not committed: other consumers are members of the group '%s', which we "
                "don't join; give this pipeline a group of its own",
                self._address.connection.endpoint,
                self._topic,
                self._address.group,
            )

    def close(self) -> None:
        self._consumer.close()

    def _find_starts(self, partitions: Sequence[int]) -> dict[int, int]:
        start = self._address.start
        new = [each for each in partitions if self._known is not None and each not in self._known]
        old = [each for each in partitions if each not in new]
        # What was there before a partition was found came after the pipeline began: nothing of it is old.
        found = self._offsets(new, OFFSET_BEGINNING)
        if start.kind == "latest":
            found |= self._offsets(old, OFFSET_END)
        elif start.kind == "timestamp":
            found |= self._offsets(old, start.millis)
        elif start.kind == "offsets":
            found |= self._offsets(old, OFFSET_BEGINNING)
            found |= {each: offset for each, offset in start.by_partition.items() if each in old}
        else:
            found |= self._offsets(old, OFFSET_BEGINNING)
            if start.kind == "committed":
                places = [TopicPartition(self._topic, each) for each in old]
                committed = self._ask(lambda: self._consumer.committed(places, ASK_SECONDS)) if old else []
                found |= {place.partition: place.offset for place in committed if place.offset >= 0}
        if self._known is not None:
            self._known |= set(new)
        return found

    def _offsets(self, partitions: Sequence[int], time: int, retries: Retries | None = None) -> dict[int, int]:
        """The first offset of each partition whose message is not before a time; END and BEGINNING are times too."""
        if not partitions:
            return {}
        places = [TopicPartition(self._topic, each, time) for each in partitions]
        found = self._ask(lambda: self._consumer.offsets_for_times(places, ASK_SECONDS), retries)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        after = [place.partition for place in found if place.offset < 0]
        known = {place.partition: place.offset for place in found if place.offset >= 0}
        if after and time in (OFFSET_END, OFFSET_BEGINNING):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no offsets of {self._topic} {after}"))
        return known | self._offsets(after, OFFSET_END)

    def _go_to(self, positions: Mapping[int, int]) -> None:
        """Have the client read these partitions from these offsets on, if it doesn't do so already."""
        if positions == self._assigned:
            return
        self._held.clear()
        self._consumer.assign([TopicPartition(self._topic, each, offset) for each, offset in positions.items()])
        self._assigned = dict(positions)

    def _take(self, max_rows: int, max_bytes: int) -> tuple[dict[int, list[Message]], dict[int, int], Polled | None]:
        """Messages by partition; where a partition ends behind them; and what stands for one that can't be had."""
        if not self._held:
            wanted = max(1, min(max_rows, int(max_bytes / self._message_bytes)))
            self._held = self._consumer.consume(wanted, _WAIT_SECONDS)
        self._look_at_trouble(bool(self._held))
        taken: dict[int, list[Message]] = {}
        ends: dict[int, int] = {}
        rows = size = 0
        while self._held and rows < max_rows:
            readable, length = _readable(self._held, max_rows - rows, max_bytes - size, at_least=not rows)
            for partition, run in groupby(self._held[:readable], Message.partition):
                taken.setdefault(partition, []).extend(run)
            del self._held[:readable]
            rows, size = rows + readable, size + length
            if not self._held or (error := self._held[0].error()) is None:
                break
            message = self._held[0]
            if error.code() == KafkaError._PARTITION_EOF:
                ends[message.partition()] = message.offset()
            elif taken or ends:
                break  # first what came before it
            del self._held[0]
            if error.code() != KafkaError._PARTITION_EOF and (instead := self._instead_of(message, error)) is not None:
                return {}, {}, instead
        if rows:
            self._message_bytes = 0.5 * self._message_bytes + 0.5 * max(1, size / rows)
        return taken, ends, None

    def _instead_of(self, message: Message, error: KafkaError) -> Polled | None:
        """What stands for messages that can't be had; None for an error that isn't one of messages."""
        partition = message.partition()
        self._asking.raise_told(error)
        if error.code() in _GONE:
            return self._lost(partition, self._assigned[partition])
        if error.code() in _UNREADABLE and partition in self._assigned:
            # The error's own offset is its batch's first. Each offset of the batch is tried, and so accounted for.
            return self._unreadable(partition, self._assigned[partition], error)
        _log.info("%s/%s: %s", self._topic, partition, error)
        return None

    def _lost(self, partition: int, at: int) -> Polled:
        first = self._offsets([partition], OFFSET_BEGINNING)[partition]
        place = f"{self._topic}/{partition}"
        if first > at:
            said = (
                f"offsets {at} to {first - 1} of {place} ({first - at} of them) were deleted, by retention or by hand, "
                "before they were read"
            )
        else:
            end = self._offsets([partition], OFFSET_END)[partition]
            said = (
                f"{place} was to be read from offset {at}, but ends at {end}: it was made anew or has lost messages; "
                f"it is read from its first offset, {first}"
            )
        if self._address.lost == "fail":
            raise UsageError(f"{self._address.connection.endpoint}: {said} (?lost=dead_letter goes on behind them)")
        _log.error("%s", said)
        self._assigned.pop(partition)  # so that the next poll goes there
        return Polled(str(partition), failed_batch(self._topic, partition, at, LOST, said), first)

    def _unreadable(self, partition: int, at: int, error: KafkaError) -> Polled:
        said = f"offset {at} of {self._topic}/{partition} and its batch can't be read: {error.str()}"
        _log.error("%s", said)
        self._assigned.pop(partition)
        return Polled(str(partition), failed_batch(self._topic, partition, at, UNREADABLE, said), at + 1)

    def _ask(self, question: Callable[[], _T], retries: Retries | None = None) -> _T:
        return self._asking.ask(self._consumer, question, can_poll=not self._assigned, retries=retries)

    def _look_at_trouble(self, heard: bool) -> None:
        """UsageError if the client is refused, ConnectionError if it has found no broker for too long."""
        if heard:
            self._asking.got_through()
        self._asking.raise_refused()
        down, patience = self._asking.down_since, self._address.patience
        if down is not None and patience is not None and time.monotonic() - down > patience:
            endpoint = self._address.connection.endpoint
            raise ConnectionError(f"{endpoint}: no broker can be reached for {patience:.0f} s: {self._asking.trouble}")


def _readable(held: Sequence[Message], max_rows: int, max_bytes: int, *, at_least: bool) -> tuple[int, int]:
    """How many messages come before the first that is none, within the bounds, and their bytes.

    `at_least`: one that is longer than the bound is taken too.
    """
    readable = min(max_rows, len(held))
    if any(map(Message.error, held[:readable])):
        readable = next(place for place, message in enumerate(held) if message.error() is not None)
    ends = list(accumulate(map(len, held[:readable])))
    if ends and ends[-1] > max_bytes:
        readable = max(bisect_right(ends, max_bytes), int(at_least))
    return readable, ends[readable - 1] if readable else 0
