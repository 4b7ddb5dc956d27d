"""Workers are started as Prism asks, and one that ends by itself is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from beam_pipelines.dataflow_emulator.worker_pool import WorkerPool

Pool = Callable[[str], WorkerPool]


@pytest.fixture
def pool(tmp_path: Path) -> Any:
    """Makes a pool whose boot is a shell script of these lines."""
    made = []

    def make(lines: str) -> WorkerPool:
        boot = tmp_path / "boot"
        boot.write_text(f"#!/bin/sh\n{lines}\n")
        boot.chmod(0o755)
        made.append(WorkerPool(boot, {"PATH": "/usr/bin:/bin"}, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(pool: WorkerPool, call: str, request: Any) -> None:
    with grpc.insecure_channel(pool.address) as channel:
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
        getattr(stub, call)(request, timeout=10, wait_for_ready=True)


def start(pool: WorkerPool, id: str) -> None:
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id=id)
    request.provision_endpoint.url = "localhost:1"
    ask(pool, "StartWorker", request)


def eventually(read: Callable[[], str]) -> str:
    deadline = time.monotonic() + 10
    while not (found := read()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def test_the_pool_listens_on_loopback_only(pool: Pool) -> None:
    assert pool("exec sleep 60").address.startswith("127.0.0.1:")


def test_a_worker_that_ends_by_itself_is_told_with_what_it_said(pool: Pool) -> None:
    workers = pool('echo "no such endpoint" >&2; exit 3')

    start(workers, "env-1")

    assert eventually(workers.lost) == "a worker ended with exit code 3 before the job did:\nno such endpoint"


def test_each_worker_has_a_directory_of_its_own_and_the_endpoints_it_was_given(pool: Pool, tmp_path: Path) -> None:
    workers = pool('echo "$@" > told; exec sleep 60')
    for id in ("env-1", "env-2"):
        start(workers, id)

    told = [eventually(lambda n=n: _read(tmp_path / f"worker-{n}" / "told")) for n in (0, 1)]  # type: ignore[misc]

    assert [each.split()[0] for each in told] == ["--id=env-1", "--id=env-2"]
    assert "--provision_endpoint=localhost:1" in told[0].split()
    assert f"--semi_persist_dir={tmp_path / 'worker-1'}" in told[1].split()


def test_a_worker_that_is_asked_to_stop_is_not_lost(pool: Pool) -> None:
    workers = pool("exec sleep 60")
    start(workers, "env-1")

    ask(workers, "StopWorker", beam_fn_api_pb2.StopWorkerRequest(worker_id="env-1"))

    assert workers.lost() == ""


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
