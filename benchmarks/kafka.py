"""Kafka → decode → validate → 10 s windows → Kafka: messages for each CPU second, side by side in one run.

    python -m benchmarks.kafka [--messages 200000] [--contenders ours,row_wise,quixstreams]

1 KB JSON messages in four partitions; every contender reads what is there, counts and sums by page and window and
writes one message for each, which are compared. A local broker is started; its CPU isn't counted, that of each
contender is, over its process and all it started, with imports.

- `ours`: the transforms of this package on Prism.
- `row_wise`: the same pipeline as Beam's guides write it, a message an element, on the same runner. It is fed by our
  source taken apart, since Beam's own Kafka needs Java and docker, and on Prism it crashed: so its reading is cheaper
  than the idiomatic one's.
- `quixstreams`: in an environment of its own (`uv venv`), as its guide writes tumbling windows. It waits 10 s for
  more, and closes a window only when a later message of its partition comes: its last windows are missing.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import beam_pipelines as bp
from beam_pipelines import ledger
from scripts import cache, prism
from scripts.kafka import Broker

START = datetime(2024, 3, 30, tzinfo=timezone.utc)
PARTITIONS = 4
PER_SECOND = 1000  # messages to a second of event time
CONTRACT = bp.Contract(
    "clicks",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", pa.timestamp("us", "UTC"), required=True, event_time=True),
        bp.Field("page", pa.string(), required=True),
        bp.Field("cents", pa.int64(), required=True, minimum=0),
        bp.Field("text", pa.string()),
    ),
)
_SECONDS = 900

QUIXSTREAMS = """
import sys
import tempfile
from datetime import datetime, timedelta
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum

broker, source, target = sys.argv[1:4]
app = Application(
    broker_address=broker, consumer_group="bench-" + target, auto_offset_reset="earliest", loglevel="ERROR",
    state_dir=tempfile.mkdtemp(),
)

def taken(value, *_):
    return int(datetime.fromisoformat(value["at"]).timestamp() * 1000)

def good(v):
    cents = v.get("cents")
    return isinstance(v.get("id"), int) and isinstance(v.get("page"), str) and isinstance(cents, int) and cents >= 0

frame = app.dataframe(app.topic(source, value_deserializer="json", timestamp_extractor=taken))
frame = frame[frame.apply(good)].group_by("page")
frame = frame.tumbling_window(timedelta(seconds=10), grace_ms=5000).agg(n=Count(), cents=Sum("cents")).final()
frame.to_topic(app.topic(target, value_serializer="json"))
app.run(timeout=10)
"""


def ours(pipeline: beam.Pipeline, source: str, target: str) -> None:
    """This package's transforms."""
    read = pipeline | bp.ReadFromKafka(f"{source}?bounded=true", CONTRACT)
    valid = read.good | bp.DecodeBatches(CONTRACT) | bp.ValidateBatches(CONTRACT)
    windows = bp.AggregateBatches(
        CONTRACT.schema,
        "count(*) as n, sum(cents) as cents",
        group_by=["page"],
        window="fixed:10s",
        event_time="at",
    )
    (valid.good | windows).panes | bp.WriteToKafka(f"{target}?key=page", output=ledger.AGGREGATES)


def row_wise(pipeline: beam.Pipeline, source: str, target: str) -> None:
    """A message an element."""
    read = pipeline | bp.ReadFromKafka(f"{source}?bounded=true")
    (
        read.good
        | "Messages" >> beam.FlatMap(lambda batch: batch.column("__payload").to_pylist())
        | "Parse" >> beam.FlatMap(_parsed)
        | "Times" >> beam.Map(lambda click: TimestampedValue(click, click["at"].timestamp()))
        | "Windows" >> beam.WindowInto(FixedWindows(10))
        | "Pages" >> beam.Map(lambda click: (click["page"], click["cents"]))
        | "Totals" >> beam.CombinePerKey(_CountAndSum())
        | "Texts" >> beam.Map(_as_text)
        | "Write" >> beam.ParDo(_Produce(*target.removeprefix("kafka://").split("/")))
    )


def _parsed(payload: bytes) -> Iterator[dict[str, Any]]:
    try:
        click = json.loads(payload)
        click["at"] = datetime.fromisoformat(click["at"])
    except (ValueError, KeyError, TypeError):
        return
    if isinstance(click.get("page"), str) and isinstance(click.get("cents"), int) and click["cents"] >= 0:
        yield click


