"""Every public transform applied by Beam YAML, all in one pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import yaml
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.yaml import yaml_provider as beams
from apache_beam.yaml.yaml_transform import YamlTransform

from beam_pipelines import dead_letters
from beam_pipelines.yaml_provider import transforms
from beam_pipelines.yaml_provider.stage import transforms as public
from tests.score.models import write_linear
from tests.servers.kafka import Kafka
from tests.servers.kinesis import Kinesis
from tests.servers.mosquitto import Mqtt
from tests.servers.postgresql import PostgreSQL
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: urn:example:points
name: points
version: 1.0.0
status: active
schema:
  - name: points
    logicalType: object
    properties:
      - {name: id, logicalType: integer, logicalTypeOptions: {format: i64}, required: true, primaryKey: true,
         primaryKeyPosition: 1, unique: true}
      - {name: who, logicalType: string}
      - {name: x, logicalType: number, physicalType: double}
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
"""

POINTS: list[dict[str, Any]] = [
    {"id": id, "who": who, "x": x, "at": f"2024-03-01T0{hour}:00:00Z"}
    for id, who, x, hour in ((1, "ann", 1.0, 1), (2, "bob", 2.0, 1), (3, "ann", 3.0, 2), (3, "ann", 3.0, 2))
]

Step = tuple[str, Any, dict[str, Any]]
"""Type, input, config."""

Shown = Callable[[Any], Any]


QUEUES = {
    "pubsub": ("ReadBatchesFromPubSub", "WriteBatchesToPubSub"),
    "amqp": ("ReadFromAmqp", "WriteToAmqp"),
    "mqtt": ("ReadFromMqtt", "WriteToMqtt"),
}
"""Queues whose messages are written on as they are: what reads, and what writes."""


def _ids(row: Any) -> Any:
    return row.id


