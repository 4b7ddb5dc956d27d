"""ReadFromPubSub, ReadFromAmqp and ReadFromMqtt in pipelines: until a queue is empty, on FnApiRunner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pytest

import beam_pipelines as bp
from beam_pipelines.ingest.streams import open_queues
from tests.conformance import kept
from tests.servers.mosquitto import Mqtt
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ

MESSAGES = [b"%d" % n for n in range(50)]


class Queue(NamedTuple):
    """A queue with messages in it: its URI, its source, and how many are not acknowledged yet."""

    uri: str
    source: Callable[..., Any]
    left: Callable[[], int]


@pytest.fixture(params=["pubsub", "amqp", "mqtt"])
def queue(request: pytest.FixtureRequest) -> Queue:
    if request.param == "pubsub":
        pubsub: PubSub = request.getfixturevalue("pubsub")
        topic = pubsub.topic()
        pubsub.publish(topic, MESSAGES)
        return Queue(pubsub.uri(topic, "bounded=true&quiet=0.2"), bp.ReadFromPubSub, lambda: pubsub.left(topic))
    if request.param == "amqp":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        name = rabbitmq.queue()
        rabbitmq.publish(name, MESSAGES)
        return Queue(rabbitmq.uri(name, "bounded=true"), bp.ReadFromAmqp, lambda: rabbitmq.left(name))
    mosquitto: Mqtt = request.getfixturevalue("mosquitto")
    topic = mosquitto.topic()
    mosquitto.subscribe(topic, topic)
    mosquitto.publish(topic, MESSAGES)

    def left() -> int:
        found: list[Any] = []
        session = mosquitto.session(topic, expiry=3600, on_message=found.append)
        mosquitto.publish(topic, [b"end"])
        session.until(lambda: any(each.payload == b"end" for each in found))
        session.close()
        return len(found) - 1

    return Queue(mosquitto.uri(topic, f"bounded=true&quiet=0.5&client={topic}"), bp.ReadFromMqtt, left)


def _payloads(batch: Any) -> Iterable[str]:
    return map(repr, batch.column("__payload").to_pylist())


@pytest.mark.parametrize("acknowledge", ["finalized", "never"])
def test_a_queue_is_read_until_it_is_empty_and_acknowledged_as_asked(
    queue: Queue, acknowledge: str, tmp_path: Path
) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | queue.source(f"{queue.uri}&acknowledge={acknowledge}")
        kept.keep({"good": read.good | beam.FlatMap(_payloads), "ledger": read.ledger}, tmp_path)
    assert kept.read(tmp_path, "good") == sorted(map(repr, MESSAGES))
    assert sum(eval(text)[1] for text in kept.read(tmp_path, "ledger")) == 50
    open_queues.close_all()
    assert queue.left() == (0 if acknowledge == "finalized" else 50)


def test_a_pipeline_that_fails_acknowledges_nothing(queue: Queue) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    read = pipeline | queue.source(queue.uri)
    _ = read.good | beam.Map(lambda batch: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        pipeline.run()
    open_queues.close_all()
    assert queue.left() == 50
