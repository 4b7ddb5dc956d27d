"""Streams from Kafka to Kafka that faults befall: all comes out, once."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.recovery import kafka_trials
from tests.recovery.deaths import STEPS
from tests.recovery.kafka_trials import KILLED, OF_THE_BROKER, OF_THE_NETWORK
from tests.recovery.trials import Cluster

MOMENTS = 5


def test_workers_that_die_at_each_step_and_at_random_moments_lose_nothing_and_count_nothing_twice(
    cluster: Cluster, tmp_path: Path, chance: random.Random
) -> None:
    with kafka_trials.surrounded(tmp_path, cluster.flags, cluster) as setting:
        for step in STEPS:
            kafka_trials.write(setting)
            setting.die_at(step)
        kafka_trials.storm(setting, [[KILLED] * MOMENTS], chance)


def test_a_broker_that_dies_also_of_a_full_disk_and_a_bad_network_at_random_moments_lose_nothing(
    tmp_path: Path, prism_flags: list[str], chance: random.Random
) -> None:
    assert os.geteuid() == 0, "only root makes a small disk: BEAM_PIPELINES_NO_SERVERS=1 leaves this out"
    with kafka_trials.surrounded(tmp_path, prism_flags) as setting:
        deaths = [chance.choice(OF_THE_BROKER) for _ in range(MOMENTS - 2)] + list(OF_THE_BROKER)
        kafka_trials.storm(setting, [deaths, [*OF_THE_NETWORK] * MOMENTS], chance)
