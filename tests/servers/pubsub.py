"""A Pub/Sub for tests, and what tests say to it: topics, subscriptions, messages."""

from __future__ import annotations

import contextlib
import itertools
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from beam_pipelines.pubsub.connection import EMULATOR
from scripts import pubsub as script
from tests import runners

PROJECT = "test-project"
_names = itertools.count()


class PubSub:
    """What tests say to a Pub/Sub. Messages are `data` or `(data, attributes)` or `(data, attributes, key)`."""

    def __init__(self, address: str, told: str = "") -> None:
        self.address = address
        self._told = told
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options=options)
        self.publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))

    def uri(self, name: str, options: str = "") -> str:
        return f"pubsub://{PROJECT}/{name}{f'?{options}' if options else ''}"

    def topic(self, name: str = "", **subscription: Any) -> str:
        """Make a topic and a subscription to it of the same name, and return the name."""
        name = name or f"topic-{next(_names)}"
        self.publisher.create_topic(name=f"projects/{PROJECT}/topics/{name}")
        self.subscriber.create_subscription(
            request={
                "name": f"projects/{PROJECT}/subscriptions/{name}",
                "topic": f"projects/{PROJECT}/topics/{name}",
                "ack_deadline_seconds": 10,
                **subscription,
            }
        )
        return name

    def publish(self, topic: str, messages: Iterable[bytes | tuple[Any, ...]]) -> list[str]:
        """Publish messages, and return their ids."""
        ids: list[str] = []
        waiting = list(messages)
        for at in range(0, len(waiting), 500):
            made = []
            for each in waiting[at : at + 500]:
                data, *more = each if isinstance(each, tuple) else (each,)
                attributes, key = more[0] if more else {}, more[1] if len(more) > 1 else ""
                made.append(types.PubsubMessage(data=data, attributes=attributes, ordering_key=key))
            found = self.publisher.publish(topic=f"projects/{PROJECT}/topics/{topic}", messages=made)
            ids += found.message_ids
        return ids

    def left(self, topic: str) -> int:
        """Messages of a topic that nobody has acknowledged."""
        with urllib.request.urlopen(f"http://{self._told}/topics/{topic}", timeout=10) as answer:
            return int(answer.read())

    def read(self, subscription: str) -> list[Any]:
        """Take all messages that wait, and acknowledge them."""
        name, found = f"projects/{PROJECT}/subscriptions/{subscription}", []
        while True:
            request = types.PullRequest.pb()(subscription=name, max_messages=1000, return_immediately=True)
            pull = self._channel.unary_unary(
                "/google.pubsub.v1.Subscriber/Pull",
                type(request).SerializeToString,
                types.PullResponse.pb().FromString,
            )
            received = pull(request, timeout=30).received_messages
            if not received:
                return found
            found += [each.message for each in received]
            self.subscriber.acknowledge(subscription=name, ack_ids=[each.ack_id for each in received])


@contextlib.contextmanager
def pubsub_server(folder: Path) -> Iterator[PubSub]:
    """Start a Pub/Sub and stop it."""
    runners.need("servers")
    with script.server(folder) as (address, told):
        yield PubSub(address, told)


@pytest.fixture(scope="session")
def pubsub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSub]:
    """The Pub/Sub of this test process, which clients and their children find. Tests make topics of their own."""
    with pubsub_server(tmp_path_factory.mktemp("pubsub")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv(EMULATOR, running.address)
        yield running
