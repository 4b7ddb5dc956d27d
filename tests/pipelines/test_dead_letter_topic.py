"""Dead letters on a topic are those in the files, in the same envelope."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink.records import ID_HEADER as ID
from tests.servers.kafka import Cluster
from tests.servers.kinesis import Kinesis
from tests.servers.mosquitto import Mqtt
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ

_Read = Callable[[], list[tuple[bytes, str]]]
"""What is on a topic: bodies, and the ids by which readers tell what was written twice."""

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: numbers
version: 1.0.0
status: active
schema:
  - name: numbers
    properties:
      - {name: n, logicalType: integer, required: true}
"""


def _argv(folder: Path, topic: str) -> list[str]:
    (folder / "numbers.jsonl").write_text('{"n": 1}\n{"n": "x"}\n{"n": null}\n\xff\n')
    (folder / "numbers.odcs.yaml").write_text(CONTRACT)
    options = {
        "input": folder / "numbers.jsonl",
        "contract": folder / "numbers.odcs.yaml",
        "output": folder / "lake",
        "run_id": "r",
        "dead_letter_topic": topic,
    }
    return ["run", "event_analytics", *(f"--{name}={value}" for name, value in options.items())]


def _on_kafka(request: pytest.FixtureRequest) -> tuple[str, _Read]:
    broker: Cluster = request.getfixturevalue("broker")
    topic = broker.topic()
    return broker.uri(topic), lambda: [(each.value(), dict(each.headers())[ID].decode()) for each in broker.read(topic)]


def _on_amqp(request: pytest.FixtureRequest) -> tuple[str, _Read]:
    rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
    queue = rabbitmq.queue()
    return rabbitmq.uri(queue), lambda: [(body, headers[ID]) for body, headers in rabbitmq.read(queue)]


def _on_pubsub(request: pytest.FixtureRequest) -> tuple[str, _Read]:
    pubsub: PubSub = request.getfixturevalue("pubsub")
    topic = pubsub.topic()
    return pubsub.uri(topic), lambda: [(each.data, each.attributes[ID]) for each in pubsub.read(topic)]


def _on_mqtt(request: pytest.FixtureRequest) -> tuple[str, _Read]:
    mosquitto: Mqtt = request.getfixturevalue("mosquitto")
    topic = mosquitto.topic()
    mosquitto.subscribe(topic, topic)
    return mosquitto.uri(topic), lambda: [(body, dict(told)[ID]) for body, told in mosquitto.read(topic, 3)]


def _on_kinesis(request: pytest.FixtureRequest) -> tuple[str, _Read]:
    kinesis: Kinesis = request.getfixturevalue("kinesis")
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in kinesis.variables.items():
        monkeypatch.setenv(name, value)
    stream = kinesis.stream()
    return kinesis.uri(stream), lambda: [(each["Data"], each["PartitionKey"]) for each in kinesis.read(stream)]


@pytest.mark.parametrize("place", [_on_kafka, _on_amqp, _on_pubsub, _on_mqtt, _on_kinesis])
def test_a_topic_gets_the_letters_that_the_files_hold(
    place: Callable[[pytest.FixtureRequest], tuple[str, _Read]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    uri, read = place(request)
    assert main(_argv(tmp_path, uri)) == ExitCode.OK
    capsys.readouterr()
    assert main(["dead-letters", "cat", str(tmp_path / "lake")]) == ExitCode.OK
    in_files = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(in_files) == 3
    for letter in in_files:
        del letter["letter"]
    messages = read()
    on_topic = [json.loads(body) for body, _ in messages]
    assert sorted(on_topic, key=json.dumps) == sorted(in_files, key=json.dumps)
    assert len({told for _, told in messages}) == 3


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("kafak://localhost:1/t", "--dead_letter_topic: "),
        ("redis://localhost:1/t", "--dead_letter_topic: 'redis://…': there is nothing for this scheme"),
        ("kafka://localhost:1/t?value=json", "--dead_letter_topic: ?value: records of dead letters have their own"),
    ],
)
def test_a_topic_that_is_none_is_refused(
    topic: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_argv(tmp_path, topic)) == ExitCode.USAGE
    assert message in capsys.readouterr().err
