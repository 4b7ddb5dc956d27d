"""What comes from people and their clocks: each has one answer, which docs/kafka.md tells."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import apache_beam as beam
import pytest
from confluent_kafka import Consumer

import beam_pipelines as bp
from beam_pipelines.ingest.kafka.read import KafkaReadOptions, address_of
from beam_pipelines.ingest.streams import open_logs
from beam_pipelines.ingest.streams.event_times import PayloadTimes
from beam_pipelines.ingest.streams.reader import LogReader, LogSource
from beam_pipelines.ingest.streams.watermarks import MICROS, WatermarkPolicy
from beam_pipelines.uris import parse_uri, read_options
from tests.conformance import kept
from tests.conformance.jobs import ROOT
from tests.ingest.kafka.test_log import opened
from tests.ingest.kafka.windows_job import CONTRACT
from tests.servers.kafka import Kafka

AHEAD = 30  # seconds


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    open_logs.close_all()


def _click(at: datetime) -> bytes:
    return json.dumps({"id": 1, "at": at.isoformat(), "page": "a", "cents": 1}).encode()


def test_a_clock_in_the_future_moves_the_watermark_no_further_than_the_bound(broker: Kafka) -> None:
    topic = broker.topic()
    now = datetime.now(timezone.utc)
    times = [now, now + timedelta(days=365 * 70), now - timedelta(seconds=1)]
    broker.produce(topic, [(None, _click(at)) for at in times])
    uri = parse_uri(broker.uri(topic))
    address = address_of(uri, read_options(uri, KafkaReadOptions))
    source = LogSource(address, PayloadTimes(CONTRACT, "jsonl"), WatermarkPolicy(out_of_orderness=5, ahead=AHEAD))
    reader = LogReader(source, None)
    until = time.monotonic() + 60
    rows = 0
    while rows < len(times) and time.monotonic() < until:
        rows += reader.get_current().num_rows if reader.advance() else 0
    assert rows == len(times)  # the one of 70 years ahead is a row like the others
    bound = time.time_ns() // 1000 + AHEAD * MICROS
    assert now.timestamp() * MICROS < reader.get_watermark().micros <= bound


def test_an_empty_message_is_a_dead_letter_of_the_contract_and_one_of_10_mb_is_read(
    broker: Kafka, tmp_path: Path
) -> None:
    topic = broker.topic(max_message_bytes=16 << 20)
    at = datetime(2024, 3, 30, 10, tzinfo=timezone.utc).isoformat()
    long = json.dumps({"id": 2, "at": at, "page": "x" * (10 << 20), "cents": 1}).encode()
    broker.produce(topic, [(None, b""), (None, long), (None, b"   ")])
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | bp.ReadFromKafka(broker.uri(topic, "bounded=true"), CONTRACT)
        valid = read.good | bp.DecodeBatches(CONTRACT) | bp.ValidateBatches(CONTRACT)
        kept.keep(
            {
                "pages": valid.good | "Pages" >> beam.FlatMap(lambda batch: map(len, batch.column("page").to_pylist())),
                "letters": valid.dead_letters
                | beam.FlatMap(lambda batch: [(row["position"], row["payload"]) for row in batch.to_pylist()]),
            },
            tmp_path,
        )
    (page,) = kept.read(tmp_path, "pages")
    assert page.startswith(f"({10 << 20}, ")
    letters = kept.read(tmp_path, "letters")
    assert [repr(each) in letter for each, letter in zip([(0, b""), (2, b"   ")], letters, strict=True)] == [True, True]


def test_a_group_that_others_are_members_of_takes_no_commits_and_reading_goes_on(broker: Kafka) -> None:
    topic = broker.topic()
    broker.produce(topic, [(None, b"%d" % n) for n in range(10)])
    other = Consumer({"bootstrap.servers": broker.address, "group.id": "shared", "enable.auto.commit": False})
    other.subscribe([topic])
    until = time.monotonic() + 60
    while not other.assignment() and time.monotonic() < until:
        other.poll(0.1)
    log = opened(broker.uri(topic, "group=shared"))
    try:
        log.partitions()
        log.commit({"0": 4})
        assert broker.committed(topic, "shared") == {}
        other.close()
        log.commit({"0": 5})
        assert broker.committed(topic, "shared") == {0: 5}
    finally:
        log.close()


def test_each_answer_of_the_docs_names_a_test_that_there_is() -> None:
    page = (ROOT / "docs/kafka.md").read_text()
    table = page.partition("## What happens when")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+\.py): (\w+)`", table)
    assert len(named) >= 12
    kafkas = [*(ROOT / "tests/ingest/kafka").glob("test_*.py"), *(ROOT / "tests/sink/kafka").glob("test_*.py")]
    there = {(path.name, name) for path in kafkas for name in re.findall(r"def test_(\w+)", path.read_text())}
    assert set(named) - there == set()
