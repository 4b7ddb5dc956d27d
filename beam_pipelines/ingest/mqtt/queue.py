"""Topics of MQTT 5 as a queue (`streams.queue`): a session that the broker keeps while we are away, QoS 1."""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from paho.mqtt import client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions

from beam_pipelines.ingest.streams.messages import Message, position_of
from beam_pipelines.ingest.streams.queue import Bounds, Received
from beam_pipelines.ingest.streams.received import received_of
from beam_pipelines.mqtt.connection import Connection, Session, passes
from beam_pipelines.retries import CircuitOpen, Retries

ID = "beam-pipelines-id"
"""User property by which our own sink tells a message that was written twice."""

HELD_BYTES = 32 << 20
"""Bytes that the client holds before they are asked for; beyond, it reads nothing from its socket."""

_WAIT_SECONDS = 0.1
_SHORT_SECONDS, _SHORT_LIVES = 10.0, 5  # connections that end so soon, so often in a row, are worth a word
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class MqttAddress:
    """A topic filter, and how it is read. `client` is our name at the broker; `expiry` is in seconds."""

    connection: Connection
    topic: str
    client: str
    format: str = "jsonl"
    expiry: int = 86_400
    prefetch: int = 65_535
    waits: bool = True
    bounds: Bounds = Bounds()  # noqa: RUF009  immutable
    retries: Retries = Retries()  # noqa: RUF009  immutable

    @property
    def name(self) -> str:
        return self.topic

    @property
    def polling(self) -> Retries:
        """A stream polls again in a second, and holds up no bundle until then."""
        return Retries(attempts=1) if self.waits else self.retries

    def open(self, shard: int, shards: int) -> MqttQueue:
        return MqttQueue(self, self.client if shards == 1 else f"{self.client}-{shard}")


class _Handle(NamedTuple):
    """A message: its number is good on the connection that it came by."""

    connection: str
    mid: int


class MqttQueue:
    """An open session. The protocol has no way to give back one message: all that wasn't acknowledged comes again."""

    lease_seconds: float | None = None

    def __init__(self, address: MqttAddress, client: str) -> None:
        self._address = address
        self._client = client
        self._session: Session | None = None
        self._connection = ""
        self._count = 0
        self._held: deque[tuple[Message, _Handle]] = deque()
        self._held_bytes = 0
        self._is_quiet = False
        self._since = 0.0
        self._short = 0

    def receive(self, max_rows: int, max_bytes: int) -> Sequence[Received]:
        self._is_quiet = False
        try:
            self._call(lambda session: self._fill(session, max_rows, max_bytes))
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
            self._is_quiet = True
            return []
        return received_of(messages, handles, self._address.name, self._address.format, "mqtt.poison", 1 << 30)

    def acknowledge(self, handles: Sequence[Any]) -> None:
        session = self._session
        ours = [handle.mid for handle in handles if handle.connection == self._connection and handle.mid]
        if session is None or not ours:
            return  # the broker will send them again
        for mid in ours:  # in the order in which they came, as the protocol has it (MQTT-4.6.0-2)
            session.client.ack(mid, 1)
        try:
            session.serve()
        except Exception as error:
            if not passes(error):
                raise
            self._lost(error)

    def give_back(self, handles: Sequence[Any]) -> None:
        if any(handle.connection == self._connection for handle in handles):
            self.close()

    def extend(self, handles: Sequence[Any]) -> None:
        pass

    def keep_alive(self) -> None:
        """Answer the broker, and read what has come, as long as little of it is held."""
        if self._session is not None and self._held_bytes < HELD_BYTES:
            try:
                self._session.serve()
            except Exception as error:
                if not passes(error):
                    raise
                self._lost(error)

    def waiting(self) -> int | None:
        """0 if nothing came when it was last asked: the broker doesn't tell how much there is."""
        if self._session is None:
            return None
        return 0 if self._is_quiet and not self._held else None

    def close(self) -> None:
        session, self._session, self._connection = self._session, None, ""
        self._held.clear()
        self._held_bytes = 0
        if session is not None:
            session.close()

    def _fill(self, session: Session, max_rows: int, max_bytes: int) -> None:
        until = time.monotonic() + _WAIT_SECONDS
        while len(self._held) < max_rows and self._held_bytes < max_bytes:
            before = len(self._held)
            # What is there is taken at once; only for the first message of a poll it waits.
            session.serve(0.0 if self._held else max(0.0, until - time.monotonic()))
            if len(self._held) == before and (self._held or time.monotonic() >= until):
                break

    def _take(self, message: paho.MQTTMessage) -> None:
        self._count += 1
        told = dict(getattr(message.properties, "UserProperty", None) or ())
        # Nothing else tells a message from another: its number is used again.
        name = told.get(ID) or f"{self._connection}/{self._count}"
        pairs = [(name, value.encode()) for name, value in getattr(message.properties, "UserProperty", None) or ()]
        # MQTT has no time of publication: it is when it came.
        key, now = message.topic.encode(), time.time_ns() // 1000
        taken = Message(bytes(message.payload), position_of(name), now, key, pairs, 2 if message.dup else 1)
        self._held.append((taken, _Handle(self._connection, message.mid if message.qos else 0)))
        self._held_bytes += len(message.payload)

    def _call(self, use: Callable[[Session], _T]) -> _T:
        def attempt() -> _T:
            try:
                return use(self._open())
            except Exception as error:
                if passes(error):
                    self._lost(error)
                raise

        return self._address.polling.call(attempt, self._address.connection.endpoint, passes)

    def _open(self) -> Session:
        if self._session is None:
            address = self._address
            self._held.clear()
            self._held_bytes = 0
            self._connection = uuid.uuid4().hex
            session = Session(address.connection, self._client, address.expiry, address.prefetch, self._take)
            answers: list[Any] = []
            session.client.on_subscribe = lambda client, data, mid, codes, properties: answers.extend(codes)  # noqa: ARG005
            session.client.subscribe(address.topic, options=SubscribeOptions(qos=1))
            session.until(lambda: bool(answers))
            if answers[0].is_failure:
                session.close()
                problem = f"{address.connection.endpoint}: the broker refuses the topic '{address.topic}': {answers[0]}"
                raise session.refused(answers[0].value, f"topic '{address.topic}'") or ConnectionError(problem)
            self._session, self._since = session, time.monotonic()
        return self._session

    def _lost(self, error: Exception) -> None:
        """Forget a connection that is broken, and what came by it."""
        _log.info("%s: %s", self._address.name, error)
        if self._session is not None:
            self._short = self._short + 1 if time.monotonic() - self._since < _SHORT_SECONDS else 0
            if self._short == _SHORT_LIVES:
                _log.warning(
                    "%s: the broker ends each connection soon after it is made: does another client call itself '%s'? "
                    "Each job needs a ?client of its own",
                    *(self._address.connection.endpoint, self._client),
                )
        self._session = None
        self._connection = ""
        self._held.clear()
        self._held_bytes = 0
