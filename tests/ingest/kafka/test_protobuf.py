"""Protobuf of a schema registry: messages of any shape as columns, and what is none says so and keeps its bytes.

Schemas are descriptors made here, as protoc would make them; messages are made by Google's own library.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, json_format, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

import beam_pipelines as bp
from beam_pipelines.columnar.provenance import FAILURES, RECORD, raw_batch
from beam_pipelines.decode.formats import decode
from beam_pipelines.ingest.kafka.protobuf_messages import _init_pool, read_indexes
from beam_pipelines.ingest.kafka.registered import Registry
from beam_pipelines.ingest.protobuf_types import MessageColumns
from tests.conformance import kept
from tests.servers.kafka import Kafka
from tests.servers.schema_registry import Protobuf, schema_registry

AT = datetime(2024, 3, 30, 10, 0, 0, 123456, timezone.utc)

CUSTOMER = {
    "name": "shop/customer.proto",
    "package": "shop",
    "syntax": "proto3",
    "messageType": [
        {
            "name": "Customer",
            "field": [
                {"name": "name", "number": 1, "label": "LABEL_OPTIONAL", "type": "TYPE_STRING"},
                {"name": "city", "number": 2, "label": "LABEL_OPTIONAL", "type": "TYPE_STRING"},
            ],
        }
    ],
}


def _field(name: str, number: int, kind: str, **more: Any) -> dict[str, Any]:
    message = kind.startswith(".")
    told = {"type": "TYPE_MESSAGE", "typeName": kind} if message else {"type": f"TYPE_{kind}"}
    return {"name": name, "number": number, "label": "LABEL_OPTIONAL", **told, **more}


REPEATED = {"label": "LABEL_REPEATED"}
ORDER = {
    "name": "order.proto",
    "package": "shop",
    "syntax": "proto3",
    "dependency": ["shop/customer.proto", "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"],
    "enumType": [{"name": "Status", "value": [{"name": "NEW", "number": 0}, {"name": "PAID", "number": 1}]}],
    "messageType": [
        {
            "name": "Order",
            "oneofDecl": [{"name": "payment"}, {"name": "_note"}],
            "field": [
                _field("id", 1, "INT64"),
                _field("at", 2, ".google.protobuf.Timestamp"),
                _field("note", 3, "STRING", proto3Optional=True, oneofIndex=1),
                _field("customer", 4, ".shop.Customer"),
                _field("lines", 5, ".shop.Order.Line", **REPEATED),
                _field("status", 6, "ENUM", typeName=".shop.Status"),
                _field("points", 7, ".shop.Order.PointsEntry", **REPEATED),
                _field("price", 8, ".google.protobuf.DoubleValue"),
                _field("card", 9, "STRING", oneofIndex=0),
                _field("cash", 10, "BOOL", oneofIndex=0),
                _field("tags", 11, "STRING", **REPEATED),
                _field("big", 12, "UINT64"),
                _field("seal", 13, "BYTES"),
            ],
            "nestedType": [
                {"name": "Line", "field": [_field("sku", 1, "STRING"), _field("n", 2, "SINT32")]},
                {
                    "name": "PointsEntry",
                    "options": {"mapEntry": True},
                    "field": [_field("key", 1, "STRING"), _field("value", 2, "INT32")],
                },
            ],
        },
        {"name": "Visit", "field": [_field("id", 1, "INT64"), _field("note", 2, "STRING")]},
        {"name": "Node", "field": [_field("id", 1, "INT64"), _field("next", 2, ".shop.Node")]},
        {"name": "Nothing"},
    ],
}
OLD = {
    "name": "old.proto",
    "syntax": "proto2",
    "messageType": [
        {
            "name": "Old",
            "field": [_field("id", 1, "INT64"), _field("note", 2, "STRING"), _field("n", 3, "INT32", defaultValue="7")],
        }
    ],
}
CONTRACT = bp.Contract(
    "orders",
    (
        bp.Field("id", pa.int64(), required=True),
        bp.Field("at", pa.timestamp("us", "UTC"), event_time=True),
        bp.Field("note", pa.string()),
    ),
)


def _file(told: dict[str, Any]) -> descriptor_pb2.FileDescriptorProto:
    return json_format.ParseDict(told, descriptor_pb2.FileDescriptorProto())


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    _init_pool(pool)
    for told in (CUSTOMER, ORDER, OLD):
        pool.Add(_file(told))
    return pool


POOL = _pool()
Order, Line, Visit, Node, Old = (
    GetMessageClass(POOL.FindMessageTypeByName(name))
    for name in ("shop.Order", "shop.Order.Line", "shop.Visit", "shop.Node", "Old")
)
SCHEMAS: dict[int, tuple[str, str] | Protobuf] = {
    7: Protobuf(_file(ORDER).SerializeToString(), (("shop/customer.proto", "customers", 3),)),
    8: Protobuf(_file(OLD).SerializeToString()),
    9: Protobuf(_file(ORDER).SerializeToString()),  # refers to nothing, though it needs it
    10: Protobuf(b"\xff\xff"),
}
SUBJECTS = {("customers", 3): Protobuf(_file(CUSTOMER).SerializeToString())}
FIRST = b"\0"


def _message(number: int, indexes: bytes, message: Any) -> bytes:
    return b"\0" + number.to_bytes(4) + indexes + message.SerializeToString()


def _order(id: int, **more: Any) -> Any:
    stamp = timestamp_pb2.Timestamp(seconds=int(AT.timestamp()), nanos=123_456_789)
    order = Order(id=id, **more)
    order.at.seconds, order.at.nanos = stamp.seconds, stamp.nanos
    return order


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with schema_registry(SCHEMAS, subjects=SUBJECTS) as running:
        yield running


def _read(url: str, payloads: list[bytes | None]) -> pa.RecordBatch:
    raw = raw_batch(pa.array(payloads, pa.binary()), "t", pa.array(range(len(payloads))), {b"record.format": b"jsonl"})
    return Registry(url).decode(raw)


def test_messages_are_columns_whatever_is_in_them(url: str) -> None:
    full = _order(
        1,
        note="",
        customer={"name": "Ada"},
        lines=[Line(sku="a", n=-2), Line()],
        status=1,
        points={"x": 3},
        price={"value": 1.5},
        card="visa",
        tags=["b", "a"],
        big=2**64 - 1,
        seal=b"\0",
    )
    bare = Order(id=2, status=9)
    batch = _read(url, [_message(7, FIRST, full), None, _message(7, FIRST, bare)])
    assert FAILURES not in batch.schema.names
    first, tombstone, second = batch.column(RECORD).to_pylist()
    assert first == {
        "id": 1,
        "at": AT,
        "note": "",
        "customer": {"name": "Ada", "city": ""},
        "lines": [{"sku": "a", "n": -2}, {"sku": "", "n": 0}],
        "status": "PAID",
        "points": [("x", 3)],
        "price": 1.5,
        "card": "visa",
        "cash": None,
        "tags": ["b", "a"],
        "big": 2**64 - 1,
        "seal": b"\0",
    }
    assert set(tombstone.values()) == {None}
    absent = dict.fromkeys(("at", "note", "customer", "price", "card", "cash"))
    assert second == {
        "id": 2,
        "status": "9",
        **absent,
        "lines": [],
        "points": [],
        "tags": [],
        "big": 0,
        "seal": b"",
    }


def test_the_contract_takes_them_as_it_takes_other_columns(url: str) -> None:
    visit = Visit(id=3, note="second message of the file")
    old = Old(id=4)
    payloads = [
        _message(7, FIRST, _order(1)),
        _message(7, b"\x02\x02", visit),
        _message(8, FIRST, old),
        _message(7, b"\x04\x00\x00", Line(sku="inside the first")),
    ]
    batch = _read(url, payloads)
    assert decode(batch, CONTRACT).select(["id", "at", "note"]).to_pylist() == [
        {"id": 1, "at": AT, "note": None},
        {"id": 3, "at": None, "note": "second message of the file"},
        {"id": 4, "at": None, "note": None},
        {"id": None, "at": None, "note": None},
    ]
    assert batch.column(RECORD).to_pylist()[3]["sku"] == "inside the first"


def test_what_is_no_message_says_why_and_keeps_its_bytes(url: str) -> None:
    good = _message(7, FIRST, _order(1, tags=["long enough to be cut"]))
    bad_text = b"\0\0\0\0\x08\0" + b"\x12\x02\xff\xfe"  # proto2 doesn't look at its strings
    bad_time = Order(id=5)
    bad_time.at.seconds = 2**62
    payloads = [
        good,
        good[:-3],
        b"\0\0\0\0\x07",
        b"\0\0\0\0\x07\x02",
        _message(7, b"\x02\x0e", Visit()),
        _message(7, b"\x02\x04", Node(id=1)),
        _message(7, b"\x02\x06", Visit()),
        bad_text,
        _message(7, FIRST, bad_time),
        _message(9, FIRST, _order(1)),
        _message(10, FIRST, _order(1)),
        _message(8, FIRST, Old(id=9)),
    ]
    batch = _read(url, payloads)
    assert batch.column("__payload").to_pylist() == payloads
    failures = [found and (found[0]["rule"], found[0]["message"]) for found in batch.column(FAILURES).to_pylist()]
    assert [found and found[0] for found in failures] == [
        None,
        *["protobuf.malformed"] * 8,
        *["registry.unread_schema"] * 2,
        None,
    ]
    assert "doesn't say which message of schema 7" in failures[2][1]
    assert "schema 7 has no message 7" in failures[4][1]
    assert "shop.Node refers to itself" in failures[5][1]
    assert "shop.Nothing has no fields" in failures[6][1]
    assert "shop/customer.proto" in failures[9][1]
    assert [row["id"] for row in decode(batch, CONTRACT).select(["id"]).to_pylist()][-1] == 9


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.binary(max_size=20))
def test_indexes_are_read_as_they_are_written(indexes: list[int], rest: bytes) -> None:
    written = bytes([2 * len(indexes), *(2 * index for index in indexes)])
    assert read_indexes(written + rest, 0) == (tuple(indexes), len(written))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_are_not(payload: bytes) -> None:
    found = read_indexes(payload, 0)
    assert found is None or 0 < found[1] <= len(payload)


def test_types_of_google_and_confluent_are_values() -> None:
    told = {
        "name": "known.proto",
        "syntax": "proto3",
        "dependency": [f"google/protobuf/{name}.proto" for name in ("duration", "struct", "any", "wrappers", "empty")]
        + ["confluent/types/decimal.proto"],
        "messageType": [
            {
                "name": "Known",
                "field": [
                    _field("took", 1, ".google.protobuf.Duration"),
                    _field("more", 2, ".google.protobuf.Struct"),
                    _field("any", 3, ".google.protobuf.Any"),
                    _field("sure", 4, ".google.protobuf.BoolValue", **REPEATED),
                    _field("price", 5, ".confluent.type.Decimal"),
                    _field("empty", 6, ".google.protobuf.Empty"),
                ],
            }
        ],
    }
    pool = DescriptorPool()
    _init_pool(pool)
    try:
        pool.Add(_file(told))
        descriptor = pool.FindMessageTypeByName("Known")
    except KeyError:  # the file of decimals has another name in another release
        raise AssertionError("confluent's types have moved") from None
    message = GetMessageClass(descriptor)()
    message.took.seconds, message.took.nanos = 1, 500_000_000
    message.more.update({"a": [1, None, "x"]})
    message.any.type_url, message.any.value = "t", b"v"
    message.sure.add(value=True)
    message.sure.add()
    message.price.value, message.price.scale = (-1234).to_bytes(2, "big", signed=True), 2
    message.empty.SetInParent()
    columns = {name: array.to_pylist() for name, array in MessageColumns(descriptor).arrays([message]).items()}
    assert columns == {
        "took": ["1.500s"],
        "more": ['{"a": [1.0, null, "x"]}'],
        "any": [{"type_url": "t", "value": b"v"}],
        "sure": [[True, False]],
        "price": ["-12.34"],
        "empty": [{}],
    }


def test_a_topic_of_protobuf_is_validated_like_any_other(broker: Kafka, url: str, tmp_path: Path) -> None:
    topic = broker.topic()
    late = _order(2, note="x")
    late.at.FromDatetime(AT + timedelta(hours=1))
    values = [_message(7, FIRST, _order(1)), b"\0\0\0\0\x07\0\xff", None, _message(7, FIRST, late), b"{}"]
    broker.produce(topic, [(None, value) for value in values])
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | bp.ReadFromKafka(broker.uri(topic, f"bounded=true&registry={url}"), CONTRACT)
        valid = read.good | bp.DecodeBatches(CONTRACT) | bp.ValidateBatches(CONTRACT)
        rows = valid.good | beam.Map(lambda batch: batch.select(["id", "note"]))
        rules = read.dead_letters | "Rules" >> beam.Map(lambda batch: batch.select(["rule", "payload"]))
        kept.keep({"rows": rows, "letters": rules}, tmp_path)
    assert kept.read(tmp_path, "rows") == kept.texts([{"id": 1, "note": None}, {"id": 2, "note": "x"}])
    letters = [
        {"rule": "protobuf.malformed", "payload": b"\0\0\0\0\x07\0\xff"},
        {"rule": "registry.no_schema_id", "payload": b"{}"},
    ]
    assert kept.read(tmp_path, "letters") == kept.texts(letters)
