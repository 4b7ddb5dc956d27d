"""A standalone Flink 1.19 cluster; the Python workers are in a pool of their own (EXTERNAL)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import flink_cluster
from tests.conformance.runners.declare import Chosen, Runner
from tests.conformance.runners.flink import CANNOT


@contextmanager
def _start(folder: Path) -> Iterator[Chosen]:
    with flink_cluster.running(folder) as flags:
        yield Chosen(flags)


RUNNER = Runner("flink_cluster", "Flink 1.19 cluster, worker pool", _start, needs="Flink", cannot=CANNOT)
