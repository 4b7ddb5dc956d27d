"""event_analytics from a queue into queues: what is read is written or a dead letter, and then acknowledged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from beam_pipelines.launch import by_runner
from beam_pipelines.launch.cli import main
from tests.pipelines.test_postgresql import CONTRACT
from tests.servers.mosquitto import Mqtt
from tests.servers.pubsub import PubSub
from tests.servers.rabbitmq import RabbitMQ


def test_messages_of_pubsub_become_rows_of_rabbitmq_and_aggregates_of_mqtt(
    pubsub: PubSub, rabbitmq: RabbitMQ, mosquitto: Mqtt, tmp_path: Path
) -> None:
    orders, clean, hourly = pubsub.topic(), rabbitmq.queue(), mosquitto.topic()
    mosquitto.subscribe(hourly, hourly)
    rows = [
        {"id": n, "country": "DE" if n % 2 else "FR", "price": n - 1.5, "at": f"2024-01-01T0{n % 3}:00:00Z"}
        for n in range(1, 61)
    ]
    pubsub.publish(orders, [json.dumps(row).encode() for row in rows])
    (tmp_path / "orders.yaml").write_text(CONTRACT)
    asked = [
        *("run", "event_analytics", "--contract", str(tmp_path / "orders.yaml"), "--output", str(tmp_path / "lake")),
        *("--input", pubsub.uri(orders, "bounded=true&quiet=0.5"), "--event_time", "at", "--runner", "FnApiRunner"),
        *("--rows_to", rabbitmq.uri(clean), "--run_id", "run-1"),
        *("--window", "fixed:1h", "--group_by", "country", "--aggregate", "count(*) as orders, sum(price) as revenue"),
        *("--aggregates_to", mosquitto.uri(hourly)),
    ]
    assert main(asked) == 0
    assert sorted(json.loads(body)["id"] for body, _ in rabbitmq.read(clean)) == list(range(2, 61))  # one is below 0
    panes = [json.loads(body) for body, _ in mosquitto.read(hourly, 6)]
    assert len(panes) == 6
    assert sum(pane["orders"] for pane in panes) == 59
    assert sum(float(pane["revenue"]) for pane in panes) == 1740.5
    balance = json.loads((tmp_path / "lake/_runs/run-1/balance.json").read_text())
    assert balance["balanced"]
    assert (balance["read"], balance["written"], balance["dead_lettered"]) == (60, 59, 1)
    assert pubsub.left(orders) == 0


@dataclasses.dataclass(frozen=True)
class _Options:
    input: tuple[str, ...] = ("pubsub://shop-prod/orders", "pubsub://shop-prod/old?bounded=true", "kafka://broker/t")
    rows_to: str | None = "pubsub://shop-prod/rows?value=raw"
    aggregates_to: str | None = "pubsub://shop-prod/panes?through=calls"


def test_on_dataflow_alone_pubsub_goes_through_the_runner() -> None:
    assert by_runner.suited(_Options(), "FlinkRunner") == _Options()
    assert by_runner.suited(_Options(), "DataflowRunner") == _Options(
        ("pubsub://shop-prod/orders?through=runner", "pubsub://shop-prod/old?bounded=true", "kafka://broker/t"),
        "pubsub://shop-prod/rows?value=raw&through=runner",
        "pubsub://shop-prod/panes?through=calls",
    )
