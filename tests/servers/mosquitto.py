"""A Mosquitto for tests, and what tests say to it: subscriptions, messages."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.subscribeoptions import SubscribeOptions

from beam_pipelines.mqtt.connection import Connection, Session
from beam_pipelines.uris import parse_uri
from scripts.mosquitto import Mosquitto
from tests import runners

_names = itertools.count()


class Topics:
    """What tests say to a broker."""

    def __init__(self, address: str) -> None:
        self.address = address

    def uri(self, topic: str, options: str = "") -> str:
        return f"mqtt://{self.address}/{topic}{f'?{options}' if options else ''}"

    def topic(self) -> str:
        """A name that nobody has used."""
        return f"topic-{next(_names)}"

    def session(self, client: str, **told: Any) -> Session:
        return Session(Connection.of(parse_uri(self.uri("t"))), client, **told)

    def subscribe(self, client: str, topic: str) -> None:
        """Have the broker keep messages of a topic for a client that is away."""
        session = self.session(client, expiry=3600)
        answers: list[Any] = []
        session.client.on_subscribe = lambda *told: answers.append(told)
        session.client.subscribe(topic, options=SubscribeOptions(qos=1))
        session.until(lambda: bool(answers))
        session.close()

    def publish(self, topic: str, messages: Iterable[bytes]) -> None:
        """Publish messages, and wait until the broker has them."""
        session = self.session(f"writes-{next(_names)}")
        waiting = [session.client.publish(topic, each, 1) for each in messages]
        session.until(lambda: all(each.is_published() for each in waiting), 60)
        session.close()

    def read(self, client: str, messages: int) -> list[tuple[bytes, list[tuple[str, str]]]]:
        """Take so many messages that are kept for a client, with their user properties."""
        found: list[Any] = []
        session = self.session(client, expiry=3600, on_message=found.append)
        session.until(lambda: len(found) >= messages, 60)
        for each in found:
            session.client.ack(each.mid, 1)
        session.close()
        return [(bytes(each.payload), getattr(each.properties, "UserProperty", [])) for each in found]


class Mqtt(Mosquitto, Topics):
    """A broker of the test's own."""


@contextlib.contextmanager
def mosquitto_server(folder: Path) -> Iterator[Mqtt]:
    """Start a broker whose data are in a folder, and stop it."""
    runners.need("servers")
    broker = Mqtt(folder / "mosquitto")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mqtt]:
    """The Mosquitto of this test process. Tests use topics of their own, and don't stop it."""
    with mosquitto_server(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running
