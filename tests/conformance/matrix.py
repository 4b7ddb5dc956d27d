"""The runners, in the order in which tests and docs show them."""

from __future__ import annotations

import importlib

from tests.conformance.runners.declare import Runner

_NAMES = ("fn_api", "bundle_based", "multi_process", "prism", "flink", "flink_cluster", "spark", "dataflow")

RUNNERS: dict[str, Runner] = {
    name: importlib.import_module(f"tests.conformance.runners.{name}").RUNNER for name in _NAMES
}
"""Name → runner, of each file in `runners/`."""
