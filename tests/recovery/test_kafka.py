"""A stream from Kafka to Kafka on Flink, whose workers die at each step of its commits: all comes out, once."""

from __future__ import annotations

from pathlib import Path

from scripts import processes, toxiproxy
from tests.recovery import kafka_trials
from tests.recovery.deaths import STEPS
from tests.recovery.trials import Cluster
from tests.servers.kafka import kafka

SECONDS = 300  # hard limit, on a machine that is busy


def test_workers_that_die_at_each_step_lose_nothing_and_count_nothing_twice(cluster: Cluster, tmp_path: Path) -> None:
    (port,) = processes.free_ports(1)
    with (
        kafka(tmp_path, {"PROXIED": port}) as broker,
        toxiproxy.running(tmp_path, port, broker.ports["PROXIED"]) as proxy,
        kafka_trials.running(tmp_path / "job", broker, proxy, cluster.flags, cluster) as setting,
    ):
        for step in STEPS:
            kafka_trials.write(setting)
            setting.die_at(step)
        setting.stream.wait(setting.running, setting.log, SECONDS)
        setting.stream.check()
