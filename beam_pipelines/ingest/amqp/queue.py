"""A queue of AMQP 0-9-1 as a queue (`streams.queue`): a consumer, or in a bounded read one message after the other."""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel

from beam_pipelines.amqp.connection import Connection, passes, told
from beam_pipelines.ingest.streams.messages import Message, position_of
from beam_pipelines.ingest.streams.queue import Bounds, Received
from beam_pipelines.ingest.streams.received import received_of
from beam_pipelines.retries import CircuitOpen, Retries

POISON = "amqp.poison"
"""Rule of messages that were delivered too often."""

ID = "beam-pipelines-id"
"""Header by which our own sink tells a message that was written twice."""

HELD_BYTES = 32 << 20
"""Bytes that the client holds before they are asked for; beyond, it reads nothing from its socket."""

_WAIT_SECONDS = 0.1
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class AmqpAddress:
    """A queue, and how it is read. `waits`: whether it waits on when the broker can't be reached.

    `prefetch`: messages that the broker sends before they are acknowledged; None asks for one after the other.
    """

    connection: Connection
    queue: str
    format: str = "jsonl"
    tries: int = 10
    prefetch: int | None = 20_000
    waits: bool = True
    bounds: Bounds = Bounds()  # noqa: RUF009  immutable
    retries: Retries = Retries()  # noqa: RUF009  immutable

    @property
    def name(self) -> str:
        return self.queue

    @property
    def polling(self) -> Retries:
        """A stream polls again in a second, and holds up no bundle until then."""
        return Retries(attempts=1) if self.waits else self.retries

    def open(self, shard: int, shards: int) -> AmqpQueue:  # noqa: ARG002  the broker spreads messages
        return AmqpQueue(self)


class _Handle(NamedTuple):
    """A delivery: its tag is good on the channel that it came by."""

    channel: str
    tag: int


