"""RabbitMQ as a stream: windows come out while it goes on, and what was read is acknowledged once it is safe."""

from __future__ import annotations

from pathlib import Path

from tests.ingest.queues.streaming import clicks, come_out, job, total
from tests.servers.rabbitmq import RabbitMQ


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
