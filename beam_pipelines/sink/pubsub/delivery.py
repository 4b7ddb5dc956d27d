"""Messages of a bundle on their way to a topic: calls of many messages each, several at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import grpc
from google.pubsub_v1 import types

from beam_pipelines.pubsub.connection import Connection, Service
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Row
from beam_pipelines.sink.records import ID_HEADER, Records

_CALL_MESSAGES = 1000  # most that the service takes in one call
_CALL_BYTES = 4 << 20  # of 10 MB that it takes; a longer message goes alone
_CALLS = 8  # under way at the same time: 32 MiB

# What the service says it takes (Pub/Sub documentation, "Quotas and limits", resource limits).
MOST_BYTES = 10_000_000
MOST_ATTRIBUTES = 100
MOST_NAME_BYTES = 256
MOST_VALUE_BYTES = 1024
MOST_KEY_BYTES = 1024

_MESSAGE = types.PubsubMessage.pb()
_PUBLISH = types.PublishRequest.pb()
_PUBLISHED = types.PublishResponse.pb()


class _Call(NamedTuple):
    request: Any
    rows: list[Row]
    future: grpc.Future


class PubSubDelivery:
    """A topic, and what it has been given since `settle` was last called."""

    def __init__(self, connection: Connection, topic: str, retries: Retries) -> None:
        self._topic = topic
        self._service = Service(connection, topic, retries)
        self._publish = self._service.method("Publisher/Publish", _PUBLISH(), _PUBLISHED())
        self._under_way: deque[_Call] = deque()
        self._refused: dict[Row, str] = {}
        self._batches = 0

    def send(self, records: Records) -> None:
        """Publish records, waiting while too many calls are under way."""
        number, self._batches = self._batches, self._batches + 1
        messages: list[Any] = []
        rows: list[Row] = []
        size = 0
        for row, message in enumerate(messages_of(records)):
            problem = problem_of(message)
            if problem is not None:
                self._refused[number, row] = problem
                continue
            length = message.ByteSize()
            if messages and (len(messages) >= _CALL_MESSAGES or size + length > _CALL_BYTES):
                self._call(messages, rows)
                messages, rows, size = [], [], 0
            messages.append(message)
            rows.append((number, row))
            size += length
        if messages:
            self._call(messages, rows)

    def settle(self) -> dict[Row, str]:
        """Wait until the service has all, and forget it. Returns the rows that it will never take, and why."""
        while self._under_way:
            self._finish(self._under_way.popleft())
        refused, self._refused, self._batches = self._refused, {}, 0
        return refused

    def close(self) -> None:
        """Drop what is under way."""
        for call in self._under_way:
            call.future.cancel()
        self._under_way.clear()
        self._service.close()

    def _call(self, messages: Sequence[Any], rows: list[Row]) -> None:
        while len(self._under_way) >= _CALLS:
            self._finish(self._under_way.popleft())
        request = _PUBLISH(topic=self._topic, messages=messages)
        self._under_way.append(_Call(request, rows, self._service.start(self._publish, request)))

    def _finish(self, call: _Call) -> None:
        future: grpc.Future | None = call.future

        def ask() -> None:
            nonlocal future
            asked, future = future or self._service.start(self._publish, call.request), None
            asked.result()

        try:
            self._service.call(ask)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            if len(call.rows) == 1:
                self._refused[call.rows[0]] = error.details() or "the service takes no such message"
                return
            # One of them is at fault, which is found by halves.
            half = len(call.rows) // 2
            for part in (slice(half), slice(half, None)):
                request = _PUBLISH(topic=self._topic, messages=call.request.messages[part])
                self._finish(_Call(request, call.rows[part], self._service.start(self._publish, request)))


def messages_of(records: Records) -> Iterator[Any]:
    """Make a message of each record; bytes of keys and headers that aren't UTF-8 are replaced."""
    headers = [None] * len(records.values) if records.headers is None else records.headers.to_pylist()
    for value, key, id, pairs in zip(
        records.values.to_pylist(), records.keys.to_pylist(), records.ids.to_pylist(), headers, strict=True
    ):
        attributes = {name: (text or b"").decode("utf-8", "replace") for name, text in pairs or ()}
        attributes[ID_HEADER] = id
        ordering_key = "" if key is None else key.decode("utf-8", "replace")
        yield _MESSAGE(data=value or b"", attributes=attributes, ordering_key=ordering_key)


def problem_of(message: Any) -> str | None:
    """Why the service will never take a message; None if it may.

    >>> problem_of(_MESSAGE(data=b"x" * 10_000_001))
    'is too large: 10,000,006 bytes with its attributes, of 10,000,000 that Pub/Sub takes'
    """
    size = message.ByteSize()
    if size > MOST_BYTES:
        return f"is too large: {size:,} bytes with its attributes, of {MOST_BYTES:,} that Pub/Sub takes"
    if len(message.attributes) > MOST_ATTRIBUTES:
        return f"has {len(message.attributes)} attributes, of {MOST_ATTRIBUTES} that Pub/Sub takes"
    for name, value in message.attributes.items():
        if not 0 < len(name.encode()) <= MOST_NAME_BYTES or name.startswith("goog"):
            return f"has an attribute '{name[:40]}': 1 to {MOST_NAME_BYTES} bytes, and none begins with 'goog'"
        if len(value.encode()) > MOST_VALUE_BYTES:
            return f"has an attribute '{name}' of more than the {MOST_VALUE_BYTES} bytes that Pub/Sub takes"
    if len(message.ordering_key.encode()) > MOST_KEY_BYTES:
        return f"has a key of more than the {MOST_KEY_BYTES} bytes that Pub/Sub takes"
    return None
