"""Brokers that are killed, networks cut or slow, bytes that are broken: all that was written comes out once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.columnar.provenance import FAILURES, raw_batch
from beam_pipelines.ingest.kafka.log import KafkaAddress, KafkaLog
from beam_pipelines.kafka.connection import Connection
from beam_pipelines.retries import Retries
from beam_pipelines.sink.kafka.delivery import Delivery
from beam_pipelines.sink.records import ID_HEADER, RecordPlan, records_of
from beam_pipelines.uris import parse_uri
from scripts import processes, toxiproxy
from tests.servers.kafka import Kafka, kafka

SECONDS = 120  # hard limit of what has to happen, on a machine that is busy with other tests


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, toxiproxy.Proxy]]:
    """A broker of this module's own, which may be killed, and a proxy behind which clients find it."""
    folder = tmp_path_factory.mktemp("proxied")
    (port,) = processes.free_ports(1)
    with (
        kafka(folder, {"PROXIED": port}) as broker,
        toxiproxy.running(folder, port, broker.ports["PROXIED"]) as proxy,
    ):
        yield broker, proxy


def _connection(port: int) -> Connection:
    return Connection.of(parse_uri(f"kafka://localhost:{port}/t"))


def _numbers(first: int, rows: int) -> list[tuple[None, bytes]]:
    return [(None, b"%d" % number) for number in range(first, first + rows)]


class _Reading:
    """Reads the one partition of a topic, from its start."""

    def __init__(self, port: int, topic: str) -> None:
        self.log = KafkaLog(KafkaAddress(_connection(port), topic))
        self.position = self.log.start(self.log.partitions()[0])
        self.found: list[bytes] = []
        self.failed: list[str] = []

    def until(self, rows: int) -> None:
        until = time.monotonic() + SECONDS
        while len(self.found) < rows:
            assert time.monotonic() < until, len(self.found)
            self.step()

    def step(self) -> None:
        for polled in self.log.poll({"0": self.position}, 100, 1 << 20):
            self.position = polled.position
            if FAILURES in polled.batch.schema.names:
                self.failed += [row[FAILURES][0]["message"] for row in polled.batch.to_pylist()]
            else:
                self.found += polled.batch.column("__payload").to_pylist()


def test_reading_outlasts_a_network_that_is_cut_and_slow_and_a_broker_that_is_killed(
    proxied: tuple[Kafka, toxiproxy.Proxy],
) -> None:
    broker, proxy = proxied
    topic = broker.topic()
    broker.produce(topic, _numbers(0, 1000))
    reading = _Reading(proxy.port, topic)
    reading.until(100)
    proxy.cut()
    broker.produce(topic, _numbers(1000, 1000))
    for _ in range(20):
        reading.step()
    assert reading.log.backlog({"0": reading.position}) == {}  # not known, so that nobody is taken to be idle
    proxy.mend()
    reading.until(2000)
    proxy.slow(milliseconds=200, kilobytes_a_second=50)
    broker.produce(topic, _numbers(2000, 1000))
    reading.until(3000)
    proxy.mend()
    broker.stop(signal.SIGKILL)
    reading.step()
    broker.start()
    broker.produce(topic, _numbers(3000, 1000))
    reading.until(4000)
    reading.log.close()
    assert reading.found == [value for _, value in _numbers(0, 4000)]


def test_writing_outlasts_a_broker_that_is_killed(proxied: tuple[Kafka, toxiproxy.Proxy]) -> None:
    broker, _ = proxied
    topic = broker.topic()
    delivery = Delivery(_connection(broker.ports["PLAINTEXT"]), topic, "none", Retries(give_up_after=SECONDS))
    payloads = pa.array([value for _, value in _numbers(0, 2000)])
    batch = raw_batch(payloads, "in", pa.array(range(2000), pa.int64()))
    delivery.send(records_of(batch, RecordPlan("raw")))
    assert delivery.settle() == {}
    broker.stop(signal.SIGKILL)
    starting = threading.Thread(target=broker.start)
    starting.start()
    delivery.send(records_of(batch, RecordPlan("raw")))
    assert delivery.settle() == {}
    starting.join(SECONDS)
    delivery.close()
    found = broker.read(topic)
    # The producer is idempotent: what it tries again by itself is there once; what we give it again has the same id.
    assert [message.value() for message in found] == payloads.to_pylist() * 2
    assert len({dict(message.headers())[ID_HEADER] for message in found}) == 2000


def test_messages_that_can_not_be_read_become_dead_letters_and_block_nothing(
    proxied: tuple[Kafka, toxiproxy.Proxy],
) -> None:
    broker, _ = proxied
    topics = {broken: broker.topic() for broken in ("codec", "content")}
    for topic in topics.values():
        for first in (0, 3, 6):  # three batches of three
            broker.produce(topic, _numbers(first, 3), compression_type="gzip", linger_ms=500)
    broker.stop()
    for broken, topic in topics.items():
        (segment,) = broker.folder.glob(f"data/{topic}-0/*.log")
        _break(segment, broken)
    broker.start()
    for topic in topics.values():
        reading = _Reading(broker.ports["PLAINTEXT"], topic)
        reading.until(6)
        reading.log.close()
        assert reading.found == [b"0", b"1", b"2", b"6", b"7", b"8"]
        assert [message.partition(" and")[0] for message in reading.failed] == [
            f"offset {offset} of {topic}/0" for offset in (3, 4, 5)
        ]


def _break(segment: Path, broken: str) -> None:
    """Break the second batch of a segment (record batch v2: length at 8, attributes at 21, records from 61)."""
    content = bytearray(segment.read_bytes())
    second = 12 + int.from_bytes(content[8:12])
    if broken == "codec":
        content[second + 22] = content[second + 22] & ~7 | 6  # 0 to 4 are those that there are
    else:
        for place in range(second + 61 + 12, second + 61 + 20):
            content[place] ^= 0xFF
    segment.write_bytes(content)
