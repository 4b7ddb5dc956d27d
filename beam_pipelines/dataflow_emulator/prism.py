"""One Prism for one job: an engine that another job can't disturb, and whose log is this job's.

Prism tells a user's exception in its own log only, as JSON lines; so the log is read for it. Prism
listens on all interfaces (it has no option for that), on ports that the system chooses.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import (
    beam_artifact_api_pb2_grpc,
    beam_job_api_pb2,
    beam_job_api_pb2_grpc,
)
from apache_beam.runners.portability import artifact_service

from beam_pipelines.dataflow_emulator import processes
from beam_pipelines.dataflow_emulator.failures import JobError
from beam_pipelines.errors import UsageError

BINARY_VARIABLE = "BEAM_PIPELINES_PRISM"
_READY_SECONDS = 20
_CALL_SECONDS = 30
_LAST_ERRORS = 30  # lines of a log without a traceback that go into a message
_WORKER_RUNS = b"Python sdk harness starting."
_FAILURES = ("Bundle Failed.", "job failed")
_LARGEST_MESSAGE = 2**31 - 1  # bytes; pipelines may be far above gRPC's 4 MiB

State = beam_job_api_pb2.JobState.Enum


def binary(given: Path | None, cache: Path) -> Path:
    """Find Prism: the one given, $BEAM_PIPELINES_PRISM, the cache's, or one on the PATH.

    Raises UsageError that says how to get it.
    """
    named = given or (Path(os.environ[BINARY_VARIABLE]) if os.environ.get(BINARY_VARIABLE) else None)
    if named is not None:
        if not os.access(named, os.X_OK):
            raise UsageError(f"--prism: '{named}' is not a program that can be run")
        return named
    cached = cache / "prism" / "prism"
    on_path = shutil.which("prism")
    if os.access(cached, os.X_OK):
        return cached
    if on_path:
        return Path(on_path)
    raise UsageError(
        f"the Dataflow emulator runs jobs on Prism, which is neither at {cached} nor on the PATH. "
        "Get it with `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0` and name it with --prism or "
        f"${BINARY_VARIABLE}"
    )


class Prism:
    """A running Prism that is given one job. `log` is the file with what it and the workers say."""

    def __init__(self, program: Path, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(program), "--job_port=0", "--serve_http=false", "--log_kind=json"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
            )
        self._channel: Any = None
        self._job = ""

    def connect(self) -> None:
        """Wait until Prism listens. Raises JobError when it doesn't."""
        endpoint = self._endpoint()
        limits = [
            ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
            ("grpc.max_send_message_length", _LARGEST_MESSAGE),
        ]
        self._channel = grpc.insecure_channel(endpoint, options=limits)
        self._jobs = beam_job_api_pb2_grpc.JobServiceStub(self._channel)

    def run(self, name: str, pipeline: Any, options: Any) -> None:
        """Prepare the pipeline, hand over its artifacts, and start it. Raises JobError when it is refused."""
        try:
            prepared = self._jobs.Prepare(
                beam_job_api_pb2.PrepareJobRequest(job_name=name, pipeline=pipeline, pipeline_options=options),
                timeout=_CALL_SECONDS,
            )
            artifact_service.offer_artifacts(
                beam_artifact_api_pb2_grpc.ArtifactStagingServiceStub(self._channel),
                artifact_service.ArtifactRetrievalService(artifact_service.BeamFilesystemHandler(None).file_reader),
                prepared.staging_session_token,
            )
            self._job = self._jobs.Run(
                beam_job_api_pb2.RunJobRequest(preparation_id=prepared.preparation_id), timeout=_CALL_SECONDS
            ).job_id
        except grpc.RpcError as refused:
            raise JobError(f"Prism refused the pipeline: {refused.details()}") from refused

    def state(self) -> int:
        """The job's state, a JobState of Beam's job API. Raises JobError when Prism is gone."""
        try:
            request = beam_job_api_pb2.GetJobStateRequest(job_id=self._job)
            state: int = self._jobs.GetState(request, timeout=_CALL_SECONDS).state
        except grpc.RpcError as gone:
            raise JobError(f"Prism does not answer: {gone.details()}\n{processes.tail(self.log)}") from gone
        return state

    def worker_reported(self) -> bool:
        """Whether a worker has installed what was staged and runs."""
        return _WORKER_RUNS in self.log.read_bytes()

    def metrics(self) -> Any:
        """The job's MetricResults, attempted and committed; empty when there are none to be had."""
        try:
            request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self._job)
            return self._jobs.GetJobMetrics(request, timeout=_CALL_SECONDS).metrics
        except grpc.RpcError:
            return beam_job_api_pb2.MetricResults()

    def cancel(self) -> None:
        """Ask Prism to cancel the job; it is stopped anyway when it doesn't."""
        try:
            self._jobs.Cancel(beam_job_api_pb2.CancelJobRequest(job_id=self._job), timeout=_CALL_SECONDS)
        except grpc.RpcError:
            return

    def why(self) -> str:
        """Why the job failed: the user's exception with its traceback when there is one."""
        return cause(self.log)

    def close(self) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
        processes.stop(self._process)

    def _endpoint(self) -> str:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for entry in entries(self.log):
                if entry.get("msg") == "Serving JobManagement":
                    return str(entry["endpoint"])
            time.sleep(0.05)
        raise JobError(f"Prism did not start:\n{processes.tail(self.log)}")


def entries(log: Path) -> Iterator[Mapping[str, Any]]:
    """The JSON lines of Prism's log; what is no JSON, as from a crash, is left out."""
    if not log.exists():
        return
    for line in log.read_text("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def cause(log: Path) -> str:
    """The reason in a log of Prism: the user's traceback, else a failed bundle's error, else the last errors."""
    errors = [entry for entry in entries(log) if entry.get("level") == "ERROR"]
    told = [str(entry["error"]) for entry in errors if entry.get("msg") in _FAILURES and entry.get("error")]
    for text in told:
        if "Traceback" in text:
            return text
    if told:
        return told[0]
    # A worker that couldn't start: boot logs what pip said line by line, and at last what it makes of it.
    return "\n".join(str(entry.get("msg", "")).removeprefix("[SDK] ") for entry in errors[-_LAST_ERRORS:])
