"""A Flink cluster with a pool of Python workers, for all trials of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import runners
from tests.recovery import trials
from tests.recovery.trials import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    runners.need("Flink")
    with trials.cluster(tmp_path_factory.mktemp("flink_cluster")) as running:
        yield running
