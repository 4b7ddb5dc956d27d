"""Workers: the SDK's own `boot`, started as on Dataflow when the engine asks for a worker.

Beam has a worker pool of its own (`worker_pool_main`). This one differs in where it listens (loopback
only), in giving each worker a directory of its own (boot installs into and writes to shared places
otherwise), and in noticing when a worker ends before the job does.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from beam_pipelines.dataflow_emulator import processes

_THREADS = 4  # calls at once; a pipeline has one or two environments


class WorkerPool:
    """Starts workers of one job. `address` is for the pipeline's EXTERNAL environments."""

    def __init__(self, boot: Path, environment: Mapping[str, str], directory: Path) -> None:
        self._workers = _Workers(boot, environment, directory)
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="worker-pool"))
        beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(self._workers, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def lost(self) -> str:
        """What the first worker said that ended by itself; empty while all is well."""
        return self._workers.lost()

    def close(self) -> None:
        """End the workers that are left, and listen no more."""
        self._server.stop(None).wait()
        self._workers.stop_all()


class _Workers(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    def __init__(self, boot: Path, environment: Mapping[str, str], directory: Path) -> None:
        self._boot = boot
        self._environment = dict(environment)
        self._directory = directory
        self._running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        self._started = 0
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002  # gRPC's name and signature
        with self._lock:
            directory = self._directory / f"worker-{self._started}"
            self._started += 1
            directory.mkdir()
            log = directory / "boot.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [
                        str(self._boot),
                        f"--id={request.worker_id}",
                        f"--logging_endpoint={request.logging_endpoint.url}",
                        f"--artifact_endpoint={request.artifact_endpoint.url}",
                        f"--provision_endpoint={request.provision_endpoint.url}",
                        f"--control_endpoint={request.control_endpoint.url}",
                        f"--semi_persist_dir={directory}",
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=directory,
                    env=self._environment,
                )
            self._running[request.worker_id] = process, log
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002  # gRPC's name and signature
        with self._lock:
            worker = self._running.pop(request.worker_id, None)
        if worker is not None:
            processes.stop(worker[0])
        return beam_fn_api_pb2.StopWorkerResponse()

    def stop_all(self) -> None:
        with self._lock:
            left, self._running = [process for process, _ in self._running.values()], {}
        for worker in left:
            worker.terminate()
        for worker in left:
            processes.stop(worker)

    def lost(self) -> str:
        with self._lock:
            for process, log in self._running.values():
                if process.poll() is not None:
                    said = processes.tail(log)
                    return f"a worker ended with exit code {process.returncode} before the job did:\n{said}"
        return ""
