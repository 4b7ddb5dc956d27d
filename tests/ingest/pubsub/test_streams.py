"""Pub/Sub as a stream: windows come out while it goes on, and what was read is acknowledged once it is safe."""

from __future__ import annotations

from pathlib import Path

from tests.ingest.queues.streaming import clicks, come_out, job, total
from tests.servers.pubsub import PubSub

# A subscription has no order: the bound has to cover what waits.
OPTIONS = "out_of_orderness=31&idle_after=600&lease=10"


def test_on_prism_windows_come_out_while_it_goes_on(pubsub: PubSub, tmp_path: Path, prism_flags: list[str]) -> None:
    topic = pubsub.topic()
    pubsub.publish(topic, clicks(0, 3000, second=0))
    first = tmp_path / "first"
    with job(pubsub.uri(topic, OPTIONS), first, prism_flags) as running:
        # Messages come in no order: those of the second minute are published when the others are safe.
        running.wait(lambda: pubsub.left(topic) == 0)
        pubsub.publish(topic, clicks(3000, 1000, second=62))
        running.wait(lambda: total(first)[0] >= 3000)
        assert total(first) == (3000, sum(range(3000)))
        assert (len(come_out(first, "panes")), len(come_out(first, "late"))) == (3, 0)
        running.wait(lambda: pubsub.left(topic) == 0)
        pubsub.publish(topic, [b"no click", *clicks(4000, 1, second=150)])
        running.wait(lambda: total(first)[0] == 4000)
        running.wait(lambda: len(come_out(first, "dead")) == 1)
