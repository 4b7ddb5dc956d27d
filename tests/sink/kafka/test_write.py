"""WriteToKafka: what is in the topic afterwards, what isn't and why, and that nothing is left under way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from confluent_kafka import KafkaException

from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.errors import UsageError
from beam_pipelines.kafka.connection import Connection
from beam_pipelines.retries import Retries
from beam_pipelines.sink.kafka.delivery import Delivery
from beam_pipelines.sink.kafka.write import KafkaWriteOptions, WriteToKafka
from beam_pipelines.sink.records import ID_HEADER, RecordPlan, records_of
from beam_pipelines.uris import parse_uri, read_options
from tests.conformance import kept
from tests.servers.kafka import Kafka


def _numbers(first: int, rows: int) -> pa.RecordBatch:
    payloads = pa.array([b"%d" % n for n in range(first, first + rows)])
    batch = raw_batch(payloads, "in.jsonl", pa.array(range(first, first + rows), pa.int64()))
    return batch.append_column("n", pa.array(range(first, first + rows)))


def _run(uri: str, batches: list[pa.RecordBatch], folder: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch)
        letters, ledger = made | WriteToKafka(uri)
        told = letters | beam.Map(lambda batch: batch.select(["payload", "rule", "position", "message"]))
        kept.keep({"letters": told, "ledger": ledger}, folder)


def test_each_row_is_a_record_with_its_id(broker: Kafka, tmp_path: Path) -> None:
    topic = broker.topic(partitions=3)
    _run(broker.uri(topic, "key=n"), [_numbers(0, 3000), _numbers(3000, 10)], tmp_path)
    found = broker.read(topic)
    assert sorted(json.loads(message.value())["n"] for message in found) == list(range(3010))
    for message in found:
        number = json.loads(message.value())["n"]
        assert message.key() == b"%d" % number
        assert message.headers() == [(ID_HEADER, f"in.jsonl/{number}".encode())]
    assert len({message.partition() for message in found}) == 3
    assert kept.read(tmp_path, "letters") == []
    assert kept.read(tmp_path, "ledger") == kept.texts([(("rows", "WriteToKafka", "written", ""), 3010)])


def test_only_the_rows_that_are_too_long_become_dead_letters(broker: Kafka, tmp_path: Path) -> None:
    topic = broker.topic(max_message_bytes=20_000)
    words = [b"x" * size for size in (10, 30_000, 15_000, 10, 19_000, 25_000, 0)] + [b"y" * 900] * 200
    batch = raw_batch(pa.array(words), "in.jsonl", pa.array(range(len(words)), pa.int64()))
    _run(broker.uri(topic, "value=raw&compression=none"), [batch], tmp_path)
    assert sorted(message.value() for message in broker.read(topic)) == sorted(
        word for place, word in enumerate(words) if place not in (1, 5)
    )
    letters = kept.read(tmp_path, "letters")
    assert len(letters) == 2
    for letter, place in zip(letters, (5, 1), strict=True):
        assert f"'position': {place}" in letter
        assert "'rule': 'kafka.refused'" in letter
        assert repr(words[place]) in letter
        assert "too large" in letter.lower()
    counts = [
        (("rows", "WriteToKafka", "written", ""), 205),
        (("rows", "WriteToKafka", "dead_lettered", "kafka.refused"), 2),
    ]
    assert kept.read(tmp_path, "ledger") == kept.texts(counts)


def test_panes_are_counted_by_their_rows(broker: Kafka, tmp_path: Path) -> None:
    topic = broker.topic()
    _run(broker.uri(topic), [pa.record_batch({"n": [1, 2], "__rows": [5, 6]})], tmp_path)
    assert [json.loads(message.value()) for message in broker.read(topic)] == [{"n": 1}, {"n": 2}]
    assert kept.read(tmp_path, "ledger") == kept.texts([(("rows", "WriteToKafka", "in_panes", ""), 11)])


def _delivery(uri: str, retries: Retries) -> Delivery:
    parsed = parse_uri(uri)
    options = read_options(parsed, KafkaWriteOptions)
    return Delivery(Connection.of(parsed, options), parsed.path, "none", retries)


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("{plain}/no-such-topic", UsageError, "there is no topic 'no-such-topic'"),
        ("{tls}/orders?tls=true", UsageError, "no secure connection"),
        ("shop@{sasl}/orders?sasl=plain&password=env:WRONG", UsageError, "refuses the credentials of user 'shop'"),
        ("localhost:1/orders", KafkaException, "_TRANSPORT"),
    ],
)
def test_what_can_not_be_written_fails_the_bundle_in_time(
    broker: Kafka, monkeypatch: pytest.MonkeyPatch, place: str, error: type[Exception], message: str
) -> None:
    monkeypatch.setenv("WRONG", "hunter2")
    ports = {"plain": "PLAINTEXT", "tls": "TLS", "sasl": "SASL"}
    uri = "kafka://" + place.format_map({name: f"localhost:{broker.ports[port]}" for name, port in ports.items()})
    began = time.monotonic()
    with pytest.raises(error, match=message) as caught:
        _delivery(uri, Retries(give_up_after=3))
    assert "hunter2" not in str(caught.value)
    assert time.monotonic() - began < 20


def test_more_than_fits_under_way_waits_for_the_broker(broker: Kafka) -> None:
    topic = broker.topic()
    delivery = _delivery(broker.uri(topic), Retries())
    payloads = pa.array([b"x" * 100_000] * 500)
    batch = raw_batch(payloads, "big", pa.array(range(500), pa.int64()))
    try:
        for _ in range(3):  # 150 MB through 64 MiB
            delivery.send(records_of(batch, RecordPlan("raw")))
        assert delivery.settle() == {}
    finally:
        delivery.close()
    assert len(broker.read(topic)) == 1500