def _steps(
    folder: Path,
    source: str,
    topic: str,
    card: str,
    streams: tuple[str, str, str],
    queues: dict[str, str],
    tables: tuple[str, str],
) -> dict[str, Step]:
    """The pipeline, by the names of its steps."""
    contract = str(folder / "points.odcs.yaml")
    files = {"patterns": str(folder / "points.jsonl")}
    handled = {"error_handling": {"output": "bad"}}
    return {
        "read": ("ReadFiles", None, files),
        "decoded": ("DecodeBatches", "read", {"contract": contract}),
        "valid": ("ValidateBatches", "decoded", {}),
        "distinct": ("DeduplicateBatches", "valid", {"shards": 1}),
        "quality": ("CheckQuality", "distinct", {"shards": 1}),
        "filtered": ("FilterBatches", "distinct", {"where": "x > 1"}),
        "derived": ("DeriveColumns", "distinct", {"columns": {"y": "x * 2"}}),
        "selected": ("SelectColumns", "derived", {"columns": "id, y AS z"}),
        "unpivoted": ("UnpivotBatches", "derived", {"columns": ["x", "y"]}),
        "pivoted": (
            "PivotBatches",
            "unpivoted",
            {"keys": ["id"], "names": "name", "values": "value", "columns": ["x", "y"], "shards": 1},
        ),
        "flat": ("FlattenStructs", "derived", {}),
        "joined": ("JoinBatches", {"left": "distinct", "right": "selected"}, {"on": "id", "shards": 1}),
        "masked": ("MaskBatches", "distinct", {}),
        "funnel": (
            "MeasureFunnel",
            "distinct",
            {"steps": {"a": "x < 2", "b": "x > 2"}, "user": "who", "within": "2h"},
        ),
        "split": ("SplitLateRows", "distinct", {"window": "fixed:1h"}),
        "outliers": ("DetectAnomalies", "distinct", {"column": "x", "window": "1d", "method": "iqr", "shards": 1}),
        "scored": ("ScoreBatches", "distinct", {"model": card, **handled}),
        "replayed": ("ReplayFiles", None, {**files, "contract": contract}),
        "replayed_points": ("DecodeBatches", "replayed", {"contract": contract}),
        "watched": ("WatchFiles", None, {"uri": f"watch://{folder}/points.jsonl?bounded=true&settled=0"}),
        "watched_points": ("DecodeBatches", "watched", {"contract": contract}),
        "read_topic": ("ReadBatchesFromKafka", None, {"uri": source, "contract": contract}),
        "topic_points": ("DecodeBatches", "read_topic", {"contract": contract}),
        "read_stream": ("ReadBatchesFromKinesis", None, {"uri": streams[0], "contract": contract}),
        "stream_points": ("DecodeBatches", "read_stream", {"contract": contract}),
        "streamed": ("WriteBatchesToKinesis", "distinct", {"uri": streams[1]}),
        "served": ("WriteToRedis", "distinct", {"uri": streams[2]}),
        **{f"read_{name}": (reads, None, {"uri": queues[name]}) for name, (reads, _) in QUEUES.items()},
        **{
            f"publish_{name}": (writes, f"read_{name}", {"uri": f"{queues[f'{name} to']}?value=raw"})
            for name, (_, writes) in QUEUES.items()
        },
        "letters": ("ReadDeadLetters", None, {"files": [str(folder / "letters" / "*.parquet")]}),
        "letter_points": ("DecodeBatches", "letters", {"contract": contract}),
        "made": ("Create", None, {"elements": [{"id": 7, "x": 1.5}, {"id": 8, "x": -1.0}]}),
        "made_batches": ("RowsToBatches", "made", {}),
        "positive": ("FilterBatches", "made_batches", {"where": "x > 0"}),
        "checked": ("ValidateRows", "made", {"contract": str(folder / "small.odcs.yaml"), **handled}),
        "written": ("WriteToLake", "distinct", {"output": str(folder / "lake"), "folder": "rows", "run_id": "a"}),
        "refused": ("WriteDeadLetters", "scored.bad", {"output": str(folder / "lake"), "run_id": "a"}),
        "published": ("WriteBatchesToKafka", "distinct", {"uri": topic}),
        "done": (
            "FinalizeRun",
            {"files": ["written", "refused"], "quality": "quality"},
            {"output": str(folder / "lake")},
        ),
        "stored": (
            "WriteToTable",
            "selected",
            {"uri": tables[0], "staging": str(folder / "staging"), "commit_id": "a"},
        ),
        "read_table": ("ReadFromTable", None, {"uri": tables[1]}),
        "table_points": ("DecodeBatches", "read_table", {"contract": str(folder / "small.odcs.yaml")}),
        "enriched": (
            "EnrichBatches",
            "distinct",
            {"uri": tables[1], "answers": str(folder / "small.odcs.yaml"), "on": "id", "take": "x as known"},
        ),
        "exploding": ("ExplodeArrays", "carts", {"column": "items"}),
        "carts": ("DecodeBatches", "read_carts", {"contract": str(folder / "carts.odcs.yaml")}),
        "read_carts": ("ReadFiles", None, {"patterns": str(folder / "carts.jsonl")}),
        "table": ("JoinTable", {"rows": "distinct", "table": "selected"}, {"on": "id", "take": "z", "how": "required"}),
        "hourly": ("AggregateBatches", "masked", {"aggregates": "count(*) AS n", "window": "fixed:1h"}),
    }


