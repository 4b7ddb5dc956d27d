"""Rows of a bundle on their way to a stream: requests of 500, in which each row may fail by itself."""

from __future__ import annotations

from typing import Any

from beam_pipelines.kinesis.connection import PASSING, Connection, Passing
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Row
from beam_pipelines.sink.kinesis.entries import Entry, data_of, key_of
from beam_pipelines.sink.records import Records

_MOST_ROWS = 500  # in one request
_MOST_BYTES = 5 << 20  # in one request


class Delivery:
    """A client, and what it has been given since `settle` was last called."""

    def __init__(self, connection: Connection, value: str, max_record_bytes: int, retries: Retries) -> None:
        self._connection = connection
        self._value = value
        self._max_record_bytes = max_record_bytes
        self._retries = retries
        self._client = connection.client()
        self._batches = 0
        self._waiting: list[tuple[Row, Entry]] = []
        self._waiting_bytes = 0
        self._refused: dict[Row, str] = {}

    def send(self, records: Records) -> None:
        """Write what fills requests; the rest waits for more."""
        values, keys = data_of(records, self._value).to_pylist(), records.keys.to_pylist()
        for place, (value, key, id) in enumerate(zip(values, keys, records.ids.to_pylist(), strict=True)):
            row = (self._batches, place)
            if value is None:
                self._refused[row] = "has no value, and Kinesis has no records without one"
                continue
            entry = Entry(value, key_of(key, id))
            if entry.size > self._max_record_bytes:
                self._refused[row] = (
                    f"is {entry.size} bytes long with its key, and {self._max_record_bytes} are allowed"
                )
                continue
            if len(self._waiting) == _MOST_ROWS or self._waiting_bytes + entry.size > _MOST_BYTES:
                self._put()
            self._waiting.append((row, entry))
            self._waiting_bytes += entry.size
        self._batches += 1

    def settle(self) -> dict[Row, str]:
        """Write the rest. Returns the rows that Kinesis will never take, and why; `sink.deliver` says the errors."""
        self._put()
        refused, self._refused, self._batches = self._refused, {}, 0
        return refused

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._client.close()

    def _put(self) -> None:
        """Write all that waits; what the service couldn't take now is tried again, and only that."""
        while self._waiting:
            self._connection.ask(self._client, self._put_once, self._retries)

    def _put_once(self) -> None:
        asked = [{"Data": entry.data, "PartitionKey": entry.key} for _, entry in self._waiting]
        answer: dict[str, Any] = self._client.put_records(StreamName=self._connection.stream, Records=asked)
        left: list[tuple[Row, Entry]] = []
        said = ""
        for (row, entry), result in zip(self._waiting, answer["Records"], strict=True):
            code = result.get("ErrorCode")
            if code in PASSING:
                left.append((row, entry))
                said = f"{code}: {result.get('ErrorMessage')}"
            elif code:
                self._refused[row] = f"{code}: {result.get('ErrorMessage')}"
        self._waiting, self._waiting_bytes = left, sum(entry.size for _, entry in left)
        if left:
            raise Passing(f"{len(left)} of {len(asked)} records were not taken now: {said}")
