"""A RabbitMQ for tests, and what tests say to it: queues, messages."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from scripts.rabbitmq import Rabbit
from tests import runners

_names = itertools.count()


class Queues:
    """What tests say to a broker, as guest. Messages are `body` or `(body, headers)`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def uri(self, queue: str, options: str = "") -> str:
        return f"amqp://{self.address}/{queue}{f'?{options}' if options else ''}"

    @contextlib.contextmanager
    def channel(self, vhost: str = "/") -> Iterator[Any]:
        host, _, port = self.address.partition(":")
        connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), vhost))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def queue(self, name: str = "", **arguments: object) -> str:
        """Make a queue that outlives the broker, and return its name."""
        name = name or f"queue-{next(_names)}"
        with self.channel() as channel:
            channel.queue_declare(name, durable=True, arguments={k.replace("_", "-"): v for k, v in arguments.items()})
        return name

    def publish(self, queue: str, messages: Iterable[Any], *, is_confirmed: bool = False, **properties: Any) -> None:
        """Publish messages; those that are confirmed outlive the broker's death."""
        with self.channel() as channel:
            if is_confirmed:
                channel.confirm_delivery()
            for each in messages:
                body, headers = each if isinstance(each, tuple) else (each, None)
                told = pika.BasicProperties(headers=headers, delivery_mode=2, **properties)
                channel.basic_publish("", queue, body, told)
            channel.queue_declare(queue, passive=True)  # an answer, so all before it is there

    def left(self, queue: str) -> int:
        """Messages that are ready: not those that somebody has and hasn't acknowledged."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def read(self, queue: str) -> list[tuple[bytes, dict[str, Any]]]:
        """Take all messages that are ready: bodies and headers."""
        found = []
        with self.channel() as channel:
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                found.append((got[2], got[1].headers))
        return found


class RabbitMQ(Rabbit, Queues):
    """A broker of the test's own."""


@contextlib.contextmanager
def rabbitmq_server(folder: Path) -> Iterator[RabbitMQ]:
    """Start a broker whose data are in a folder, and stop it."""
    runners.need("servers")
    broker = RabbitMQ(folder / "rabbitmq")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """The RabbitMQ of this test process. Tests make queues of their own, and don't stop it."""
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running