_EXPECTED: dict[str, tuple[str, Shown, list[Any]]] = {
    "filtered": ("filtered", _ids, [2, 3]),
    "selected": ("selected", lambda row: (row.id, row.z), [(1, 2.0), (2, 4.0), (3, 6.0)]),
    "pivoted": ("pivoted", lambda row: (row.id, row.x, row.y), [(1, 1.0, 2.0), (2, 2.0, 4.0), (3, 3.0, 6.0)]),
    "flat": ("flat", lambda row: row.y, [2.0, 4.0, 6.0]),
    "joined": ("joined", lambda row: (row.id, row.z), [(1, 2.0), (2, 4.0), (3, 6.0)]),
    "table": ("table", lambda row: (row.id, row.z), [(1, 2.0), (2, 4.0), (3, 6.0)]),
    "funnel": ("funnel", lambda row: (row.a, row.b), [(1, 1)]),
    "outliers": ("outliers", lambda row: (row.id, row.anomaly), [(1, False), (2, False), (3, False)]),
    "scored": ("scored.good", lambda row: (row.id, row.y), [(1, 2.0), (2, 4.0), (3, 6.0)]),
    "split": ("split.on_time", _ids, [1, 2, 3]),
    "replayed": ("replayed_points", _ids, [1, 2, 3, 3]),
    "watched": ("watched_points", _ids, [1, 2, 3, 3]),
    "topic": ("topic_points", _ids, [1, 2, 3]),
    "stream": ("stream_points", _ids, [1, 2, 3]),
    "letters": ("letter_points", _ids, [2]),
    "positive": ("positive", _ids, [7]),
    "exploding": ("exploding", lambda row: row.items, ["a", "b"]),
    "from table": ("table_points", lambda row: (row.id, row.x), [(1, 0.5), (2, None)]),
    "enriched": ("enriched", lambda row: (row.id, row.known), [(1, 0.5), (2, None), (3, None)]),
    "hourly": ("hourly", lambda row: row.n, [2, 1]),
}
"""By a name: an output of batches, what of its rows is looked at, and what that must be."""


def _spec(steps: dict[str, Step]) -> str:
    parts: list[dict[str, Any]] = []
    for name, (kind, source, config) in steps.items():
        parts.append({"type": kind, "name": name, "config": config} | ({"input": source} if source else {}))
    for name, (output, _, _) in _EXPECTED.items():
        parts.append({"type": "BatchesToRows", "name": f"rows of {name}", "input": output})
    outputs = {name: f"rows of {name}" for name in _EXPECTED}
    outputs |= {"quality": "quality", "checked": "checked.good", "wrong": "checked.bad"}
    return yaml.safe_dump({"type": "composite", "transforms": parts, "output": outputs})


