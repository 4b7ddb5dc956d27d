"""A Kafka broker for tests, and what tests say to it: topics, records, access lists."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from scripts.kafka import PASSWORD, USERS, Broker
from tests import runners

_SECONDS = 120  # hard limit of one request, on a machine that is busy with other tests
_names = itertools.count()


class Cluster:
    """What tests say to a broker. Records are `(key, value)` or `(key, value, headers, time in ms)`."""

    def __init__(self, address: str) -> None:
        self.address = address

    @functools.cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def uri(self, topic: str, options: str = "") -> str:
        return f"kafka://{self.address}/{topic}{f'?{options}' if options else ''}"

    def topic(self, partitions: int = 1, name: str = "", **settings: object) -> str:
        """Make a topic and return its name."""
        name = name or f"topic-{next(_names)}"
        config = {each.replace("_", "."): str(value) for each, value in settings.items()}
        self.admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(_SECONDS)
        return name

    def add_partitions(self, topic: str, total: int) -> None:
        self.admin.create_partitions([NewPartitions(topic, total)])[topic].result(_SECONDS)

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Do what retention does, at once."""
        place = TopicPartition(topic, partition, offset)
        for done in self.admin.delete_records([place]).values():
            done.result(_SECONDS)

    def produce(
        self, topic: str, records: Iterable[tuple[Any, ...]], partition: int | None = None, **settings: object
    ) -> None:
        """Write records and wait until they are kept. Without a partition, keys choose it."""
        config = {"bootstrap.servers": self.address, "message.max.bytes": 15 << 20, "linger.ms": 5}
        config |= {"queue.buffering.max.messages": 1_000_000}  # more than any test writes
        producer = Producer(config | {each.replace("_", "."): value for each, value in settings.items()})
        failed: list[object] = []
        for key, value, *more in records:
            headers, time = more or (None, 0)
            options: dict[str, Any] = {} if partition is None else {"partition": partition}
            options |= {"key": key, "value": value, "headers": headers, "timestamp": time}
            producer.produce(topic, **options, on_delivery=lambda error, _: error and failed.append(error))
            producer.poll(0)
        assert producer.flush(_SECONDS) == 0, "the broker didn't take all"
        assert not failed, failed

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """All records that are in a topic now, partition by partition."""
        settings = {"group.id": "test-reads", "enable.auto.commit": False, "isolation.level": isolation}
        consumer = Consumer({"bootstrap.servers": self.address, "enable.partition.eof": True, **settings})
        try:
            partitions = consumer.list_topics(topic, _SECONDS).topics[topic].partitions
            consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
            left, found = set(partitions), []
            while left:
                for message in consumer.consume(10_000, 0.1):
                    if message.error():
                        left.discard(message.partition())
                    else:
                        found.append(message)
            return sorted(found, key=lambda message: (message.partition(), message.offset()))
        finally:
            consumer.close()

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """Partition → offset that a group has committed."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group})
        try:
            partitions = consumer.list_topics(topic, _SECONDS).topics[topic].partitions
            places = consumer.committed([TopicPartition(topic, each) for each in partitions], _SECONDS)
            return {place.partition: place.offset for place in places if place.offset >= 0}
        finally:
            consumer.close()

    def allow(self, user: str, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Let a user do something."""
        allowed = AclPermissionType.ALLOW
        rule = AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, allowed)
        self.admin.create_acls([rule])[rule].result(_SECONDS)

    def add_users(self) -> None:
        """Make the users of SCRAM; those of PLAIN are in the broker's settings."""
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            info = ScramCredentialInfo(mechanism, 4096)
            made = [UserScramCredentialUpsertion(user, info, PASSWORD.encode()) for user in USERS]
            for done in self.admin.alter_user_scram_credentials(made).values():
                done.result(_SECONDS)


class Kafka(Broker, Cluster):
    """A broker of the test's own."""


@contextlib.contextmanager
def kafka(
    folder: Path, advertised: Mapping[str, int] | None = None, settings: Mapping[str, object] | None = None
) -> Iterator[Kafka]:
    """Start a broker whose data are in a folder, and stop it."""
    runners.need("servers")
    broker = Kafka(folder / "kafka", advertised or {}, settings or {})
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """The broker of this test process. Tests make topics of their own, and don't stop it."""
    with kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running
