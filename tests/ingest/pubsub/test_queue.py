"""A subscription as a queue: what comes, what it is told, what comes again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.pubsub.queue import PubSubAddress, PubSubQueue
from beam_pipelines.ingest.streams.queue import Received
from beam_pipelines.pubsub.connection import Connection
from beam_pipelines.retries import Retries
from beam_pipelines.uris import parse_uri
from tests.servers.pubsub import PROJECT, PubSub

SECONDS = 60  # hard limit of what has to happen, on a machine that is busy with other tests


def _queue(pubsub: PubSub, subscription: str, **told: object) -> PubSubQueue:
    connection = Connection.of(parse_uri(pubsub.uri(subscription)))
    return PubSubAddress(connection, f"projects/{PROJECT}/subscriptions/{subscription}", **told).open(0, 1)


def _until(found: Callable[[], list[Received]], messages: int) -> list[Received]:
    received: list[Received] = []
    until = time.monotonic() + SECONDS
    while sum(len(each.handles) for each in received) < messages:
        assert time.monotonic() < until, received
        received += found()
    return received


def test_a_message_comes_with_all_that_is_known_of_it(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    pubsub.publish(topic, [(b"\xff", {"a": "1", "b": "ä"}, "key"), (b"", {"only": "attributes"})])
    queue = _queue(pubsub, topic)
    (received,) = _until(lambda: list(queue.receive(100, 1 << 20)), 2)
    rows = sorted(received.batch.to_pylist(), key=lambda row: row["__payload"])
    assert [row["__payload"] for row in rows] == [b"", b"\xff"]
    assert {row["__source"] for row in rows} == {topic}
    assert [row["__key"] for row in rows] == [None, b"key"]
    assert sorted(rows[1]["__attributes"]) == [("a", b"1"), ("b", "ä".encode())]
    assert abs(rows[0]["__publish_time"].timestamp() - time.time()) < SECONDS
    assert len({row["__position"] for row in rows}) == 2
    queue.acknowledge(received.handles)
    assert queue.receive(100, 1 << 20) == []
    assert queue.waiting() == 0
    assert pubsub.left(topic) == 0


def test_what_is_given_back_comes_again_under_the_same_position(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    pubsub.publish(topic, [b"1", b"2"])
    queue = _queue(pubsub, topic)
    (first,) = _until(lambda: list(queue.receive(100, 1 << 20)), 2)
    queue.give_back(first.handles[:1])
    (again,) = _until(lambda: list(queue.receive(100, 1 << 20)), 1)
    assert again.batch.column("__payload")[0] == first.batch.column("__payload")[0]
    assert again.batch.column("__position")[0] == first.batch.column("__position")[0]
    assert again.handles[0] != first.handles[0]


def test_a_lease_is_longer_than_the_subscriptions_deadline_and_ends_when_nobody_extends_it(
    pubsub: PubSub,
) -> None:
    topic = pubsub.topic(ack_deadline_seconds=1)
    pubsub.publish(topic, [b"1"])
    queue = _queue(pubsub, topic, lease=3)
    began = time.monotonic()
    _until(lambda: list(queue.receive(100, 1 << 20)), 1)
    _until(lambda: list(queue.receive(100, 1 << 20)), 1)
    assert time.monotonic() - began >= 2.9


def test_a_poll_is_bounded_and_a_long_message_comes_too(pubsub: PubSub) -> None:
    topic = pubsub.topic()
    pubsub.publish(topic, [b"x" * 1000] * 50)
    pubsub.publish(topic, [b"y" * 9_900_000])
    queue = _queue(pubsub, topic)
    first = list(queue.receive(7, 1 << 20))
    assert sum(len(each.handles) for each in first) == 7
    received = first + _until(lambda: list(queue.receive(100, 20_000)), 44)
    # About so many bytes: the mean length is known of what came before.
    assert max(len(each.handles) for each in received) <= 25
    assert max(max(map(len, each.batch.column("__payload").to_pylist())) for each in received) == 9_900_000


def test_messages_delivered_too_often_are_refused_and_the_others_are_not(pubsub: PubSub) -> None:
    dead = pubsub.topic()
    policy = {"dead_letter_topic": f"projects/{PROJECT}/topics/{dead}", "max_delivery_attempts": 100}
    topic = pubsub.topic(dead_letter_policy=policy)
    pubsub.publish(topic, [b"poison"])
    queue = _queue(pubsub, topic, tries=2)
    for tries in (1, 2):
        (received,) = _until(lambda: list(queue.receive(100, 1 << 20)), 1)
        assert received.tries == tries
        queue.give_back(received.handles)
    pubsub.publish(topic, [b"new"])
    new, refused = sorted(_until(lambda: list(queue.receive(100, 1 << 20)), 2), key=lambda each: each.batch.num_columns)
    assert new.batch.column("__payload").to_pylist() == [b"new"]
    assert refused.batch.column("__payload").to_pylist() == [b"poison"]
    (said,) = refused.batch.column(FAILURES).to_pylist()[0]
    assert (said["rule"], said["message"][:37]) == ("pubsub.poison", "was delivered more than 2 times and n")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pubsub://test-project/no-such", "there is no subscription 'projects/test-project/subscriptions/no-such'"),
    ],
)
def test_what_a_person_has_to_mend_is_said_at_once(pubsub: PubSub, uri: str, message: str) -> None:
    queue = _queue(pubsub, uri.rpartition("/")[2])
    with pytest.raises(UsageError, match=message):
        queue.receive(1, 1)


def test_a_stream_waits_for_a_service_that_is_down_and_a_bounded_read_fails(
    pubsub: PubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "localhost:1")
    retries = Retries(attempts=2, first_wait=0.01)
    assert _queue(pubsub, "sub", retries=retries).receive(1, 1) == []
    assert _queue(pubsub, "sub", retries=retries).waiting() is None
    with pytest.raises(Exception, match="UNAVAILABLE"):
        _queue(pubsub, "sub", retries=retries, waits=False).receive(1, 1)
