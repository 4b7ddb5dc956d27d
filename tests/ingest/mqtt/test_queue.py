"""Topics of Mosquitto as a queue: what comes, what comes again, and what its broker says of who may not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.mqtt.queue import MqttAddress, MqttQueue
from beam_pipelines.ingest.streams.queue import Received
from beam_pipelines.mqtt.connection import Connection
from beam_pipelines.uris import parse_uri
from scripts.mosquitto import PASSWORD
from tests.servers.mosquitto import Mqtt

SECONDS = 60  # hard limit of what has to happen, on a machine that is busy with other tests


def _queue(uri: str, client: str, shard: int = 0, shards: int = 1, **told: Any) -> MqttQueue:
    parsed = parse_uri(uri)
    return MqttAddress(Connection.of(parsed), parsed.path, client, **told).open(shard, shards)


def _until(found: Callable[[], Any], messages: int) -> list[Received]:
    received: list[Received] = []
    until = time.monotonic() + SECONDS
    while sum(len(each.handles) for each in received) < messages:
        assert time.monotonic() < until, received
        received += found()
    return received


def _payloads(received: list[Received]) -> list[bytes]:
    return [payload for each in received for payload in each.batch.column("__payload").to_pylist()]


def test_messages_of_wildcards_come_with_their_topics_also_those_that_came_while_we_were_away(mosquitto: Mqtt) -> None:
    name = mosquitto.topic()
    queue = _queue(mosquitto.uri(f"{name}/+/t"), name)
    assert list(queue.receive(100, 1 << 20)) == []
    assert queue.waiting() == 0
    queue.close()
    mosquitto.publish(f"{name}/a/t", [b"1"])
    mosquitto.publish(f"{name}/b/t", [b""])
    (received,) = _until(lambda: queue.receive(100, 1 << 20), 2)
    rows = received.batch.to_pylist()
    assert [(row["__payload"], row["__key"]) for row in rows] == [
        (b"1", f"{name}/a/t".encode()),
        (b"", f"{name}/b/t".encode()),
    ]
    assert {row["__source"] for row in rows} == {f"{name}/+/t"}
    queue.acknowledge(received.handles)
    queue.close()
    assert list(queue.receive(100, 1 << 20)) == []
    queue.close()


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(mosquitto: Mqtt) -> None:
    name = mosquitto.topic()
    mosquitto.subscribe(name, name)
    mosquitto.publish(name, [b"%d" % n for n in range(5)])
    queue = _queue(mosquitto.uri(name), name)
    (received,) = _until(lambda: queue.receive(100, 1 << 20), 5)
    queue.acknowledge(received.handles[:2])
    queue.give_back(received.handles[2:])
    again = _until(lambda: queue.receive(100, 1 << 20), 3)
    assert _payloads(again) == [b"2", b"3", b"4"]
    queue.acknowledge(received.handles[2:])  # of a connection that is gone
    queue.close()
    assert _payloads(_until(lambda: queue.receive(100, 1 << 20), 3)) == [b"2", b"3", b"4"]
    queue.close()


def test_what_is_under_way_is_bounded_and_a_long_message_comes_too(mosquitto: Mqtt) -> None:
    name = mosquitto.topic()
    mosquitto.subscribe(name, name)
    mosquitto.publish(name, [b"x" * 1000] * 30 + [b"y" * 10_000_000])
    queue = _queue(mosquitto.uri(name), name, prefetch=20)
    received = _until(lambda: queue.receive(15, 1 << 20), 20)
    assert list(queue.receive(15, 1 << 20)) == []  # the broker waits
    queue.acknowledge([handle for each in received for handle in each.handles])
    assert len(_payloads(_until(lambda: queue.receive(100, 1 << 20), 11))[-1]) == 10_000_000
    queue.close()


def test_readers_of_a_shared_subscription_have_each_message_once(mosquitto: Mqtt) -> None:
    name = mosquitto.topic()
    queues = [_queue(mosquitto.uri(f"$share/g/{name}"), name, shard, 2) for shard in range(2)]
    for queue in queues:
        assert list(queue.receive(100, 1 << 20)) == []
    mosquitto.publish(name, [b"%d" % n for n in range(100)])
    received = _until(lambda: [*queues[0].receive(100, 1 << 20), *queues[1].receive(100, 1 << 20)], 100)
    assert sorted(_payloads(received)) == sorted(b"%d" % n for n in range(100))
    for queue in queues:
        queue.close()


def test_clients_with_one_name_take_the_session_from_each_other_and_that_is_said(
    mosquitto: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    name = mosquitto.topic()
    queues = [_queue(mosquitto.uri(name), name) for _ in range(2)]
    until = time.monotonic() + SECONDS
    while f"does another client call itself '{name}'?" not in caplog.text:
        assert time.monotonic() < until
        for queue in queues:
            queue.receive(100, 1 << 20)
    for queue in queues:
        queue.close()


def test_a_stream_outlasts_a_broker_that_goes_and_comes_back(mosquitto: Mqtt) -> None:
    name = mosquitto.topic()
    queue = _queue(mosquitto.uri(name), name)
    assert list(queue.receive(100, 1 << 20)) == []
    mosquitto.stop()
    assert list(queue.receive(100, 1 << 20)) == []
    mosquitto.start()
    assert list(queue.receive(100, 1 << 20)) == []
    mosquitto.publish(name, [b"1"])
    assert _payloads(_until(lambda: queue.receive(100, 1 << 20), 1)) == [b"1"]
    queue.close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("mqtt://shop@localhost:{0}/t?password=env:WRONG", "the broker refuses the credentials of user 'shop'"),
        ("mqtt://localhost:{0}/t", "the broker refuses the credentials of who comes without a user"),
    ],
)
def test_what_a_person_has_to_mend_is_said_at_once(
    mosquitto: Mqtt, monkeypatch: pytest.MonkeyPatch, uri: str, message: str
) -> None:
    monkeypatch.setenv("WRONG", "hunter2")
    monkeypatch.setenv("RIGHT", PASSWORD)
    queue = _queue(uri.format(mosquitto.port_with_users), "refused")
    with pytest.raises(UsageError, match=message) as caught:
        queue.receive(1, 1)
    assert "hunter2" not in str(caught.value)