def _as_text(total: tuple[str, tuple[int, int]], window: Any = beam.DoFn.WindowParam) -> bytes:
    page, (n, cents) = total
    start = window.start.to_utc_datetime().isoformat()
    return json.dumps({"window_start": start, "page": page, "n": n, "cents": cents}).encode()


class _CountAndSum(beam.CombineFn):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, accumulator: tuple[int, int], cents: int) -> tuple[int, int]:
        return accumulator[0] + 1, accumulator[1] + cents

    def merge_accumulators(self, accumulators: Iterable[tuple[int, int]]) -> tuple[int, int]:
        found = list(accumulators)
        return sum(n for n, _ in found), sum(cents for _, cents in found)

    def extract_output(self, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator


class _Produce(beam.DoFn):
    def __init__(self, broker: str, topic: str) -> None:
        self._broker, self._topic = broker, topic

    def setup(self) -> None:
        self._producer = Producer({"bootstrap.servers": self._broker, "enable.idempotence": True})

    def process(self, value: bytes) -> None:
        self._producer.produce(self._topic, value)

    def finish_bundle(self) -> None:
        self._producer.flush()


def _write(broker: Broker, topic: str, messages: int) -> None:
    dice = random.Random(1)  # noqa: S311  data, not a secret
    producer = Producer({"bootstrap.servers": broker.address, "queue.buffering.max.messages": 0, "linger.ms": 50})
    filler = "x" * 880
    for number in range(messages):
        at = START + timedelta(seconds=number / PER_SECOND)
        click = {"id": number, "at": at.isoformat(), "page": f"p{dice.randrange(100)}", "cents": dice.randrange(1000)}
        producer.produce(topic, json.dumps({**click, "text": filler}).encode(), partition=number % PARTITIONS)
        producer.poll(0)
    producer.flush()


def _totals(broker: Broker, topic: str) -> tuple[int, int, int]:
    """What a contender wrote: messages, and the sums of what they say."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "totals", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[dict[str, Any]] = []
    at_end = False
    while not at_end:
        for message in consumer.consume(10_000, 1):
            at_end = at_end or message.error() is not None
            if message.error() is None:
                found.append(json.loads(message.value()))
    consumer.close()
    return len(found), sum(each["n"] for each in found), sum(each["cents"] for each in found)


def _command(contender: str, broker: Broker, target: str, messages: int) -> list[str]:
    if contender == "quixstreams":
        place = cache.folder("quixstreams")
        python = place / "bin" / "python"
        if not python.exists():
            uv = str(Path(sys.executable).with_name("uv"))
            subprocess.run([uv, "venv", "--quiet", "--clear", str(place)], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), "quixstreams"], check=True)
        return [str(python), "-c", QUIXSTREAMS, broker.address, "in", target, str(messages)]
    return [sys.executable, "-m", "benchmarks.kafka", "--run", contender, broker.address, target]


def main() -> None:
    """Run the contenders one after the other and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--contenders", default="ours,row_wise,quixstreams")
    parser.add_argument("--run", nargs=3, metavar=("CONTENDER", "BROKER", "TOPIC"), help="one contender, in here")
    asked = parser.parse_args()
    if asked.run:
        contender, address, target = asked.run
        from benchmarks import kafka as here  # what is in __main__ doesn't travel

        flags = ["--runner=PrismRunner", f"--prism_location={prism.binary()}"]
        with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
            {"ours": here.ours, "row_wise": here.row_wise}[contender](
                pipeline, f"kafka://{address}/in", f"kafka://{address}/{target}"
            )
        return
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as folder:
        broker = Broker(Path(folder) / "kafka")
        broker.start()
        try:
            _compare(broker, asked.contenders.split(","), asked.messages)
        finally:
            broker.stop()


def _compare(broker: Broker, contenders: list[str], messages: int) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    topics = [NewTopic("in", PARTITIONS, 1), *(NewTopic(contender, 1, 1) for contender in contenders)]
    for made in admin.create_topics(topics).values():
        made.result(60)
    _write(broker, "in", messages)
    print(f"{messages:,} messages\n\n| contender | seconds | CPU s | messages / CPU s | windows, rows, cents |")
    print("| --- " * 5 + "|")
    for contender in contenders:
        command = _command(contender, broker, contender, messages)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        if done.returncode:
            print(f"| {contender} | failed: {done.stderr.decode(errors='replace')[-300:]!r} | | | |", flush=True)
            continue
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"| {contender} | {seconds:.1f} | {cpu:.1f} | {messages / cpu:,.0f} | {_totals(broker, contender)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
