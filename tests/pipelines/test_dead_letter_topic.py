"""Dead letters on a topic are those in the files, in the same envelope."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from tests.servers.kafka import Cluster

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


def test_a_topic_gets_the_letters_that_the_files_hold(
    broker: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.topic()
    assert main(_argv(tmp_path, broker.uri(topic))) == ExitCode.OK
    capsys.readouterr()
    assert main(["dead-letters", "cat", str(tmp_path / "lake")]) == ExitCode.OK
    in_files = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(in_files) == 3
    for letter in in_files:
        del letter["letter"]
    messages = broker.read(topic)
    on_topic = [json.loads(message.value()) for message in messages]
    assert sorted(on_topic, key=json.dumps) == sorted(in_files, key=json.dumps)
    assert len({dict(message.headers())["beam-pipelines-id"] for message in messages}) == 3


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("kafak://localhost:1/t", "--dead_letter_topic: "),
        ("kafka://localhost:1/t?value=json", "--dead_letter_topic: ?value: records of dead letters have their own"),
    ],
)
def test_a_topic_that_is_none_is_refused(
    topic: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_argv(tmp_path, topic)) == ExitCode.USAGE
    assert message in capsys.readouterr().err
