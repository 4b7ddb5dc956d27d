"""The broker that tests use keeps what it is told, also when it is killed."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.servers.kafka import kafka


def test_a_killed_broker_comes_back_with_its_records(tmp_path: Path) -> None:
    with kafka(tmp_path) as broker:
        topic = broker.topic(partitions=2)
        broker.produce(topic, [(b"k", b"1", [("h", b"x")], 1_700_000_000_000), (None, b"2", [], 0)], partition=1)
        broker.stop(signal.SIGKILL)
        broker.start()
        first, second = broker.read(topic)
    assert (first.partition(), first.offset(), first.key(), first.value()) == (1, 0, b"k", b"1")
    assert first.headers() == [("h", b"x")]
    assert first.timestamp()[1] == 1_700_000_000_000
    assert (second.key(), second.value()) == (None, b"2")
