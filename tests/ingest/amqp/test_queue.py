"""A queue of RabbitMQ: what comes, what comes again, and what its broker says of who may not."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.amqp.connection import Connection, queue_of
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.amqp.queue import AmqpAddress, AmqpQueue
from beam_pipelines.ingest.streams.messages import position_of
from beam_pipelines.ingest.streams.queue import Received
from beam_pipelines.uris import parse_uri
from scripts import processes, toxiproxy
from scripts.rabbitmq import PASSWORD
from tests.servers.rabbitmq import Queues, RabbitMQ, rabbitmq_server

SECONDS = 60  # hard limit of what has to happen, on a machine that is busy with other tests


def _queue(uri: str, **told: Any) -> AmqpQueue:
    parsed = parse_uri(uri)
    return AmqpAddress(Connection.of(parsed), queue_of(parsed), **told).open(0, 1)


def _until(found: Callable[[], Any], messages: int) -> list[Received]:
    received: list[Received] = []
    until = time.monotonic() + SECONDS
    while sum(len(each.handles) for each in received) < messages:
        assert time.monotonic() < until, received
        received += found()
    return received


def _payloads(received: list[Received]) -> list[bytes]:
    return [payload for each in received for payload in each.batch.column("__payload").to_pylist()]


@pytest.mark.parametrize("prefetch", [100, None])
def test_messages_come_in_order_with_all_that_is_known_of_them(rabbitmq: RabbitMQ, prefetch: int | None) -> None:
    name = rabbitmq.queue()
    rabbitmq.publish(name, [(b"1", {"beam-pipelines-id": "in/7", "n": 1}), b""], timestamp=1_711_800_000)
    queue = _queue(rabbitmq.uri(name), prefetch=prefetch)
    (received,) = _until(lambda: queue.receive(100, 1 << 20), 2)
    first, second = received.batch.to_pylist()
    assert (first["__payload"], second["__payload"]) == (b"1", b"")
    assert (first["__source"], first["__key"]) == (name, name.encode())
    assert sorted(first["__attributes"]) == [("beam-pipelines-id", b"in/7"), ("n", b"1")]
    assert first["__publish_time"].timestamp() == 1_711_800_000
    assert first["__position"] == position_of("in/7")
    queue.acknowledge(received.handles)
    assert queue.waiting() == 0
    queue.close()
    assert rabbitmq.left(name) == 0


def test_what_is_given_back_or_left_when_a_client_dies_comes_again(rabbitmq: RabbitMQ) -> None:
    name = rabbitmq.queue(x_queue_type="quorum")
    rabbitmq.publish(name, [b"%d" % n for n in range(10)])
    queue = _queue(rabbitmq.uri(name), prefetch=100)
    (received,) = _until(lambda: queue.receive(100, 1 << 20), 10)
    queue.give_back(received.handles[:2])
    again = _until(lambda: queue.receive(100, 1 << 20), 2)
    assert sorted(_payloads(again)) == [b"0", b"1"]
    assert [each.tries for each in again] == [2]
    queue.acknowledge(received.handles[2:5])
    queue.close()
    other = _queue(rabbitmq.uri(name))
    left = _until(lambda: other.receive(100, 1 << 20), 7)
    other.close()
    assert sorted(_payloads(left)) == [b"0", b"1", b"5", b"6", b"7", b"8", b"9"]


def test_a_message_of_a_quorum_queue_that_came_too_often_is_refused(rabbitmq: RabbitMQ) -> None:
    name = rabbitmq.queue(x_queue_type="quorum")
    rabbitmq.publish(name, [b"poison"])
    queue = _queue(rabbitmq.uri(name), tries=2)
    for tries in (1, 2):
        (received,) = _until(lambda: queue.receive(100, 1 << 20), 1)
        assert received.tries == tries
        queue.give_back(received.handles)
    (refused,) = _until(lambda: queue.receive(100, 1 << 20), 1)
    (said,) = refused.batch.column(FAILURES).to_pylist()[0]
    assert said["rule"] == "amqp.poison"
    queue.acknowledge(refused.handles)
    queue.close()
    assert rabbitmq.left(name) == 0


def test_what_is_under_way_is_bounded_and_a_long_message_comes_too(rabbitmq: RabbitMQ) -> None:
    name = rabbitmq.queue()
    rabbitmq.publish(name, [b"x" * 1000] * 50 + [b"y" * 10_000_000])
    queue = _queue(rabbitmq.uri(name), prefetch=20)
    received = _until(lambda: queue.receive(15, 1 << 20), 20)
    assert max(len(each.handles) for each in received) <= 15
    assert list(queue.receive(15, 1 << 20)) == []  # the broker waits
    queue.acknowledge([handle for each in received for handle in each.handles])
    received = _until(lambda: queue.receive(100, 5000), 20)
    assert max(len(each.handles) for each in received) <= 5
    queue.acknowledge([handle for each in received for handle in each.handles])
    assert len(_payloads(_until(lambda: queue.receive(100, 1 << 20), 11))[-1]) == 10_000_000
    queue.close()


def test_a_stream_outlasts_a_connection_that_is_cut_and_a_broker_that_is_killed(tmp_path: Path) -> None:
    (port,) = processes.free_ports(1)
    with rabbitmq_server(tmp_path) as broker, toxiproxy.running(tmp_path, port, broker.port) as proxy:
        name = broker.queue()
        broker.publish(name, [b"%d" % n for n in range(10)], is_confirmed=True)
        queue = _queue(Queues(f"localhost:{port}").uri(name))
        found = _until(lambda: queue.receive(100, 1 << 20), 10)
        proxy.cut()
        queue.acknowledge(found[0].handles)  # which the broker doesn't hear
        assert list(queue.receive(100, 1 << 20)) == []
        assert queue.waiting() is None
        proxy.mend()
        again = _until(lambda: queue.receive(100, 1 << 20), 10)
        assert _payloads(again) == [b"%d" % n for n in range(10)]
        broker.stop(signal.SIGKILL)
        assert list(queue.receive(100, 1 << 20)) == []
        queue.acknowledge([handle for each in again for handle in each.handles])
        broker.start()
        last = _until(lambda: queue.receive(100, 1 << 20), 10)
        queue.acknowledge([handle for each in last for handle in each.handles])
        queue.close()
        assert broker.left(name) == 0


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("amqp://{0}/no-such-queue", "there is no queue 'no-such-queue' in virtual host '/': make it first"),
        ("amqp://shop@{0}/closed/q?password=env:RIGHT", "no virtual host 'closed', or we may not use it"),
        ("amqp://shop@{0}/sales/q?password=env:WRONG", "the broker refuses the credentials of user 'shop'"),
        ("amqp://shop@{0}/sales/q?password=env:NOT_SET", "the password: the environment variable NOT_SET is not set"),
    ],
)
def test_what_a_person_has_to_mend_is_said_at_once(
    rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch, uri: str, message: str
) -> None:
    monkeypatch.setenv("WRONG", "hunter2")
    monkeypatch.setenv("RIGHT", PASSWORD)
    queue = _queue(uri.format(rabbitmq.address))
    with pytest.raises(UsageError, match=message) as caught:
        queue.receive(1, 1)
    queue.close()
    assert "hunter2" not in str(caught.value)
