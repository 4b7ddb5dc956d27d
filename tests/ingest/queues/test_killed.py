"""A reader that is killed when it has given messages out and before its mark is finalised: all come again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import Any

import pytest

import beam_pipelines as bp
from beam_pipelines.ingest.streams import open_queues
from beam_pipelines.ingest.streams.queue_reader import QueueReader, QueueSource
from tests.servers.mosquitto import Mqtt
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ

SOURCES: dict[str, Any] = {"pubsub": bp.ReadFromPubSub, "amqp": bp.ReadFromAmqp, "mqtt": bp.ReadFromMqtt}
MESSAGES = [b"%d" % n for n in range(200)]
SECONDS = 100  # hard limit of what has to happen, on a machine that is busy with other tests


def _source(uri: str) -> QueueSource:
    read = SOURCES[uri.partition(":")[0]](uri)
    return QueueSource(read._address, max_rows=100)


def _read(reader: QueueReader, messages: int) -> list[bytes]:
    found: list[bytes] = []
    until = time.monotonic() + SECONDS
    while len(found) < messages:
        assert time.monotonic() < until, len(found)
        if reader.advance():
            found += reader.get_current().column("__payload").to_pylist()
    return found


def _killed(uri: str, has_read: Any) -> None:
    reader = _source(uri).create_reader(None, None)
    _read(reader, 100)
    reader.get_checkpoint_mark().finalize_checkpoint()
    _read(reader, 100)
    reader.get_checkpoint_mark()  # the runner has it, and never finalises it
    has_read.set()
    time.sleep(SECONDS)


@pytest.fixture(params=["pubsub", "amqp", "mqtt"])
def uri(request: pytest.FixtureRequest) -> str:
    if request.param == "pubsub":
        pubsub: PubSub = request.getfixturevalue("pubsub")
        topic = pubsub.topic()
        pubsub.publish(topic, MESSAGES)
        return pubsub.uri(topic, "lease=10")
    if request.param == "amqp":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        queue = rabbitmq.queue()
        rabbitmq.publish(queue, MESSAGES)
        return rabbitmq.uri(queue)
    mosquitto: Mqtt = request.getfixturevalue("mosquitto")
    topic = mosquitto.topic()
    mosquitto.subscribe(topic, topic)
    mosquitto.publish(topic, MESSAGES)
    return mosquitto.uri(topic, f"client={topic}")


def test_what_no_finalised_mark_holds_comes_again_and_nothing_is_lost(uri: str) -> None:
    context = multiprocessing.get_context("spawn")
    has_read = context.Event()
    child = context.Process(target=_killed, args=(uri, has_read))
    child.start()
    assert child.pid is not None
    assert has_read.wait(SECONDS)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    reader = _source(uri).create_reader(None, None)
    found = _read(reader, 100)
    reader.get_checkpoint_mark().finalize_checkpoint()
    assert not reader.advance()
    open_queues.close_all()
    assert len(set(found)) == 100
    assert set(found) < set(MESSAGES)
