"""RabbitMQ as a stream: windows come out while it goes on, and what was read is acknowledged once it is safe."""

from __future__ import annotations

from pathlib import Path

from tests.ingest.queues.streaming import clicks, come_out, job, total
from tests.servers.rabbitmq import RabbitMQ

CHECKPOINTS = ("--checkpointing_interval=3000", "--finish_bundle_before_checkpointing")


def test_on_prism_windows_come_out_while_it_goes_on(rabbitmq: RabbitMQ, tmp_path: Path, prism_flags: list[str]) -> None:
    queue = rabbitmq.queue()
    rabbitmq.publish(queue, clicks(0, 3000, second=0))
    with job(rabbitmq.uri(queue, "out_of_orderness=2&idle_after=600"), tmp_path, prism_flags) as running:
        running.wait(lambda: total(tmp_path)[0] >= 2000)
        rabbitmq.publish(queue, [*clicks(3000, 1000, second=40), b"no click"])
        running.wait(lambda: total(tmp_path)[0] >= 3000 and len(come_out(tmp_path, "dead")) == 1)
        rabbitmq.publish(queue, clicks(4000, 1, second=60))
        running.wait(lambda: total(tmp_path)[0] >= 4000)
        assert total(tmp_path) == (4000, sum(range(4000)))
        # A queue has an order, so nothing of it is late.
        assert (len(come_out(tmp_path, "panes")), len(come_out(tmp_path, "late"))) == (4, 0)
        with rabbitmq.channel() as channel:
            running.wait(lambda: channel.queue_declare(queue, passive=True).method.message_count == 0)
    # The client is gone with its job: what it had not acknowledged is ready again.
    assert rabbitmq.left(queue) == 0


def test_on_flink_with_checkpoints_what_a_checkpoint_holds_is_acknowledged(
    rabbitmq: RabbitMQ, tmp_path: Path, flink_flags: list[str]
) -> None:
    queue = rabbitmq.queue()
    rabbitmq.publish(queue, [*clicks(0, 2000, second=0), b"no click"])
    # The broker sends no more than so many that aren't acknowledged: if nothing were, the rest would never come.
    options = "out_of_orderness=2&idle_after=600&prefetch=800"
    with job(rabbitmq.uri(queue, options), tmp_path, [*flink_flags, *CHECKPOINTS]) as running:
        running.wait(lambda: len(come_out(tmp_path, "dead")) == 1)
        rabbitmq.publish(queue, clicks(2000, 1, second=40))
        running.wait(lambda: total(tmp_path)[0] >= 2000)
        assert total(tmp_path) == (2000, sum(range(2000)))
        assert len(come_out(tmp_path, "late")) == 0
    assert rabbitmq.left(queue) <= 800
