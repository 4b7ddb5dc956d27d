"""Each test of this folder that takes `on` runs once on each runner, or on the one that `--on NAME` names."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.errors import did_you_mean
from tests import runners
from tests.conformance import (
    bigquery_cases,
    jobs,
    kafka_cases,
    kinesis_cases,
    queue_cases,
    redis_cases,
    road,
    table_cases,
)
from tests.conformance.matrix import RUNNERS
from tests.conformance.runners.declare import Chosen, Runner
from tests.servers.kinesis import CREDENTIALS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--on", metavar="RUNNER", help="run conformance tests on one runner only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "on" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--on", default=None)
        if asked and asked not in RUNNERS:
            raise pytest.UsageError(f"--on: there is no runner '{asked}'.{did_you_mean(asked, RUNNERS)}")
        metafunc.parametrize("on", [asked] if asked else list(RUNNERS), indirect=True, scope="session")


@dataclasses.dataclass
class Started:
    """A runner that has been started: runs jobs in a folder each, and remembers how they ended."""

    runner: Runner
    chosen: Chosen
    folder: Path
    servers: dict[str, str]
    """Environment variables that tell cases of servers."""
    ended: dict[str, jobs.Ended] = dataclasses.field(default_factory=dict)

    def run(self, name: str, work: Callable[..., None], *arguments: Any) -> jobs.Ended:
        """Run `work(*arguments, flags)` as the job of this name, once."""
        if name not in self.ended:
            seconds, (flags, variables) = self.runner.job_seconds, self.chosen
            variables = {**variables, **self.servers}
            self.ended[name] = jobs.run(self.folder / name, seconds, variables, work, *arguments, flags)
        return self.ended[name]


@pytest.fixture(scope="session")
def on(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The runner of this test, started for all tests on it."""
    runner = RUNNERS[request.param]
    if runner.needs is not None:
        runners.need(runner.needs)
    servers: dict[str, str] = {}
    if "servers" not in runners.left_out():
        servers |= {
            kafka_cases.BROKER: request.getfixturevalue("broker").address,
            queue_cases.PUBSUB: request.getfixturevalue("pubsub").address,
            queue_cases.RABBITMQ: request.getfixturevalue("rabbitmq").address,
            queue_cases.MOSQUITTO: request.getfixturevalue("mosquitto").address,
            kinesis_cases.EMULATOR: request.getfixturevalue("kinesis").url,
            bigquery_cases.ENDPOINTS: request.getfixturevalue("bigquery_server").endpoints,
            table_cases.DATABASE: request.getfixturevalue("postgresql").uri("").rstrip("/"),
        }
        servers[redis_cases.SERVER] = str(request.getfixturevalue("redis").port)
    folder = tmp_path_factory.mktemp(runner.name)
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        told = {name: value for name, value in servers.items() if name == queue_cases.PUBSUB}
        for name, value in {**CREDENTIALS, **told}.items():  # of workers that are started here too
            patch.setenv(name, value)
        yield Started(runner, stack.enter_context(runner.start(folder)), folder, servers)


@pytest.fixture(scope="session")
def road_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that all runners read, at one place, so that what they say of them is the same."""
    folder = tmp_path_factory.mktemp("road")
    road.write(folder)
    return folder


@pytest.fixture(scope="session")
def road_on_fn_api(road_inputs: Path) -> Path:
    """The lake of the runner that the others are compared with."""
    lake = road_inputs / "lake-of-fn_api"
    runner = RUNNERS["fn_api"]
    with runner.start(road_inputs) as (flags, variables):
        ended = jobs.run(road_inputs / "fn_api", runner.job_seconds, variables, road.run, road_inputs, lake, flags)
    assert ended.well, ended.log
    return lake
