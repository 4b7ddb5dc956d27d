"""A Kinesis stream as a partitioned log (`streams.log`): shards are partitions, sequence numbers positions.

A position is the sequence number of the last record read, 0 for the beginning, or less than 0 for a time of arrival:
the milliseconds since the epoch, negative.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

from botocore.exceptions import ClientError

from beam_pipelines.columnar.provenance import RECORD_FORMAT
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.kinesis.raw_batches import lost_batch, raw_batch_of
from beam_pipelines.ingest.kinesis.shards import Shard, changes, share_of
from beam_pipelines.ingest.streams.log import Changes, Polled
from beam_pipelines.kinesis.connection import Connection, code_of
from beam_pipelines.retries import Retries

_log = logging.getLogger(__name__)

LOST = "kinesis.records_lost"
"""Rule of the dead letter that tells of records which retention may have deleted before they were read."""

_LIST_SECONDS = 30.0  # between two looks for shards; sooner when one ends
_SHARD_SECONDS = 0.21  # between two requests for one shard: it allows five a second
_WAIT_SECONDS = 0.1  # for records, as PartitionedLog says
_AT_ONCE = 4  # shards asked at the same time: each answers with 10 MB at most
_MOST_RECORDS = 10_000  # in one answer
_END = 1 << 200  # behind every sequence number

Start = Literal["trim_horizon", "latest", "timestamp"]


@dataclasses.dataclass(frozen=True)
class KinesisAddress:
    """A stream, and how it is read. `millis` is that of the start at a time. `bounded`: up to what is there now."""

    connection: Connection
    start: Start = "trim_horizon"
    millis: int = 0
    lost: Literal["dead_letter", "fail"] = "dead_letter"
    format: str = "jsonl"
    bounded: bool = False
    retries: Retries = Retries()  # noqa: RUF009  immutable

    @property
    def name(self) -> str:
        return self.connection.stream

    def open(self, shard: int, shards: int) -> KinesisLog:
        return KinesisLog(self, shard, shards)


class _Answer(NamedTuple):
    """Records of one request, whether the shard has ended behind them, and whether they were all that is there."""

    records: list[dict[str, Any]]
    ended: bool
    caught_up: bool
    lost_before: str | None = None


class _Reading:
    """A shard being read: what was fetched and is to be given out, and where to fetch on."""

    def __init__(self, position: int) -> None:
        self.position = position  # of what was given out
        self.fetched = position  # of what was fetched
        self.iterator: str | None = None
        self.checks: int | None = None  # sequence number that the first record has to have, if nothing is lost
        self.waiting: deque[dict[str, Any]] = deque()
        self.lost_before: str | None = None
        self.ended = False
        self.caught_up = False
        self.due = 0.0


class KinesisLog:
    """An open stream. Partitions are named by their shard ids."""

    is_complete = False

    def __init__(self, address: KinesisAddress, shard: int = 0, shards: int = 1) -> None:
        self._address = address
        self._connection = address.connection
        self._shard, self._shards = shard, shards
        self._client = address.connection.client()
        self._pool = ThreadPoolExecutor(_AT_ONCE, "kinesis")
        self._listed = -1e9
        self._there: list[Shard] = []
        self._first: frozenset[str] = frozenset()
        self._opened = time.time_ns() // 1_000_000
        self._reading: dict[str, _Reading] = {}
        self._metadata = {RECORD_FORMAT: address.format.encode()}

    def partitions(self) -> Sequence[str]:
        self._look()
        return [shard.name for shard in self._there if self._is_mine(shard.name)]

    def changes(self, known: Mapping[str, bool]) -> Changes:
        self._look()
        mine = {shard.name for shard in self._there if self._is_mine(shard.name)}
        if not known:
            self._first = frozenset(mine)  # the stream begins: these are begun as the start says
        found = changes(self._there, mine, known)
        for name in found.gone:
            self._reading.pop(name, None)
        return found

    def start(self, partition: str) -> int:
        """Where a shard is begun. One that was made after the stream began is read from its first record."""
        start = self._address.start
        if start == "timestamp":
            return -self._address.millis
        if start == "latest" and (partition in self._first or self._address.bounded):
            return -self._opened
        return 0

    def poll(self, positions: Mapping[str, int], max_rows: int, max_bytes: int) -> Sequence[Polled]:
        for name, position in positions.items():
            if name not in self._reading or self._reading[name].position != position:
                self._reading[name] = _Reading(position)
        self._fetch([self._reading[name] for name in positions], list(positions), max_rows)
        found: list[Polled] = []
        rows = size = 0
        for name in positions:
            polled = self._take(name, max_rows - rows, max_bytes - size)
            if polled is not None:
                found.append(polled)
                rows, size = rows + polled.batch.num_rows, size + polled.batch.nbytes
            if rows >= max_rows or size >= max_bytes:
                break
        return found

    def ends(self, partitions: Sequence[str]) -> Mapping[str, int]:
        """Not known of an open shard: reading up to now ends where the service says that nothing is behind."""
        return dict.fromkeys(partitions, _END)

    def backlog(self, positions: Mapping[str, int]) -> Mapping[str, int]:
        """The service tells milliseconds and no numbers; of a shard that has nothing to give, that it has none."""
        reading = {name: self._reading.get(name) for name in positions}
        return {name: 0 for name, each in reading.items() if each and each.caught_up and not each.waiting}

    def commit(self, positions: Mapping[str, int]) -> None:
        pass  # positions are in the runner's checkpoints: the service keeps none

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _is_mine(self, name: str) -> bool:
        return share_of(name, self._shards) == self._shard

    def _look(self) -> None:
        if time.monotonic() - self._listed < _LIST_SECONDS:
            return
        found: list[Shard] = []
        asked: dict[str, Any] = {"StreamName": self._connection.stream}
        while True:
            answer = self._ask("list_shards", **asked)
            for each in answer["Shards"]:
                parents = (each.get("ParentShardId"), each.get("AdjacentParentShardId"))
                closed = "EndingSequenceNumber" in each["SequenceNumberRange"]
                found.append(Shard(each["ShardId"], tuple(name for name in parents if name), closed))
            if not answer.get("NextToken"):
                break
            asked = {"NextToken": answer["NextToken"]}
        self._there = sorted(found)
        self._listed = time.monotonic()

    def _fetch(self, readings: Sequence[_Reading], names: Sequence[str], max_rows: int) -> None:
        """Ask for records of the first shards that may be asked and have none waiting; wait a little if none may."""
        if any(reading.waiting or reading.ended for reading in readings):
            return
        now = time.monotonic()
        due = [place for place, reading in enumerate(readings) if reading.due <= now][:_AT_ONCE]
        if not due:
            if readings:
                time.sleep(max(0.0, min(_WAIT_SECONDS, min(reading.due for reading in readings) - now)))
            return
        limit = max(1, min(_MOST_RECORDS, max_rows))
        answers = self._pool.map(lambda place: self._records(names[place], readings[place], limit), due)
        for place, answer in zip(due, answers, strict=True):
            reading = readings[place]
            reading.due = time.monotonic() + _SHARD_SECONDS
            reading.waiting.extend(answer.records)
            reading.ended, reading.caught_up, reading.lost_before = answer.ended, answer.caught_up, answer.lost_before
            if answer.ended:
                self._listed = -1e9  # its children are there

    def _records(self, shard: str, reading: _Reading, limit: int) -> _Answer:
        """Ask once for a shard's records, from behind those fetched."""
        lost = self._iterate(shard, reading) if reading.iterator is None else None
        try:
            answer = self._ask("get_records", ShardIterator=reading.iterator, Limit=limit)
        except ClientError as error:
            if code_of(error) != "ExpiredIteratorException":
                raise
            reading.iterator = None  # nobody has asked for five minutes
            lost = self._iterate(shard, reading)
            answer = self._ask("get_records", ShardIterator=reading.iterator, Limit=limit)
        records = answer["Records"]
        reading.iterator = answer.get("NextShardIterator")
        if records and reading.checks is not None:
            first, checked = int(records[0]["SequenceNumber"]), reading.checks
            if first == checked:
                records = records[1:]
            elif first > checked:
                lost = f"before {first}"
            reading.checks = None
        if records:
            reading.fetched = int(records[-1]["SequenceNumber"])
        behind = answer.get("MillisBehindLatest", 0)
        return _Answer(records, reading.iterator is None, not behind and not records, lost)

    def _iterate(self, shard: str, reading: _Reading) -> str | None:
        """Open a shard where it was fetched up to; what is lost if that can't be had."""
        where: dict[str, Any]
        if reading.fetched > 0:
            # That record comes again, which shows that nothing is missing behind it.
            where = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": str(reading.fetched)}
        elif reading.fetched < 0:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": -reading.fetched / 1000}
        else:
            where = {"ShardIteratorType": "TRIM_HORIZON"}
        asked = {"StreamName": self._connection.stream, "ShardId": shard}
        reading.checks = reading.fetched if reading.fetched > 0 else None
        try:
            reading.iterator = self._ask("get_shard_iterator", **asked, **where)["ShardIterator"]
        except ClientError as error:
            if reading.fetched <= 0 or code_of(error) not in ("InvalidArgumentException", "ResourceNotFoundException"):
                raise
            # The stream was made anew, and its shards have other numbers.
            horizon = {"ShardIteratorType": "TRIM_HORIZON"}
            reading.iterator = self._ask("get_shard_iterator", **asked, **horizon)["ShardIterator"]
            reading.checks = None
            return "up to its first record, as the stream was made anew"
        return None

    def _take(self, name: str, rows: int, size: int) -> Polled | None:
        """What is to be given out of a shard; None if there is nothing to say."""
        reading = self._reading[name]
        number = Shard(name).number
        if reading.lost_before is not None:
            lost, reading.lost_before = reading.lost_before, None
            return self._lost(name, number, reading, lost)
        taken: list[dict[str, Any]] = []
        while reading.waiting and len(taken) < rows and (not taken or size > 0):
            record = reading.waiting.popleft()
            taken.append(record)
            size -= len(record["Data"])
        done = not reading.waiting and (reading.ended or (self._address.bounded and reading.caught_up))
        if taken:
            reading.position = int(taken[-1]["SequenceNumber"])
        elif not done:
            return None
        batch = raw_batch_of(taken, self._connection.stream, number, self._metadata)
        return Polled(name, batch, reading.position, done)

    def _lost(self, name: str, number: int, reading: _Reading, lost: str) -> Polled:
        after = str(reading.position)
        place = f"{self._connection.stream}/{name}"
        said = (
            f"records of {place} behind sequence number {after} and {lost}, if there were any, are past retention: "
            "they were deleted before they were read"
        )
        if self._address.lost == "fail":
            raise UsageError(f"{self._connection.endpoint_name}: {said} (?lost=dead_letter goes on behind them)")
        _log.error("%s", said)
        return Polled(name, lost_batch(self._connection.stream, number, after, LOST, said), reading.position)

    def _ask(self, operation: str, **asked: Any) -> Any:
        call = getattr(self._client, operation)
        return self._connection.ask(self._client, lambda: call(**asked), self._address.retries)