class AmqpQueue:
    """An open queue. Messages are acknowledged by tags of a channel; with it, all that it had goes back."""

    lease_seconds: float | None = None

    def __init__(self, address: AmqpAddress) -> None:
        self._address = address
        self._what = f"queue '{address.queue}'"
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._channel_name = ""
        self._held: deque[tuple[Message, _Handle]] = deque()
        self._held_bytes = 0

    def receive(self, max_rows: int, max_bytes: int) -> Sequence[Received]:
        try:
            self._call(lambda channel: self._fill(channel, max_rows, max_bytes), self._address.polling)
        except Exception as error:
            if not self._address.waits or not (isinstance(error, CircuitOpen) or passes(error)):
                raise
            _log.info("%s: %s", self._address.name, error)
            time.sleep(_WAIT_SECONDS)
            return []
        messages: list[Message] = []
        handles: list[_Handle] = []
        size = 0
        while self._held and len(messages) < max_rows:
            message, handle = self._held[0]
            if messages and size + len(message.payload) > max_bytes:
                break
            self._held.popleft()
            messages.append(message)
            handles.append(handle)
            size += len(message.payload)
        self._held_bytes -= size
        if not messages:
            return []
        return received_of(messages, handles, self._address.name, self._address.format, POISON, self._address.tries)

    def acknowledge(self, handles: Sequence[Any]) -> None:
        self._settle(handles, lambda channel, tag: channel.basic_ack(tag))

    def give_back(self, handles: Sequence[Any]) -> None:
        self._settle(handles, lambda channel, tag: channel.basic_nack(tag, requeue=True))

    def extend(self, handles: Sequence[Any]) -> None:
        pass

    def keep_alive(self) -> None:
        """Answer heartbeats, and read what has come, as long as little of it is held."""
        if self._connection is not None and self._held_bytes < HELD_BYTES:
            try:
                self._connection.process_data_events(0)
            except Exception as error:
                if not passes(error):
                    raise
                self._lost(error)

    def waiting(self) -> int | None:
        """What the broker has ready, and what is held; None if it can't be asked."""
        try:
            found = self._call(
                lambda channel: channel.queue_declare(self._address.queue, passive=True), Retries(attempts=1)
            )
        except Exception as error:
            if not (isinstance(error, CircuitOpen) or passes(error)):
                raise
            return None
        return int(found.method.message_count) + len(self._held)

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            connection.close()

    def _fill(self, channel: BlockingChannel, max_rows: int, max_bytes: int) -> None:
        if self._address.prefetch is None:
            while len(self._held) < max_rows and self._held_bytes < max_bytes:
                method, properties, body = channel.basic_get(self._address.queue)
                if method is None:
                    break
                self._take(method, properties, body)
            return
        until = time.monotonic() + _WAIT_SECONDS
        assert self._connection is not None
        # What is there is taken at once; only for the first message of a poll it waits.
        while len(self._held) < max_rows and self._held_bytes < max_bytes:
            before = len(self._held)
            self._connection.process_data_events(0 if self._held else max(0, until - time.monotonic()))
            if len(self._held) == before and (self._held or time.monotonic() >= until):
                break

    def _take(self, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        message = _message(method, properties, body, self._channel_name)
        self._held.append((message, _Handle(self._channel_name, method.delivery_tag)))
        self._held_bytes += len(body)

    def _settle(self, handles: Sequence[Any], settle: Callable[[BlockingChannel, int], None]) -> None:
        channel = self._channel
        ours = [handle.tag for handle in handles if handle.channel == self._channel_name]
        if channel is None or not ours:
            return  # the broker has them again
        try:
            for tag in ours:
                settle(channel, tag)
            assert self._connection is not None
            self._connection.process_data_events(0)
        except Exception as error:
            if not passes(error):
                raise
            self._lost(error)

    def _call(self, use: Callable[[BlockingChannel], _T], retries: Retries) -> _T:
        def attempt() -> _T:
            try:
                return use(self._open())
            except Exception as error:
                found = told(error, self._address.connection, self._what)
                if found is not None:
                    raise found from error
                if passes(error):
                    self._lost(error)
                raise

        return retries.call(attempt, self._address.connection.endpoint, passes)

    def _open(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open:
            if self._connection is None or not self._connection.is_open:
                self._connection = self._address.connection.open()
            # Whatever another channel had received is the broker's again.
            self._held.clear()
            self._held_bytes = 0
            self._channel_name = uuid.uuid4().hex
            channel = self._connection.channel()
            channel.queue_declare(self._address.queue, passive=True)
            if self._address.prefetch is not None:
                channel.basic_qos(prefetch_count=self._address.prefetch)
                channel.basic_consume(
                    self._address.queue, lambda _, method, properties, body: self._take(method, properties, body)
                )
            self._channel = channel
        return self._channel

    def _lost(self, error: Exception) -> None:
        """Forget a connection that is broken, and what came by it."""
        _log.info("%s: the connection is lost: %r", self._address.name, error)
        connection, self._connection, self._channel = self._connection, None, None
        self._held.clear()
        self._held_bytes = 0
        self._channel_name = ""
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except Exception as again:
                if not passes(again):
                    raise


def _message(method: Any, properties: pika.BasicProperties, body: bytes, channel: str) -> Message:
    headers = properties.headers or {}
    known = headers.get(ID) or properties.message_id
    # Nothing else tells a message from another: a tag is good for one delivery only.
    name = f"{known}" if known else f"{channel}/{method.delivery_tag}"
    return Message(
        body,
        position_of(name),
        None if properties.timestamp is None else int(properties.timestamp) * 1_000_000,
        (method.routing_key or "").encode() or None,
        [(name, _bytes(value)) for name, value in headers.items()],
        tries_of(method.redelivered, headers),
    )


def tries_of(redelivered: bool, headers: dict[str, Any]) -> int:
    """How often a message was delivered, as far as the broker tells.

    Quorum queues count (`x-delivery-count`). Of others it is known whether it was delivered before, and how often it
    went through a dead-letter exchange (`x-death`).

    >>> tries_of(False, {}), tries_of(True, {}), tries_of(True, {"x-delivery-count": 4})
    (1, 2, 5)
    >>> tries_of(False, {"x-death": [{"count": 2}, {"count": 1}]})
    4
    """
    counted = headers.get("x-delivery-count")
    deaths = sum(int(each.get("count", 1)) for each in headers.get("x-death") or () if isinstance(each, dict))
    return 1 + deaths + (int(counted) if isinstance(counted, int) else int(redelivered))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