def _prepare(folder: Path) -> None:
    (folder / "points.odcs.yaml").write_text(CONTRACT)
    small = CONTRACT[: CONTRACT.index("      - {name: id")] + (
        "      - {name: id, logicalType: integer, logicalTypeOptions: {format: i64}}\n"
        "      - {name: x, logicalType: number, physicalType: double, logicalTypeOptions: {minimum: 0}}\n"
    )
    (folder / "small.odcs.yaml").write_text(small)
    carts = small[: small.index("      - {name: x")] + (
        "      - {name: items, logicalType: array, items: {name: item, logicalType: string}}\n"
    )
    (folder / "carts.odcs.yaml").write_text(carts)
    (folder / "points.jsonl").write_text("".join(json.dumps(point) + "\n" for point in POINTS))
    (folder / "carts.jsonl").write_text('{"id": 1, "items": ["a", "b"]}\n')
    letter = {"transform": "t", "rule": "r", "message": "m", "failures": [], "record_format": "jsonl"}
    letters = pa.Table.from_pylist([{**letter, "payload": json.dumps(POINTS[1]).encode()}], dead_letters.SCHEMA)
    ds.write_dataset(letters, folder / "letters", format="parquet")


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    broker: Kafka,
    kinesis: Kinesis,
    pubsub: PubSub,
    rabbitmq: RabbitMQ,
    mosquitto: Mqtt,
    redis: Redis,
    postgresql: PostgreSQL,
) -> tuple[Path, str, str]:
    """Where the pipeline has run, and the topic and the stream that it wrote."""
    folder = tmp_path_factory.mktemp("every")
    _prepare(folder)
    source, sink = broker.topic(1), broker.topic(1)
    broker.produce(source, [(b"", json.dumps(point).encode(), [], 0) for point in POINTS[:3]], partition=0)
    streams = (kinesis.stream(), kinesis.stream())
    kinesis.put(streams[0], [json.dumps(point).encode() for point in POINTS[:3]])
    uris = (kinesis.uri(streams[0], "bounded=true"), kinesis.uri(streams[1], "key=id"), redis.uri(8, "key=id&order=at"))
    topics = (broker.uri(source, "bounded=true"), broker.uri(sink, "key=id"))
    pubsub.topic("points-in-yaml")
    pubsub.topic("points-on")
    rabbitmq.queue("points-in-yaml")
    rabbitmq.queue("points-on")
    for client, name in (("yaml-in", "points-in-yaml"), ("yaml-on", "points-on")):
        mosquitto.subscribe(client, name)
    for server in (pubsub, rabbitmq, mosquitto):
        server.publish("points-in-yaml", [b"{}", b"[]"])
    queues = {
        "pubsub": pubsub.uri("points-in-yaml", "bounded=true&quiet=0.2"),
        "pubsub to": pubsub.uri("points-on"),
        "amqp": rabbitmq.uri("points-in-yaml", "bounded=true"),
        "amqp to": rabbitmq.uri("points-on"),
        "mqtt": mosquitto.uri("points-in-yaml", "bounded=true&quiet=0.5&client=yaml-in"),
        "mqtt to": mosquitto.uri("points-on"),
    }
    known = postgresql.uri(postgresql.table("id bigint, x float8", [(1, 0.5), (2, None)]))
    tables = (postgresql.uri("yaml_points", "create=true"), known)
    steps = _steps(folder, *topics, write_linear(folder, 2.0), uris, queues, tables)
    assert {kind for kind, _, _ in steps.values()} | {"BatchesToRows"} == {*public(), "Create"}
    providers = {name: [beams.InlineProvider({name: getattr(transforms, name)})] for name in public()}
    with pytest.MonkeyPatch.context() as patch, beam.Pipeline("FnApiRunner") as pipeline:
        for name, value in kinesis.variables.items():
            patch.setenv(name, value)
        found = pipeline | YamlTransform(_spec(steps), providers=providers)
        for name, (_, shown, expected) in _EXPECTED.items():
            assert_that(found[name] | f"show {name}" >> beam.Map(shown), equal_to(expected), label=name)
        passed = found["quality"] | "show quality" >> beam.Map(lambda result: (result.metric, result.passed))
        assert_that(passed, equal_to([("duplicateValues", True)]), label="quality")
        assert_that(found["checked"] | "show checked" >> beam.Map(_ids), equal_to([7]), label="checked")
        rules = found["wrong"] | "show wrong" >> beam.Map(lambda letters: letters.column("rule").to_pylist())
        assert_that(rules, equal_to([["minimum"]]), label="wrong")
    return folder, sink, streams[1]


def test_every_transform_does_in_yaml_what_it_does_in_python(
    folder: tuple[Path, str, str], broker: Kafka, kinesis: Kinesis, postgresql: PostgreSQL
) -> None:
    place, topic, stream = folder
    assert postgresql.ask("SELECT id FROM yaml_points ORDER BY id") == [(1,), (2,), (3,)]
    assert sorted(ds.dataset(place / "lake" / "rows").to_table().column("id").to_pylist()) == [1, 2, 3]
    assert sorted(json.loads(message.value() or b"")["id"] for message in broker.read(topic)) == [1, 2, 3]
    assert sorted(json.loads(record["Data"])["id"] for record in kinesis.read(stream)) == [1, 2, 3]


def test_messages_of_queues_are_written_on(
    folder: tuple[Path, str, str], pubsub: PubSub, rabbitmq: RabbitMQ, mosquitto: Mqtt
) -> None:
    assert sorted(message.data for message in pubsub.read("points-on")) == [b"[]", b"{}"]
    assert [body for body, _ in rabbitmq.read("points-on")] == [b"{}", b"[]"]
    assert [body for body, _ in mosquitto.read("yaml-on", 2)] == [b"{}", b"[]"]


def test_the_run_balances_with_the_quality_of_a_side_branch(folder: tuple[Path, str, str]) -> None:
    balance = json.loads((folder[0] / "lake" / "_runs" / "a" / "balance.json").read_text())
    assert balance["balanced"]
    assert (balance["read"], balance["written"], balance["duplicate"]) == (4, 3, 1)
    assert balance["quality"]["passed"]
