"""The emulator as one object: Cloud Storage, credentials, the Dataflow API and what executes its jobs."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from beam_pipelines.dataflow_emulator import (
    credentials,
    execute,
    flex_launcher,
    flex_routes,
    job_routes,
    prism,
    worker_environment,
)
from beam_pipelines.dataflow_emulator.failures import JobError
from beam_pipelines.dataflow_emulator.flex_launcher import Launcher
from beam_pipelines.dataflow_emulator.jobs import Job, Jobs, State
from beam_pipelines.dataflow_emulator.service import HttpService
from beam_pipelines.dataflow_emulator.storage import StorageEmulator
from beam_pipelines.dataflow_emulator.worker_environment import WorkerEnvironment

PROJECT = "local-project"
_STOP_SECONDS = 60  # that jobs get to end when the emulator is closed


class DataflowEmulator:
    """A Dataflow service on this machine, for the real DataflowRunner and Google's own API clients.

    Use it as a context manager; it serves from entering to leaving, and leaves nothing behind.

    `port`: of the API, 0 for a free one. `buckets`: made in the Cloud Storage beside it.
    `run_jobs=False` receives and checks jobs but runs none: each stays RUNNING until it is cancelled
    (no Prism and no workers are needed then). `prism`, `boot`: programs, else found or built (see
    `prism.binary`, `worker_environment.boot`). `worker_packages`: requirements that workers have
    besides Beam's and this package's. `worker_variables`: environment variables of workers. `images`: for
    each image that a flex template may name, its environment variables; FLEX_TEMPLATE_PYTHON_PY_FILE among
    them is a program of this machine, which is started with this process's Python.
    `work_dir`: keeps each job's files and logs; without it they are in a temporary directory.

    Raises UsageError on entering when something it needs is missing. Everything listens on loopback,
    except Prism, which listens on all interfaces while a job runs.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        buckets: Iterable[str] = ("dataflow",),
        run_jobs: bool = True,
        prism: Path | None = None,
        boot: Path | None = None,
        worker_packages: Iterable[str] = (),
        worker_variables: Mapping[str, str] | None = None,
        images: Mapping[str, Mapping[str, str]] | None = None,
        cache: Path | None = None,
        work_dir: Path | None = None,
    ) -> None:
        self.buckets = tuple(buckets)
        self._port = port
        self._run_jobs = run_jobs
        self._prism = prism
        self._boot = boot
        self._worker_packages = tuple(worker_packages)
        self._worker_variables = dict(worker_variables or {})
        self._images = dict(images or {})
        self._cache = cache or worker_environment.cache_directory()
        self._work_dir = work_dir
        self._threads: list[threading.Thread] = []
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to serve."""
        programs = self._programs() if self._run_jobs else None
        with contextlib.ExitStack() as opened:
            self.directory = self._work_dir or Path(tempfile.mkdtemp(prefix="dataflow-emulator-"))
            if self._work_dir is None:
                opened.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.directory.mkdir(parents=True, exist_ok=True)
            self.storage = StorageEmulator(self.directory, self.buckets)
            opened.callback(self.storage.stop)
            self.storage.start()
            self.jobs = Jobs(self._begin)
            service = HttpService(
                [*job_routes.routes(self.jobs), *flex_routes.routes(self.jobs, self.storage), credentials.ROUTE],
                self._port,
            )
            opened.callback(service.stop)
            self.endpoint = service.endpoint
            self._credentials = credentials.write(self.directory, self.endpoint)
            self._site = execute.Site(*programs, self._variables(), self.directory / "jobs") if programs else None
            opened.callback(self._stop_jobs)
            service.start()
            self._open = opened.pop_all()

    def close(self) -> None:
        """Stop all jobs, end every process and remove the temporary directory."""
        self._open.close()

    def environment(self) -> dict[str, str]:
        """The environment variables that a submitter needs."""
        return {
            "STORAGE_EMULATOR_HOST": self.storage.endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._credentials),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "NO_GCE_CHECK": "true",
        }

    def flags(self, project: str = PROJECT, region: str = "us-central1") -> list[str]:
        """The flags of Beam that submit a pipeline here."""
        return [
            "--runner=DataflowRunner",
            f"--project={project}",
            f"--region={region}",
            f"--temp_location=gs://{self.buckets[0]}/temporary",
            f"--dataflow_endpoint={self.endpoint}",
        ]

    def job(self, id: str) -> Job:
        """A job by its id. Raises KeyError."""
        found = {job.id: job for job in self.jobs.all()}
        return found[id]

    def log(self, id: str) -> str:
        """What the engine and the workers of a job have logged so far, as JSON lines."""
        path = self.directory / "jobs" / id / "prism.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _programs(self) -> tuple[Path, Path, WorkerEnvironment]:
        engine = prism.binary(self._prism, self._cache)
        entrypoint = worker_environment.boot(self._boot, self._cache)
        workers = WorkerEnvironment(self._cache, worker_environment.pins(self._worker_packages))
        workers.build()
        return engine, entrypoint, workers

    def _variables(self) -> dict[str, str]:
        return {**self.environment(), **self._worker_variables}

    def _stop_jobs(self) -> None:
        for job in self.jobs.all():
            job.ask_to_stop(State.JOB_STATE_CANCELLED)
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _begin(self, job: Job) -> None:
        thread = threading.Thread(target=self._carry_out, args=(job,), name=f"dataflow-{job.id}")
        self._threads.append(thread)
        thread.start()

    def _carry_out(self, job: Job) -> None:
        if job.launch is not None and not self._launched(job):
            return
        if self._site is not None:
            execute.execute(job, self._site, self.storage)
        elif execute.receive(job, self.storage):
            job.move(State.JOB_STATE_RUNNING)
            job.wait_until_stopped()

    def _launched(self, job: Job) -> bool:
        """Whether the program of a flex template's image has submitted the job."""
        launcher = Launcher(self._images, self.environment(), self.endpoint, self.directory / "launches")
        try:
            found = flex_launcher.launch(job, launcher, self.storage)
        except JobError as failure:
            job.fail(str(failure))
            return False
        if found is None:
            if job.stop_as is not None:
                job.move(job.stop_as)
            return False
        replaces = job.submission.job.replace_job_id
        job.submission = found
        job.move(State.JOB_STATE_PENDING)
        if replaces:
            self.jobs.replace(self.job(replaces), job)
        return True
