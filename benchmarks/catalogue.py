"""All workloads by name, in the order in which they are measured and told."""

from __future__ import annotations

from benchmarks.w1.workload import W1

WORKLOADS = {workload.name: workload for workload in (W1,)}
