"""WriteToPubSub, WriteToAmqp and WriteToMqtt: what is there afterwards, what isn't and why."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import grpc
import pyarrow as pa
import pytest
from pika.exceptions import AMQPConnectionError

import beam_pipelines as bp
from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.errors import UsageError
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Delivery
from beam_pipelines.sink.records import ID_HEADER, RecordPlan, records_of
from scripts.rabbitmq import PASSWORD
from tests.conformance import kept
from tests.servers.mosquitto import Mqtt
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ

Found = list[tuple[bytes, dict[str, str]]]

SINKS: dict[str, Any] = {"pubsub": bp.WriteToPubSub, "amqp": bp.WriteToAmqp, "mqtt": bp.WriteToMqtt}


class Place(NamedTuple):
    """Somewhere to write to: its URI, its sink, and how so many messages are read from it with their headers."""

    uri: str
    sink: Callable[..., Any]
    read: Callable[[int], Found]


@pytest.fixture(params=["pubsub", "amqp", "mqtt"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "pubsub":
        pubsub: PubSub = request.getfixturevalue("pubsub")
        topic = pubsub.topic()
        return Place(
            pubsub.uri(topic),
            bp.WriteToPubSub,
            lambda _: [(each.data, dict(each.attributes)) for each in pubsub.read(topic)],
        )
    if request.param == "amqp":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        queue = rabbitmq.queue()
        return Place(rabbitmq.uri(queue), bp.WriteToAmqp, lambda _: rabbitmq.read(queue))
    mosquitto: Mqtt = request.getfixturevalue("mosquitto")
    topic = mosquitto.topic()
    mosquitto.subscribe(f"reads-{topic}", topic)
    return Place(
        mosquitto.uri(topic),
        bp.WriteToMqtt,
        lambda messages: [(body, dict(told)) for body, told in mosquitto.read(f"reads-{topic}", messages)],
    )


def _numbers(first: int, rows: int) -> pa.RecordBatch:
    payloads = pa.array([b"%d" % n for n in range(first, first + rows)])
    batch = raw_batch(payloads, "in.jsonl", pa.array(range(first, first + rows), pa.int64()))
    return batch.append_column("n", pa.array(range(first, first + rows)))


def _run(transform: beam.PTransform, batches: list[pa.RecordBatch], folder: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch)
        letters, ledger = made | transform
        told = letters | beam.Map(lambda batch: batch.select(["rule", "position", "message"]))
        kept.keep({"letters": told, "ledger": ledger}, folder)


def test_each_row_is_a_message_with_its_id(place: Place, tmp_path: Path) -> None:
    _run(place.sink(place.uri), [_numbers(0, 1500), _numbers(1500, 10)], tmp_path)
    found = place.read(1510)
    assert sorted(json.loads(body)["n"] for body, _ in found) == list(range(1510))
    assert {told[ID_HEADER] for _, told in found} == {f"in.jsonl/{n}" for n in range(1510)}
    assert kept.read(tmp_path, "letters") == []
    stage = place.sink.__name__
    assert kept.read(tmp_path, "ledger") == kept.texts([(("rows", stage, "written", ""), 1510)])


def test_only_rows_that_are_too_large_become_dead_letters(place: Place, tmp_path: Path) -> None:
    words = [b"x" * 10, b"y" * 17_000_000, b"", b"z" * 9_000_000]
    batch = raw_batch(pa.array(words), "in.jsonl", pa.array(range(len(words)), pa.int64()))
    _run(place.sink(f"{place.uri}?value=raw"), [batch], tmp_path)
    assert sorted(body for body, _ in place.read(3)) == [b"", words[0], words[3]]
    (letter,) = kept.read(tmp_path, "letters")
    assert "'position': 1" in letter
    assert f"'rule': '{place.uri.partition(':')[0]}.refused'" in letter
    assert "is too large" in letter


def _write(sink: Any) -> None:
    delivery: Delivery = sink._open()
    delivery.send(records_of(_numbers(0, 1), RecordPlan()))
    delivery.settle()


def _killed(place_uri: str, sink: str, batch: pa.RecordBatch, sent: Any) -> None:
    delivery: Delivery = getattr(bp, sink)(place_uri)._open()
    delivery.send(records_of(batch, RecordPlan("raw")))
    sent.set()
    time.sleep(120)  # until it is killed: the bundle never ends


def test_a_writer_killed_in_a_bundle_writes_it_again_under_the_same_ids(place: Place) -> None:
    batch = _numbers(0, 300)
    context = multiprocessing.get_context("spawn")
    sent = context.Event()
    writer = context.Process(target=_killed, args=(place.uri, place.sink.__name__, batch, sent))
    writer.start()
    assert writer.pid is not None
    assert sent.wait(100)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    delivery = place.sink(place.uri)._open()
    delivery.send(records_of(batch, RecordPlan("raw")))
    assert delivery.settle() == {}
    delivery.close()
    found = place.read(300)
    assert {told[ID_HEADER]: body for body, told in found} == {f"in.jsonl/{n}": b"%d" % n for n in range(300)}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pubsub://test-project/no-such-topic", "there is no topic 'projects/test-project/topics/no-such-topic'"),
        ("amqp://{amqp}/no-such-queue", "there is no queue 'no-such-queue' in virtual host '/'"),
        ("amqp://{amqp}/no-such?exchange=true", "there is no exchange 'no-such'"),
        ("amqp://{amqp}/no-such-vhost/q", "no virtual host 'no-such-vhost', or we may not use it"),
        ("amqp://shop@{amqp}/closed/q?password=env:RIGHT", "no virtual host 'closed', or we may not use it"),
        ("amqp://stranger@{amqp}/sales/amq.direct?password=env:RIGHT&exchange=true", "user 'stranger' may not use ex"),
        ("amqp://shop@{amqp}/sales/q?password=env:WRONG", "refuses the credentials of user 'shop'"),
        ("mqtt://shop@{mqtt}/t?password=env:WRONG", "refuses the credentials of user 'shop'"),
        ("mqtt://{mqtt}/t", "refuses the credentials of who comes without a user"),
    ],
)
def test_what_a_person_has_to_mend_is_said_at_once(
    pubsub: PubSub, rabbitmq: RabbitMQ, mosquitto: Mqtt, monkeypatch: pytest.MonkeyPatch, uri: str, message: str
) -> None:
    monkeypatch.setenv("WRONG", "hunter2")
    monkeypatch.setenv("RIGHT", PASSWORD)
    uri = uri.format(amqp=rabbitmq.address, mqtt=f"localhost:{mosquitto.port_with_users}")
    with pytest.raises(UsageError, match=message) as caught:
        _write(SINKS[uri.partition(":")[0]](uri))
    assert "hunter2" not in str(caught.value)


def test_a_topic_that_we_may_not_write_to_is_said(mosquitto: Mqtt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHT", PASSWORD)
    uri = f"mqtt://stranger@localhost:{mosquitto.port_with_users}/t?password=env:RIGHT"
    delivery = bp.WriteToMqtt(uri)._open()
    delivery.send(records_of(_numbers(0, 1), RecordPlan()))
    with pytest.raises(UsageError, match="user 'stranger' may not use topic 't'"):
        delivery.settle()
    delivery.close()


def test_a_message_bound_for_nowhere_becomes_a_dead_letter(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    queue = rabbitmq.queue()
    with rabbitmq.channel() as channel:
        channel.queue_bind(queue, "amq.direct", "a")
    batch = pa.record_batch({"key": ["a", "b"]})
    _run(bp.WriteToAmqp(rabbitmq.uri("amq.direct", "exchange=true&key=key")), [batch], tmp_path)
    assert [json.loads(body) for body, _ in rabbitmq.read(queue)] == [{"key": "a"}]
    (letter,) = kept.read(tmp_path, "letters")
    assert "nothing is bound to exchange 'amq.direct' for the key 'b'" in letter


@pytest.mark.parametrize("uri", ["pubsub://test-project/topic", "amqp://localhost:1/q", "mqtt://localhost:1/t"])
def test_a_service_that_is_down_fails_the_bundle_in_time(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "localhost:1")
    sink = SINKS[uri.partition(":")[0]](uri, retries=Retries(attempts=3, first_wait=0.01))
    with pytest.raises((grpc.RpcError, AMQPConnectionError, ConnectionError)):
        _write(sink)
