"""All workloads by name, in the order in which they are measured and told."""

from __future__ import annotations

from benchmarks.kafka.workload import KAFKA
from benchmarks.scale import workloads as scale
from benchmarks.sinks import workloads as sinks
from benchmarks.startup import workloads as startup
from benchmarks.w1.workload import W1
from benchmarks.w2 import workloads as w2
from benchmarks.w3.workload import W3
from benchmarks.w4.workload import W4
from benchmarks.w5.workload import W5
from benchmarks.w6 import workloads as w6
from benchmarks.w7 import workloads as w7
from benchmarks.w8.workload import W8

_ALL = (W1, *startup.ALL, *scale.ALL, *w2.ALL, W3, W4, W5, *w6.ALL, *w7.ALL, W8, *sinks.ALL)
WORKLOADS = {workload.name: workload for workload in _ALL}
TOLD = {**WORKLOADS, KAFKA.name: KAFKA}
"""Those that the page tells of: Kafka's is measured by a program of its own."""
