"""One emulator that runs jobs and one that only receives them, for all tests of this folder."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.dataflow_emulator import DataflowEmulator

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PLACE = {"project_id": "local-project", "location": "us-central1"}
PIPELINE = beam_runner_api_pb2.Pipeline(root_transform_ids=["none"]).SerializeToString()
_SECONDS = 300  # that a submitted program may take on a machine that is busy with other tests


@pytest.fixture(scope="session")
def prism_binary(prism_flags: list[str]) -> Path:
    return Path(prism_flags[1].partition("=")[2])


@pytest.fixture(scope="session")
def emulator(prism_binary: Path) -> Iterator[DataflowEmulator]:
    """Runs what is submitted. Its buckets are named after the programs that use them."""
    buckets = ["dataflow", "word-count", "endless"]
    with DataflowEmulator(prism=prism_binary, buckets=buckets) as running:
        yield running


@pytest.fixture(scope="session")
def recorder() -> Iterator[DataflowEmulator]:
    """Receives and checks jobs, and runs none."""
    with DataflowEmulator(run_jobs=False) as running:
        yield running


@pytest.fixture(scope="session")
def jobs_client(recorder: DataflowEmulator) -> Any:
    return dataflow.JobsV1Beta3Client(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=recorder.endpoint),
    )


class Submitted:
    """A program on its way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @functools.cached_property
    def printed(self) -> tuple[str, str]:
        """What it wrote on its two outputs, when it has ended."""
        return self.process.communicate(timeout=_SECONDS)

    def told(self) -> dict[str, Any]:
        """What its last line says. The program must have ended well."""
        output, errors = self.printed
        assert self.process.returncode == 0, errors
        return json.loads(output.splitlines()[-1])

    def end(self) -> None:
        """End it if nobody waited for it, as when a test failed or only some tests were chosen."""
        if "printed" not in vars(self):
            self.process.kill()
            self.process.communicate()


def submit(emulator: DataflowEmulator, program: str, *more: str, bucket: str = "dataflow") -> Submitted:
    flags = [*emulator.flags(), f"--temp_location=gs://{bucket}/temporary", *more]
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / f"{program}.py"), *flags],
        env={**os.environ, **emulator.environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Submitted(process)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what makes this package, so that building it leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("package")
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "beam_pipelines", copy / "beam_pipelines", ignore=skip)
    return copy


@pytest.fixture(scope="session")
def sdist(package: Path) -> Path:
    subprocess.run([sys.executable, "setup.py", "-q", "sdist"], cwd=package, check=True, capture_output=True)
    return next((package / "dist").glob("*.tar.gz"))


@pytest.fixture
def stage(recorder: DataflowEmulator) -> Callable[..., dict[str, Any]]:
    """Stages pipeline bytes with the recorder and returns the JSON of a job for them, changed as asked."""
    taken = 0

    def make(name: str, content: bytes = PIPELINE, **changes: Any) -> dict[str, Any]:
        nonlocal taken
        taken += 1
        url = f"gs://dataflow/staging/{name}-{taken}/pipeline.pb"
        recorder.storage.write(url, content)
        options = {"pipelineUrl": url, "pipelineProtoHash": hashlib.sha256(content).hexdigest()}
        options |= changes.pop("options", {})
        return {
            "name": name,
            "type": "JOB_TYPE_BATCH",
            "clientRequestId": f"{name}-{taken}",
            "environment": {"workerPools": [{"kind": "local"}], "sdkPipelineOptions": {"options": options}},
            **changes,
        }

    return make
