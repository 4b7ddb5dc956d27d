"""The examples of embedding, all in one pipeline; each public transform has one, and outputs have types."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints import typehints
from apache_beam.typehints.row_type import RowTypeConstraint

import beam_pipelines as bp
from beam_pipelines import dead_letters
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.sink.lake import WrittenRecord
from beam_pipelines.validate.quality import QualityResult
from examples.embedding import changing, combining, judging, reading, scoring, writing
from examples.embedding.orders import ORDERS, SAMPLE
from tests.score.models import write_linear
from tests.servers.kafka import Kafka
from tests.servers.kinesis import Kinesis
from tests.servers.mosquitto import Mqtt
from tests.servers.postgresql import PostgreSQL
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

MODULES = (reading, judging, changing, combining, scoring, writing)
PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"

PUBLIC = {
    name: found
    for name in bp.PUBLIC
    if inspect.isclass(found := getattr(bp, name)) and issubclass(found, (beam.PTransform, beam.CombineFn))
}

NINE = datetime(2024, 3, 1, 9, tzinfo=timezone.utc)


def _examples(module: ModuleType) -> dict[str, str]:
    """The source of each example of a module, by its name."""
    source = inspect.getsource(module)
    parts = re.split(r"^@beam\.ptransform_fn\n", source, flags=re.MULTILINE)[1:]
    return {part[4 : part.index("(")]: part.strip() for part in parts}


def _lines(example: str) -> list[str]:
    return [line.strip() for line in example.splitlines() if re.search(r"  # [123]$", line)]


def page() -> str:
    """The page that shows each transform in the first example that is about it."""
    everything = {name: (module, text) for module in MODULES for name, text in _examples(module).items()}
    parts = []
    for transform in sorted(PUBLIC):
        about = {
            name: found
            for name, found in everything.items()
            if any(f"{transform}(" in line for line in _lines(found[1]))
        }
        # The one that the transform is the point of has it in its second line.
        name = next(
            (name for name, found in about.items() if f"{transform}(" in _lines(found[1])[1]), next(iter(about))
        )
        module, text = about[name]
        file = f"{module.__name__.replace('.', '/')}.py"
        said = re.search(r'"""(.*?)"""', text, re.DOTALL)
        assert said is not None
        code = "\n".join(_lines(text))
        parts.append(f"### {transform}\n\n{said[1]} [`{name}`](../{file})\n\n```python\n{code}\n```\n")
    return "\n".join(parts)


def test_every_public_transform_has_an_example_on_the_page() -> None:
    _, _, shown = PAGE.read_text().partition("## One for each\n\n")
    assert shown == page(), "write what page() returns below 'One for each'"


def test_each_example_takes_three_lines() -> None:
    examples = [text for module in MODULES for text in _examples(module).values()]
    assert len(examples) > 20
    for text in examples:
        assert re.findall(r"  # (\d)$", text, re.MULTILINE) == ["1", "2", "3"], text


class _Servers(NamedTuple):
    broker: Kafka
    kinesis: Kinesis
    pubsub: PubSub
    rabbitmq: RabbitMQ
    mosquitto: Mqtt
    redis: Redis
    postgresql: PostgreSQL


def _build(pipeline: beam.Pipeline, folder: Path, servers: _Servers) -> Iterator[tuple[str, Any, list[Any]]]:
    """Examples with what must come of them, worked out by hand."""
    broker, kinesis, pubsub, rabbitmq, mosquitto, redis, postgresql = servers
    topics = [broker.topic(1), broker.topic(1)]
    (folder / "published").write_text(topics[1])
    lines = [{**each, "at": each["at"].isoformat()} for each in SAMPLE]
    broker.produce(topics[0], [(b"", json.dumps(line).encode(), [], 0) for line in lines], partition=0)
    streams = [kinesis.stream(), kinesis.stream()]
    kinesis.put(streams[0], [json.dumps(line).encode() for line in lines])
    (folder / "orders.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    letters = pa.Table.from_pylist(
        [{"transform": "t", "rule": "r", "message": "m", "failures": [], "payload": json.dumps(lines[1]).encode(),
          "record_format": "jsonl"}], dead_letters.SCHEMA
    )  # fmt: skip
    ds.write_dataset(letters, folder / "letters", format="parquet")
    card = write_linear(folder, 2.0)
    lake = str(folder / "lake")

    orders = pipeline | "Orders" >> beam.Create(SAMPLE)
    files = str(folder / "orders.jsonl")
    amounts = [(1, 40.0), (2, 5.0), (3, 60.0)]
    ids = [1, 2, 3]

    yield "any file", pipeline | reading.read_any_file(files), [json.dumps(line) for line in lines]
    yield "files", pipeline | reading.read_orders(files), amounts
    yield "letters", pipeline | reading.try_letters_again(f"{folder}/letters/*.parquet"), [(2, "FR")]
    yield "topic", pipeline | reading.read_topic(broker.uri(topics[0], "bounded=true")), amounts
    messages = [json.dumps(line).encode() for line in lines]
    subscription, queue, sensors = pubsub.topic(), rabbitmq.queue(), mosquitto.topic()
    mosquitto.subscribe(sensors, sensors)
    pubsub.publish(subscription, messages)
    rabbitmq.publish(queue, messages)
    mosquitto.publish(sensors, messages)
    uri = pubsub.uri(subscription, "bounded=true&quiet=0.2")
    yield "subscription", pipeline | reading.read_subscription(uri), amounts
    yield "queue", pipeline | reading.read_queue(rabbitmq.uri(queue, "bounded=true")), amounts
    uri = mosquitto.uri(sensors, f"bounded=true&quiet=0.5&client={sensors}")
    yield "sensors", pipeline | reading.read_sensors(uri), amounts

    yield "stream", pipeline | reading.read_stream(kinesis.uri(streams[0], "bounded=true")), amounts
    table = postgresql.table("id bigint, at timestamptz, country text, amount float8, customer text")
    postgresql.do(
        f"INSERT INTO {table} SELECT id, at, country, amount, customer FROM json_populate_recordset("
        f"NULL::{table}, '{json.dumps(lines)}')"
    )
    yield "table read", pipeline | reading.read_table(postgresql.uri(table)), amounts

    yield "watch", pipeline | reading.watch_orders(f"watch://{files}?bounded=true&settled=0"), amounts
    yield "replay", pipeline | reading.replay_orders(files), [(1, 9), (2, 9), (3, 10)]

    refused = [(1, "good"), ("minimum", "amount"), (3, "good")]
    yield "validate rows", orders | judging.validate_them(), refused
    yield "validate", orders | judging.validate_in_batches(), [2, 3]
    yield "quality", orders | judging.judge_the_whole(), [("nullValues", 3, False)]
    yield "mask", orders | judging.hide_names(), ["**n", "**b", "**n"]

    yield "filter", orders | changing.keep_large(), [1, 3]
    yield "derive", orders | changing.add_tax(), [(1, 20.0), (2, 2.5), (3, 30.0)]
    countries = [{"order_id": 1, "country": "de"}, {"order_id": 2, "country": "fr"}, {"order_id": 3, "country": "de"}]
    yield "select", orders | changing.rename(), countries
    yield "explode", orders | changing.one_row_for_each_item(), [{"id": each, "items": "cup"} for each in (2, 3, 3)]
    buyers = [{"id": each["id"], "buyer_name": each["customer"], "buyer_city": "Ulm"} for each in SAMPLE]
    yield "flatten", orders | changing.flatten_buyers(), buyers
    long = [
        {"country": each["country"], "part": part, "sold": sold}
        for each in SAMPLE
        for part, sold in (("morning", each["amount"]), ("evening", 1.0))
    ]
    yield "unpivot", orders | changing.columns_to_rows(), long
    wide = [{"country": "DE", "h09": 2.0, "h10": 2.0}, {"country": "FR", "h09": 2.0, "h10": None}]
    yield "pivot", orders | changing.rows_to_columns(), wide
    yield "deduplicate", orders | changing.each_order_once(), ids

    yield "table", orders | combining.name_countries(), [(1, "Germany"), (2, "France"), (3, "Germany")]
    names = postgresql.table("code text, name text", [("DE", "Germany"), ("FR", "France")])
    asked = orders | combining.ask_for_countries(postgresql.uri(names))
    yield "asked", asked, [(1, "Germany"), (2, "France"), (3, "Germany")]
    yield "join", orders | combining.join_two_large_inputs(), [(1, 1), (2, None), (3, 1)]
    yield "hours", orders | combining.sellings_per_hour(), [(9, "DE", 40.0), (9, "FR", 5.0), (10, "DE", 60.0)]
    yield "funnel", orders | combining.from_small_to_large(), [(2, 1, 0.5)]
    yield "combine", orders | combining.median_of_each_country(), [("DE", 50.0), ("FR", 5.0)]

    yield "on time", orders | combining.split_late(), ids

    yield "score", orders | scoring.score_them(card), [(id, 2 * x, "linear") for id, x in amounts]
    yield "outliers", orders | scoring.find_outliers(), [(id, 100.0) for id in ids]

    yield "lake", orders | writing.keep_in_lake(lake), [True]
    yield "refused", orders | writing.keep_refused(str(folder / "vault")), [3]
    stored = orders | writing.store(postgresql.uri("stored", "create=true"), str(folder / "staging"))
    yield "stored", stored, []
    yield "publish", orders | writing.publish(broker.uri(topics[1], "key=id")), []
    yield "serve", orders | writing.serve(redis.uri(9, "key=id&order=at")), []
    yield "stream out", orders | writing.stream_out(kinesis.uri(streams[1], "key=id")), []
    yield "to pubsub", orders | writing.publish_to_pubsub(pubsub.uri(pubsub.topic())), []
    yield "to queue", orders | writing.publish_to_queue(rabbitmq.uri(rabbitmq.queue())), []
    yield "to mqtt", orders | writing.publish_to_mqtt(mosquitto.uri(mosquitto.topic())), []


class _Types(PipelineVisitor):
    """Gathers what our transforms yield, by transform, and the hints of resources."""

    def __init__(self) -> None:
        self.found: dict[str, list[Any]] = {}
        self.hints: dict[str, dict[str, bytes]] = {}

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        name = type(transform_node.transform).__name__
        if name in PUBLIC:
            types = [output.element_type for output in transform_node.outputs.values()]
            self.found.setdefault(name, []).extend(types)
            self.hints[name] = transform_node.resource_hints

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.enter_composite_transform(transform_node)


@pytest.fixture(scope="module")
def types(
    tmp_path_factory: pytest.TempPathFactory,
    broker: Kafka,
    kinesis: Kinesis,
    pubsub: PubSub,
    rabbitmq: RabbitMQ,
    mosquitto: Mqtt,
    redis: Redis,
    postgresql: PostgreSQL,
) -> _Types:
    """Run all examples; each says itself if it is wrong."""
    visitor = _Types()
    folder = tmp_path_factory.mktemp("embedding")
    servers = _Servers(broker, kinesis, pubsub, rabbitmq, mosquitto, redis, postgresql)
    with pytest.MonkeyPatch.context() as patch, beam.Pipeline("FnApiRunner") as pipeline:
        for name, value in kinesis.variables.items():
            patch.setenv(name, value)
        for name, output, expected in _build(pipeline, folder, servers):
            assert_that(output, equal_to(expected), label=name)
        pipeline.visit(visitor)
    lake = ds.dataset(folder / "lake" / "rows").to_table().select(["id", "at"]).to_pylist()
    assert sorted(row["id"] for row in lake) == [1, 2, 3]
    assert min(row["at"] for row in lake) == NINE
    assert postgresql.ask("SELECT id FROM stored ORDER BY id") == [(1,), (2,), (3,)]
    published = broker.read((folder / "published").read_text())
    assert sorted(json.loads(message.value() or b"")["id"] for message in published) == [1, 2, 3]
    return visitor


def test_every_example_comes_to_what_was_worked_out_by_hand(types: _Types) -> None:
    transforms = {name for name, found in PUBLIC.items() if issubclass(found, beam.PTransform)}
    assert types.found.keys() == transforms


_OURS = [
    pa.RecordBatch,
    QualityResult,
    typehints.normalize(LedgerEntry),
    typehints.normalize(WrittenRecord),
    str,  # a manifest
    typehints.normalize(dict[str, Any]),
]


def test_every_output_of_every_transform_has_its_type(types: _Types) -> None:
    untyped = {
        name: kinds
        for name, kinds in types.found.items()
        if not kinds or not all(typehints.normalize(kind) in _OURS for kind in kinds)
    }
    assert not untyped


@pytest.mark.parametrize("schema", [ORDERS.schema, pa.schema([("a", pa.int64())])])
def test_rows_can_have_a_beam_schema(schema: pa.Schema) -> None:
    batches = beam.Pipeline("FnApiRunner") | beam.Create([schema.empty_table().to_batches()]).with_output_types(
        pa.RecordBatch
    )
    rows = batches | bp.BatchesToRows(schema, "row")
    assert isinstance(rows.element_type, RowTypeConstraint)
    assert [name for name, _ in rows.element_type._fields] == schema.names


def test_the_hints_of_scoring_are_those_of_its_step_alone(types: _Types) -> None:
    assert types.hints["ScoreBatches"] == {"beam:resources:min_ram_bytes:v1": b"2000000000"}
    assert not types.hints["FilterBatches"]
