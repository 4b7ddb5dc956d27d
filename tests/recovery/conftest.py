"""A Flink cluster with a pool of Python workers, for all trials of a session."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests import runners
from tests.recovery import trials
from tests.recovery.trials import Cluster


@pytest.fixture
def chance() -> random.Random:
    """What moments faults come at: others each time; a test that fails shows the seed that brings them again."""
    seed = int(os.environ.get("BEAM_PIPELINES_SEED") or random.randrange(1 << 32))
    print(f"BEAM_PIPELINES_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    runners.need("Flink")
    with trials.cluster(tmp_path_factory.mktemp("flink_cluster")) as running:
        yield running
