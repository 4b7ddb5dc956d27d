"""Running a submitted job: read from staging, checked, and executed by Prism and the SDK's own workers."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from beam_pipelines.dataflow_emulator import metrics, portable, staging, worker_environment
from beam_pipelines.dataflow_emulator.failures import JobError
from beam_pipelines.dataflow_emulator.jobs import Importance, Job, State
from beam_pipelines.dataflow_emulator.prism import Prism
from beam_pipelines.dataflow_emulator.prism import State as PrismState
from beam_pipelines.dataflow_emulator.storage import StorageEmulator
from beam_pipelines.dataflow_emulator.worker_environment import WorkerEnvironment
from beam_pipelines.dataflow_emulator.worker_pool import WorkerPool

_LOOK_SECONDS = 0.1  # between two looks at a running job
_STARTING_AT_ONCE = 1  # jobs; Prism gives up a worker that hasn't installed what was staged and reported in 60 s
_CANCEL_SECONDS = 5  # that Prism gets to cancel a job by itself


@dataclasses.dataclass(frozen=True)
class Site:
    """What executing takes: programs, the workers' packages and variables, and a directory for the jobs'.

    `starting` lets one job start at a time, however slow the machine is; the others wait as pending.
    """

    prism: Path
    boot: Path
    workers: WorkerEnvironment
    variables: Mapping[str, str]
    directory: Path
    starting: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(_STARTING_AT_ONCE))


def receive(job: Job, storage: StorageEmulator) -> bool:
    """Read the job's pipeline from staging and check its hash; a wrong one fails the job."""
    try:
        job.pipeline = staging.pipeline(storage, job.submission)
    except JobError as failure:
        job.fail(str(failure))
        return False
    return True


def execute(job: Job, site: Site, storage: StorageEmulator) -> None:
    """Run the job until it ends by itself or is asked to stop. Every outcome is the job's state; nothing is raised."""
    try:
        if receive(job, storage):
            _execute(job, site, storage)
    except JobError as failure:
        job.fail(str(failure))
    except Exception:
        job.fail(f"a defect of the emulator:\n{traceback.format_exc()}")


def _execute(job: Job, site: Site, storage: StorageEmulator) -> None:
    _check_versions(job)
    pipeline = type(job.pipeline)()
    pipeline.CopyFrom(job.pipeline)
    portable.drop_unused_environments(pipeline)
    portable.check(pipeline)
    directory = site.directory / job.id
    artifacts = directory / "artifacts"
    artifacts.mkdir(parents=True)
    staging.localise(storage, pipeline, artifacts)
    programs = site.workers.overlay(directory / "python")
    temporary = directory / "tmp"
    temporary.mkdir()
    # On Dataflow, a worker's default project is the job's.
    given = {**site.variables, "GOOGLE_CLOUD_PROJECT": job.submission.project}
    environment = worker_environment.variables(programs, temporary, given)
    if not _take_turn(job, site):
        return
    with _Turn(site.starting) as turn, closing(WorkerPool(site.boot, environment, directory)) as pool:
        portable.use_pool(pipeline, pool.address)
        with closing(Prism(site.prism, directory / "prism.log")) as prism:
            prism.connect()
            prism.run(job.submission.name, pipeline, portable.options(job.submission.options))
            job.say(Importance.JOB_MESSAGE_BASIC, f"One worker of this machine runs the job; its log is {prism.log}")
            job.measure(lambda: _measured(prism))
            job.move(State.JOB_STATE_RUNNING)
            _follow(job, prism, pool, turn)


def _take_turn(job: Job, site: Site) -> bool:
    """Wait until the job may start; False when it was stopped before."""
    while not site.starting.acquire(timeout=_LOOK_SECONDS):
        if job.stop_as is not None:
            job.move(job.stop_as)
            return False
    return True


class _Turn:
    """A place among the starting jobs, given back when the worker reports and at the latest at the end."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places: threading.Semaphore | None = places

    def __enter__(self) -> _Turn:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        if self._places is not None:
            self._places.release()
            self._places = None

    @property
    def ended(self) -> bool:
        return self._places is None


def _follow(job: Job, prism: Prism, pool: WorkerPool, turn: _Turn) -> None:
    while True:
        state, lost = prism.state(), pool.lost()
        if state == PrismState.DONE:
            job.measure(None)
            job.move(State.JOB_STATE_DONE)
            return
        if state == PrismState.FAILED or lost:
            job.measure(None)
            raise JobError(prism.why() or lost or "Prism ended the job without a reason")
        if job.stop_as is not None:
            job.measure(None)
            _stop(prism)
            job.move(job.stop_as)
            return
        if not turn.ended and prism.worker_reported():
            turn.end()
        time.sleep(_LOOK_SECONDS)


def _stop(prism: Prism) -> None:
    prism.cancel()
    deadline = time.monotonic() + _CANCEL_SECONDS
    while prism.state() not in (PrismState.CANCELLED, PrismState.DONE, PrismState.FAILED):
        if time.monotonic() > deadline:
            # A bundle that doesn't end holds it up; its worker is about to be ended.
            return
        time.sleep(_LOOK_SECONDS)


def _measured(prism: Prism) -> object:
    found = prism.metrics()
    return metrics.updates(found.attempted, found.committed)


def _check_versions(job: Job) -> None:
    python, beam = job.submission.sdk
    here = ".".join(platform.python_version_tuple()[:2]), importlib.metadata.version("apache-beam")
    if (python, beam) != here:
        raise JobError(
            f"the pipeline was made by Python {python} with Beam {beam}, the emulator's workers have Python {here[0]} "
            f"with Beam {here[1]}: start the emulator from the environment that submits"
        )
