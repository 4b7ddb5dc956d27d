"""Kafka's source and sink, with a broker that the test process has started."""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timezone
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

import beam_pipelines as bp
from tests.conformance import kept
from tests.conformance.case import Case, Outputs
from tests.servers.kafka import Cluster

BROKER = "CONFORMANCE_KAFKA"
"""Environment variable of the process that submits: where the broker is."""

_MESSAGES = [(b"k%d" % n, b'{"id":%d}' % n, [("n", b"%d" % n)], 1_711_800_000_000 + n) for n in range(1, 7)]


def _read(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    cluster = Cluster(os.environ[BROKER])
    topic = cluster.topic(2, name=f"read-{uuid.uuid4()}")
    cluster.produce(topic, _MESSAGES[:4], partition=0)
    cluster.produce(topic, [*_MESSAGES[4:], (b"gone", None)], partition=1)
    read = pipeline | "ReadFromKafka" >> bp.ReadFromKafka(cluster.uri(topic, "bounded=true"))
    told = ["__payload", "__partition", "__position", "__key", "__attributes", "__publish_time"]
    return {
        "good": read.good | "ReadFromKafka: told" >> beam.Map(lambda batch: batch.select(told)),
        "ledger": read.ledger,
    }


def _read_expected(folder: Path) -> dict[str, list[str]]:
    rows = [
        {
            "__payload": value,
            "__partition": number // 4,
            "__position": number % 4,
            "__key": key,
            "__attributes": headers,
            "__publish_time": datetime.fromtimestamp(millis / 1000, timezone.utc),
        }
        for number, (key, value, headers, millis) in enumerate(_MESSAGES)
    ]
    counts = [(("", "ReadFromKafka", "read", ""), 7), (("", "ReadFromKafka", "filtered", "tombstone"), 1)]
    return {"good": kept.texts(rows), "ledger": kept.texts(counts)}


def _write(pipeline: beam.Pipeline, folder: Path) -> Outputs:
    cluster = Cluster(os.environ[BROKER])
    topic = cluster.topic(2, name=f"written-{uuid.uuid4()}", max_message_bytes=5_000)
    (folder / "topic").write_text(f"{cluster.address} {topic}")
    columns = {"id": [1, 2, 3], "name": ["a", "x" * 6_000, None]}
    batch = pa.record_batch(columns)
    made = pipeline | "WriteToKafka: input" >> beam.Create([batch]).with_output_types(pa.RecordBatch)
    uri = cluster.uri(topic, "key=id&compression=none")
    written = made | "WriteToKafka" >> bp.WriteToKafka(uri, batch.schema)
    rules = written.dead_letters | "WriteToKafka: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
    return {"letters": rules, "ledger": written.ledger}


def _write_found(folder: Path) -> dict[str, list[str]]:
    address, topic = (folder / "topic").read_text().split()
    # A bundle that was tried again may have written a record twice, under one id.
    records = {(repr(message.headers()), message.key(), message.value()) for message in Cluster(address).read(topic)}
    kept_ones = {name: kept.read(folder, f"WriteToKafka.{name}") for name in ("letters", "ledger")}
    return {"records": sorted(repr((key, value)) for _, key, value in records), **kept_ones}


def _write_expected(folder: Path) -> dict[str, list[str]]:
    counts = [
        (("rows", "WriteToKafka", "written", ""), 2),
        (("rows", "WriteToKafka", "dead_lettered", "kafka.refused"), 1),
    ]
    return {
        "records": kept.texts([(b"1", b'{"id":1,"name":"a"}'), (b"3", b'{"id":3,"name":null}')]),
        "letters": kept.texts([{"rule": "kafka.refused"}]),
        "ledger": kept.texts(counts),
    }


CASES = (
    Case("ReadFromKafka", ("ReadFromKafka",), _read, _read_expected, needs="servers"),
    Case("WriteToKafka", ("WriteToKafka",), _write, _write_expected, _write_found, needs="servers"),
)
