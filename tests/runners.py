"""Runners for tests, as the options that choose them. A runner that can't be had is a failure, never a silent skip.

On a machine without Go or Java, `BEAM_PIPELINES_NO_PRISM=1`, `…_NO_FLINK=1` or `…_NO_SPARK=1` leaves one out, and
`…_NO_SERVERS=1` the servers of tests/servers; the end of the test run says so. With `CI=true` nothing may be left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from scripts import flink, prism

OPT_OUTS = {
    "Prism": "BEAM_PIPELINES_NO_PRISM",
    "Flink": "BEAM_PIPELINES_NO_FLINK",
    "Spark": "BEAM_PIPELINES_NO_SPARK",
    "servers": "BEAM_PIPELINES_NO_SERVERS",  # brokers, stores, databases: tests/servers
}


def left_out() -> list[str]:
    """Runners that this test run is told to leave out."""
    return [name for name, variable in OPT_OUTS.items() if os.environ.get(variable)]


def need(name: str) -> None:
    if name in left_out():
        if os.environ.get("CI"):
            pytest.fail(f"{OPT_OUTS[name]} is set, but in CI nothing is left out")
        pytest.skip(f"{name} is left out by {OPT_OUTS[name]}")


@pytest.fixture(scope="session")
def prism_flags() -> list[str]:
    """Options that run a pipeline on Prism; Beam starts it, and stops it when the test process ends."""
    need("Prism")
    return ["--runner=PrismRunner", f"--prism_location={prism.binary()}"]


@pytest.fixture(scope="session")
def flink_flags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Options that run a pipeline on an embedded Flink 1.19, started for this session and stopped after it."""
    need("Flink")
    server = flink.start(tmp_path_factory.mktemp("flink") / "server.log")
    yield [
        "--runner=PortableRunner",
        f"--job_endpoint={server.endpoint}",
        "--environment_type=LOOPBACK",
        "--parallelism=1",
    ]
    server.stop()
