"""Messages whose schemas are in a registry: Avro of several versions, JSON, and what can't be read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
import pytest

import beam_pipelines as bp
from beam_pipelines.columnar.provenance import FAILURES, raw_batch
from beam_pipelines.decode.formats import decode
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.kafka.registered import Registry
from tests.conformance import kept
from tests.servers.kafka import Kafka
from tests.servers.schema_registry import schema_registry

_FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}]},
]
_OLD = {"type": "record", "name": "Order", "fields": _FIELDS}
_NEW = {"type": "record", "name": "Order", "fields": [*_FIELDS, {"name": "note", "type": "string"}]}
SCHEMAS = {
    1: ("AVRO", json.dumps(_OLD)),
    2: ("AVRO", json.dumps(_NEW)),
    3: ("JSON", '{"type": "object"}'),
    4: ("XSD", "<schema/>"),
}
CONTRACT = bp.Contract(
    "orders",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", pa.timestamp("us", "UTC"), event_time=True),
        bp.Field("price", pa.decimal128(10, 2)),
        bp.Field("note", pa.string()),
    ),
)
AT = datetime(2024, 3, 30, 10, tzinfo=timezone.utc)


def _avro(number: int, row: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(SCHEMAS[number][1])), row)
    return b"\0" + number.to_bytes(4) + out.getvalue()


def _order(id: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "at": AT, "price": Decimal("1.50"), **more}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with schema_registry(SCHEMAS) as running:
        yield running


def _decoded(url: str, payloads: list[bytes | None], **more: Any) -> tuple[pa.RecordBatch, list[dict[str, Any]]]:
    raw = raw_batch(pa.array(payloads, pa.binary()), "t", pa.array(range(len(payloads))), {b"record.format": b"jsonl"})
    batch = Registry(url, **more).decode(raw)
    return batch, decode(batch, CONTRACT).select(["id", "at", "price", "note"]).to_pylist()


def test_each_message_is_read_by_the_schema_it_was_written_with(url: str) -> None:
    payloads = [_avro(1, _order(1)), _avro(2, _order(2, note="x")), _avro(1, _order(3, price=None)), None]
    batch, rows = _decoded(url, payloads)
    assert FAILURES not in batch.schema.names
    assert batch.column("__payload").to_pylist() == payloads
    assert rows == [
        _order(1, note=None),
        _order(2, note="x"),
        {"id": 3, "at": AT, "price": None, "note": None},
        dict.fromkeys(("id", "at", "price", "note")),
    ]


def test_json_is_what_follows_the_id(url: str) -> None:
    batch, rows = _decoded(url, [b"\0\0\0\0\x03" + b'{"id": 1, "note": "x"}', None])
    assert batch.column("__payload").to_pylist() == [b'{"id": 1, "note": "x"}', None]
    assert rows[0] == {"id": 1, "at": None, "price": None, "note": "x"}


def test_what_can_not_be_read_says_why_and_keeps_its_bytes(url: str) -> None:
    cut = _avro(2, _order(2, note="long enough"))[:-4]
    payloads = [_avro(1, _order(1)), b"\0\0\0\0\x63x", b"{}", b"", cut, b"\0\0\0\0\x04x"]
    batch, _ = _decoded(url, payloads)
    assert batch.column("__payload").to_pylist() == payloads
    rules = [failures and failures[0]["rule"] for failures in batch.column(FAILURES).to_pylist()]
    no_id = "registry.no_schema_id"
    unread = "registry.unread_schema"
    assert rules == [None, "registry.unknown_schema", no_id, no_id, "avro.malformed", unread]


def test_a_registry_that_starts_is_asked_again_and_one_that_refuses_is_told() -> None:
    payloads: list[bytes | None] = [_avro(1, _order(1))]
    with schema_registry(SCHEMAS, failures=2) as url:
        assert _decoded(url, payloads)[1][0]["id"] == 1
    with schema_registry(SCHEMAS, "me", "hunter2") as url:
        with pytest.raises(UsageError, match="the registry refuses us") as caught:
            _decoded(url, payloads)
        assert "hunter2" not in str(caught.value)


def test_a_topic_of_avro_is_validated_like_any_other(
    broker: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "hunter2")
    topic = broker.topic()
    good = [_avro(1, _order(1)), _avro(2, _order(2, note="x"))]
    broker.produce(topic, [(None, value) for value in [good[0], b"\0\0\0\0\x63x", None, good[1]]])
    with schema_registry(SCHEMAS, "me", "hunter2") as url, beam.Pipeline("FnApiRunner") as pipeline:
        options = f"bounded=true&registry={url}&registry_user=me&registry_password=env:REGISTRY_PASSWORD"
        read = pipeline | bp.ReadFromKafka(broker.uri(topic, options), CONTRACT)
        valid = read.good | bp.DecodeBatches(CONTRACT) | bp.ValidateBatches(CONTRACT)
        rows = valid.good | beam.Map(lambda batch: batch.select(["id", "note"]))
        rules = read.dead_letters | "Rules" >> beam.Map(lambda batch: batch.select(["rule", "payload", "position"]))
        kept.keep({"rows": rows, "letters": rules, "ledger": read.ledger}, tmp_path)
    assert kept.read(tmp_path, "rows") == kept.texts([{"id": 1, "note": None}, {"id": 2, "note": "x"}])
    letter = {"rule": "registry.unknown_schema", "payload": b"\0\0\0\0\x63x", "position": 1}
    assert kept.read(tmp_path, "letters") == kept.texts([letter])
    counts = {"read": 4, "filtered": 1, "dead_lettered": 1}
    ledger = {outcome: rows for (_, _, outcome, _), rows in (eval(text) for text in kept.read(tmp_path, "ledger"))}
    assert ledger == counts
