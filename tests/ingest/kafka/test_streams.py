"""Streams from Kafka to Kafka: every message is in a pane, late, or a dead letter, once."""

from __future__ import annotations

from pathlib import Path

from tests.ingest.kafka.streaming import Stream, job
from tests.servers.kafka import Kafka

OPTIONS = "group=windows&out_of_orderness=2&idle_after=2"


def test_on_prism_late_rows_and_new_partitions_are_accounted_for(
    broker: Kafka, tmp_path: Path, prism_flags: list[str]
) -> None:
    stream = Stream.on(broker)
    stream.write(3000, first_second=0, poison=4)
    with job(stream, tmp_path, OPTIONS, prism_flags) as (running, log):
        # Windows come out while the stream goes on.
        stream.write(3000, first_second=30, poison=3)
        stream.wait(running, log)
        broker.add_partitions(stream.topic, 3)
        stream.partitions = 3
        stream.write(2000, first_second=20, disorder=8)
        stream.wait(running, log)
    stream.check()
    in_panes, late, refused = stream.come_out()
    assert (in_panes + late, refused) == (8000, 7)
    # What was written last is late; on a slow machine the watermark may have passed more of the rest.
    assert 3000 <= in_panes <= 6000
    # Some commits may be outstanding: a runner tells of its checkpoints when it likes.
    committed = broker.committed(stream.topic, "windows")
    assert 0 < sum(committed.values()) <= len(stream.clicks) + stream.poison


def test_on_flink_with_checkpoints(broker: Kafka, tmp_path: Path, flink_flags: list[str]) -> None:
    stream = Stream.on(broker)
    stream.write(3000, first_second=0, poison=4)
    with job(
        stream,
        tmp_path,
        OPTIONS,
        [*flink_flags, "--checkpointing_interval=3000", "--finish_bundle_before_checkpointing"],
    ) as (running, log):
        stream.wait(running, log)
        stream.write(3000, first_second=30, poison=3)
        stream.wait(running, log)
    stream.check()
