"""Sources and sinks of queues whose messages are acknowledged, with servers that the test process has started."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

import beam_pipelines as bp
from beam_pipelines.pubsub.connection import EMULATOR
from tests.conformance import kept
from tests.conformance.case import Case, Outputs
from tests.servers.mosquitto import Topics
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import Queues

PUBSUB, RABBITMQ, MOSQUITTO = EMULATOR, "CONFORMANCE_RABBITMQ", "CONFORMANCE_MOSQUITTO"
"""Environment variables of the process that submits: where the servers are. Clients find Pub/Sub by its own."""

_MESSAGES = [b'{"id":%d}' % number for number in range(1, 7)]


def _pubsub(name: str) -> str:
    server = PubSub(os.environ[PUBSUB])
    server.topic(name)
    server.publish(name, _MESSAGES)
    return server.uri(name, "bounded=true&quiet=0.5")


def _rabbitmq(name: str) -> str:
    server = Queues(os.environ[RABBITMQ])
    server.queue(name)
    server.publish(name, _MESSAGES)
    return server.uri(name, "bounded=true")


def _mosquitto(name: str) -> str:
    server = Topics(os.environ[MOSQUITTO])
    server.subscribe(name, name)
    server.publish(name, _MESSAGES)
    return server.uri(name, f"bounded=true&quiet=1&client={name}")


def _reading(name: str, made: Callable[[str], str]) -> Case:
    def build(pipeline: beam.Pipeline, folder: Path) -> Outputs:
        read = pipeline | name >> getattr(bp, name)(made(f"read-{uuid.uuid4().hex}"))
        payloads = read.good | f"{name}: told" >> beam.Map(lambda batch: batch.select(["__payload"]))
        return {"good": payloads, "ledger": read.ledger}

    def expected(folder: Path) -> dict[str, list[str]]:
        rows = [{"__payload": message} for message in _MESSAGES]
        return {"good": kept.texts(rows), "ledger": kept.texts([(("", name, "read", ""), len(_MESSAGES))])}

    return Case(name, (name,), build, expected, needs="servers")


def _read_pubsub(place: str) -> list[bytes]:
    address, topic = place.split()
    return [message.data for message in PubSub(address).read(topic)]


def _read_rabbitmq(place: str) -> list[bytes]:
    address, queue = place.split()
    return [body for body, _ in Queues(address).read(queue)]


def _read_mosquitto(place: str) -> list[bytes]:
    address, topic = place.split()
    return [body for body, _ in Topics(address).read(topic, 2)]


def _made_pubsub(name: str) -> tuple[str, str]:
    server = PubSub(os.environ[PUBSUB])
    return server.uri(server.topic(name)), server.address


def _made_rabbitmq(name: str) -> tuple[str, str]:
    server = Queues(os.environ[RABBITMQ])
    return server.uri(server.queue(name)), server.address


def _made_mosquitto(name: str) -> tuple[str, str]:
    server = Topics(os.environ[MOSQUITTO])
    server.subscribe(name, name)
    return server.uri(name), server.address


def _writing(name: str, made: Callable[[str], tuple[str, str]], read: Callable[[str], list[bytes]]) -> Case:
    def build(pipeline: beam.Pipeline, folder: Path) -> Outputs:
        target = f"written-{uuid.uuid4().hex}"
        uri, address = made(target)
        (folder / f"{name}.place").write_text(f"{address} {target}")
        batch = pa.record_batch({"id": [1, 2, 3], "text": ["a", "x" * 17_000_000, None]})
        source = pipeline | f"{name}: input" >> beam.Create([batch]).with_output_types(pa.RecordBatch)
        written = source | name >> getattr(bp, name)(uri, batch.schema)
        rules = written.dead_letters | f"{name}: rules" >> beam.Map(lambda letters: letters.select(["rule"]))
        return {"letters": rules, "ledger": written.ledger}

    def found(folder: Path) -> dict[str, list[str]]:
        # A bundle that was tried again may have written a record twice, under one id.
        records = {repr(body) for body in read((folder / f"{name}.place").read_text())}
        kept_ones = {output: kept.read(folder, f"{name}.{output}") for output in ("letters", "ledger")}
        return {"records": sorted(records), **kept_ones}

    def expected(folder: Path) -> dict[str, list[str]]:
        rule = f"{name.removeprefix('WriteTo').lower()}.refused"
        counts = [(("rows", name, "written", ""), 2), (("rows", name, "dead_lettered", rule), 1)]
        records: list[Any] = [b'{"id":1,"text":"a"}', b'{"id":3,"text":null}']
        return {
            "records": kept.texts(records),
            "letters": kept.texts([{"rule": rule}]),
            "ledger": kept.texts(counts),
        }

    return Case(name, (name,), build, expected, found, needs="servers")


CASES = (
    _reading("ReadFromPubSub", _pubsub),
    _reading("ReadFromAmqp", _rabbitmq),
    _reading("ReadFromMqtt", _mosquitto),
    _writing("WriteToPubSub", _made_pubsub, _read_pubsub),
    _writing("WriteToAmqp", _made_rabbitmq, _read_rabbitmq),
    _writing("WriteToMqtt", _made_mosquitto, _read_mosquitto),
)
