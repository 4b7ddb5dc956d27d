"""Messages of a bundle on their way to a topic: published by many (QoS 1), acknowledged by the broker each."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from beam_pipelines.mqtt.connection import MOST_UNDER_WAY, PACKET_TOO_LARGE, Connection, Disconnected, Session, passes
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Row
from beam_pipelines.sink.records import ID_HEADER, Records

MOST_UNDER_WAY_BYTES = 32 << 20
"""Bytes that may wait for the broker's word, beside MOST_UNDER_WAY messages; beyond, writing waits."""

_PROTOCOL_BYTES = 268_435_455  # of a packet
_ANSWER_SECONDS = 60.0
_REFUSED = (0x90, 0x99)  # TOPIC_NAME_INVALID, PAYLOAD_FORMAT_INVALID
_OVERHEAD = 64  # bytes of a packet beside payload, topic and user properties


class _Message(NamedTuple):
    row: Row
    payload: bytes
    properties: list[tuple[str, str]]

    @property
    def size(self) -> int:
        return len(self.payload) + sum(len(name) + len(value) + 5 for name, value in self.properties)


class MqttDelivery:
    """A topic, and what it has been given since `settle` was last called."""

    def __init__(self, connection: Connection, topic: str, retain: bool, retries: Retries) -> None:
        self._where = connection
        self._topic = topic
        self._retain = retain
        self._retries = retries
        self._client = f"beam-pipelines-{uuid.uuid4().hex}"
        self._session: Session | None = None
        self._under_way: dict[int, _Message] = {}
        self._bytes = 0
        self._refused: dict[Row, str] = {}
        self._batches = 0
        self._failed: tuple[Any, _Message] | None = None
        self._ask(Session.serve)

    def send(self, records: Records) -> None:
        """Publish records, waiting while too much is under way."""
        number, self._batches = self._batches, self._batches + 1
        headers = [None] * len(records.values) if records.headers is None else records.headers.to_pylist()
        for row, (value, key, id, pairs) in enumerate(
            zip(records.values.to_pylist(), records.keys.to_pylist(), records.ids.to_pylist(), headers, strict=True)
        ):
            told = [(name, (text or b"").decode("utf-8", "replace")) for name, text in pairs or ()]
            if key is not None:
                told.append(("key", key.decode("utf-8", "replace")))
            message = _Message((number, row), value or b"", [*told, (ID_HEADER, id)])
            self._ask(lambda session, message=message: self._publish(session, message))

    def settle(self) -> dict[Row, str]:
        """Wait until the broker has all, and forget it. Returns the rows that it will never take, and why."""
        self._ask(lambda session: session.until(lambda: not self._under_way, _ANSWER_SECONDS))
        refused, self._refused, self._batches = self._refused, {}, 0
        return refused

    def close(self) -> None:
        """Drop what is under way."""
        session, self._session = self._session, None
        self._under_way.clear()
        self._bytes = 0
        if session is not None:
            session.close()

    def _publish(self, session: Session, message: _Message) -> None:
        most = session.most_bytes or _PROTOCOL_BYTES
        size = message.size + len(self._topic) + _OVERHEAD
        if size > most:
            self._refused[message.row] = f"is too large: about {size:,} bytes, of {most:,} that the broker takes"
            return
        session.until(
            lambda: len(self._under_way) < MOST_UNDER_WAY and self._bytes < MOST_UNDER_WAY_BYTES, _ANSWER_SECONDS
        )
        self._give(session, message)

    def _give(self, session: Session, message: _Message) -> None:
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = message.properties
        sent = session.client.publish(self._topic, message.payload, 1, self._retain, properties)
        if sent.rc == paho.MQTT_ERR_NO_CONN:
            raise Disconnected(f"{self._where.endpoint}: the connection is lost")
        self._under_way[sent.mid] = message
        self._bytes += message.size

    def _published(self, client: Any, data: Any, mid: int, code: Any, properties: Any) -> None:  # noqa: ARG002
        message = self._under_way.pop(mid, None)
        if message is None:
            return
        self._bytes -= message.size
        if not code.is_failure:
            return
        if code.value in _REFUSED or code.value == PACKET_TOO_LARGE:
            self._refused[message.row] = f"is refused by the broker: {code}"
        else:
            self._failed = (code, message)

    def _ask(self, use: Any) -> None:
        """Use the session; what was under way on one that is lost is published again on the next."""

        def attempt() -> None:
            try:
                session = self._open()
                use(session)
                failed, self._failed = self._failed, None
                if failed is not None:
                    code, message = failed
                    told = session.refused(code.value, f"topic '{self._topic}'")
                    if told is not None:
                        raise told
                    self._give(session, message)
                    raise Disconnected(f"{self._where.endpoint}: the broker takes nothing now: {code}")
            except Exception as error:
                if passes(error) and not (self._session and self._session.client.is_connected()):
                    self._session = None
                raise

        self._retries.call(attempt, self._where.endpoint, passes)

    def _open(self) -> Session:
        if self._session is None:
            session = Session(self._where, self._client)
            session.client.on_publish = self._published
            again, self._under_way, self._bytes = list(self._under_way.values()), {}, 0
            self._session = session
            for message in again:
                self._give(session, message)
        return self._session
