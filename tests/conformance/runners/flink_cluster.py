"""A standalone Flink 1.19 cluster; the Python workers are in a pool of their own (EXTERNAL)."""

from scripts import flink_cluster
from tests.conformance.runners.declare import Runner

RUNNER = Runner("flink_cluster", "Flink 1.19 cluster, worker pool", flink_cluster.running, needs="Flink")
