"""Jobs: their states, messages and metrics, and the table that holds them."""

from __future__ import annotations

import datetime
import random
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.dataflow_emulator.flex_launch import Launch
from beam_pipelines.dataflow_emulator.service import RefusalError, bad_request
from beam_pipelines.dataflow_emulator.submission import Submission

State = dataflow.JobState
Importance = dataflow.JobMessageImportance

TERMINAL = frozenset(
    {
        State.JOB_STATE_DONE,
        State.JOB_STATE_FAILED,
        State.JOB_STATE_CANCELLED,
        State.JOB_STATE_UPDATED,
        State.JOB_STATE_DRAINED,
    }
)
_STOPPING = {
    State.JOB_STATE_CANCELLED: State.JOB_STATE_CANCELLING,
    State.JOB_STATE_DRAINED: State.JOB_STATE_DRAINING,
    # The old job of an update shows no state between.
    State.JOB_STATE_UPDATED: State.JOB_STATE_RUNNING,
}
_RANKED = (
    # The numbers of the enum don't follow the importance.
    Importance.JOB_MESSAGE_IMPORTANCE_UNKNOWN,
    Importance.JOB_MESSAGE_DEBUG,
    Importance.JOB_MESSAGE_DETAILED,
    Importance.JOB_MESSAGE_BASIC,
    Importance.JOB_MESSAGE_WARNING,
    Importance.JOB_MESSAGE_ERROR,
)


def now() -> datetime.datetime:
    """The present, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


class Job:
    """One submitted job. All methods may be called from any thread.

    `stop_as` is the terminal state somebody asked for (cancelled, drained, updated), or None; `pipeline`
    is the submitted pipeline proto, once it was read from staging and its hash was right. `launch` is what
    a flex template's program is started with, None if a client submitted the job; until that program has
    ended, `submission` holds no more than a name.
    """

    def __init__(self, submission: Submission, id: str, launch: Launch | None = None) -> None:
        self.submission = submission
        self.id = id
        self.launch = launch
        self.pipeline: Any = None
        self.stop_as: Any = None
        self.replaced_by = ""
        self.created = now()
        self._state = State.JOB_STATE_PENDING if launch is None else State.JOB_STATE_QUEUED
        self._since = self.created
        self._changed = threading.Condition()
        self._messages: list[Any] = []
        self._live_metrics: Callable[[], Any] | None = None
        self._metrics: Any = dataflow.JobMetrics.pb(dataflow.JobMetrics())

    @property
    def state(self) -> Any:
        """The current JobState."""
        return self._state

    @property
    def ended(self) -> bool:
        """Whether the state is terminal."""
        return self._state in TERMINAL

    def move(self, state: Any) -> bool:
        """Go to a state; False when the job had ended, and stays as it is."""
        with self._changed:
            if self.ended:
                return False
            self._state = state
            self._since = now()
            self._changed.notify_all()
            return True

    def wait(self, seconds: float) -> Any:
        """Wait until the job has ended, for at most so long. Returns the state then."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended, seconds)
            return self._state

    def wait_for(self, state: Any, seconds: float) -> bool:
        """Wait until the job is in this state or has ended, for at most so long; whether it is in it."""
        with self._changed:
            self._changed.wait_for(lambda: self._state == state or self.ended, seconds)
            return bool(self._state == state)

    def say(self, importance: Any, text: str) -> None:
        """Add a message, which the client prints."""
        with self._changed:
            message = dataflow.JobMessage(
                id=f"{self.id}-{len(self._messages):06d}", time=now(), message_text=text, message_importance=importance
            )
            self._messages.append(dataflow.JobMessage.pb(message))

    def fail(self, cause: str) -> None:
        """End as failed. The cause becomes a message first, since a client that sees none waits for it."""
        if not self.ended:
            self.say(Importance.JOB_MESSAGE_ERROR, cause)
            self.say(Importance.JOB_MESSAGE_ERROR, f"Workflow failed. Causes: {cause.strip().splitlines()[-1]}")
        self.move(State.JOB_STATE_FAILED)

    def ask_to_stop(self, state: Any) -> None:
        """Ask whoever executes the job to stop it and to leave it in this terminal state."""
        with self._changed:
            if self.stop_as is None and self.move(_STOPPING[state]):
                self.stop_as = state
                self._changed.notify_all()

    def wait_until_stopped(self) -> None:
        """Do nothing until somebody asks to stop the job, and end it so. For jobs that nobody executes."""
        with self._changed:
            self._changed.wait_for(lambda: self.stop_as is not None or self.ended)
        if self.stop_as is not None:
            self.move(self.stop_as)

    def messages(
        self, minimum: Any, start: datetime.datetime | None = None, end: datetime.datetime | None = None
    ) -> list[Any]:
        """The messages (protos) of at least this importance, from `start` up to before `end`."""
        lowest = _RANKED.index(minimum)
        with self._changed:
            return [
                message
                for message in self._messages
                if _RANKED.index(Importance(message.message_importance)) >= lowest
                and (start is None or message.time.ToDatetime(datetime.timezone.utc) >= start)
                and (end is None or message.time.ToDatetime(datetime.timezone.utc) < end)
            ]

    def measure(self, source: Callable[[], Any] | None) -> None:
        """Say where metrics (a JobMetrics proto) come from while the job runs; None keeps the last."""
        if source is None and self._live_metrics is not None:
            self._metrics = self._live_metrics()
        self._live_metrics = source

    def metrics(self) -> Any:
        """The job's metrics now, as a JobMetrics proto."""
        source = self._live_metrics
        return self._metrics if source is None else source()

    def proto(self, *, full: bool) -> Any:
        """The Job as the API shows it; what was submitted is in the full view only."""
        job = dataflow.Job.pb(dataflow.Job())
        job.CopyFrom(self.submission.job)
        if not full:
            job.ClearField("environment")
        job.id = self.id
        job.project_id = self.submission.project
        job.location = self.submission.location
        job.current_state = self._state
        job.replaced_by_job_id = self.replaced_by
        job.create_time.FromDatetime(self.created)
        job.start_time.FromDatetime(self.created)
        job.current_state_time.FromDatetime(self._since)
        return job


class Jobs:
    """The jobs submitted so far. `begin` is called with each new one, and must return at once."""

    def __init__(self, begin: Callable[[Job], None]) -> None:
        self._begin = begin
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def create(self, submission: Submission, launch: Launch | None = None) -> Job:
        """Take a job. A repeated request returns the first one's job; a running job's name is a 409.

        A job that replaces another does so at once; when it is launched, once its program has submitted it and
        `replace` is called.
        """
        with self._lock:
            for job in self._active(submission.project, submission.location, submission.name):
                if launch is None and job.submission.job.client_request_id == submission.job.client_request_id:
                    return job
                if job.id != submission.job.replace_job_id:
                    raise RefusalError(
                        HTTPStatus.CONFLICT,
                        f"There is already an active job named {job.submission.name} with id {job.id}. "
                        "If you want to submit a second job, try again by setting a different name.",
                    )
            old = self._replaced(submission)
            job = Job(submission, _new_id(), launch)
            self._jobs[job.id] = job
        if old is not None and launch is None:
            self.replace(old, job)
        self._begin(job)
        return job

    def replace(self, old: Job, job: Job) -> None:
        """Stop a job for its successor."""
        old.replaced_by = job.id
        old.ask_to_stop(State.JOB_STATE_UPDATED)
        job.say(Importance.JOB_MESSAGE_WARNING, f"The emulator starts afresh: no state is taken over from {old.id}")

    def running(self, project: str, location: str, name: str) -> Job | None:
        """The job of this name that hasn't ended, if there is one."""
        with self._lock:
            return next(iter(self._active(project, location, name)), None)

    def get(self, project: str, location: str, id: str) -> Job:
        """A job by its id. Raises a 404."""
        job = self._jobs.get(id)
        if job is None or (job.submission.project, job.submission.location) != (project, location):
            raise RefusalError(
                HTTPStatus.NOT_FOUND, f"there is no job '{id}' in project '{project}', location '{location}'"
            )
        return job

    def all(self) -> list[Job]:
        """Every job, the newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def _active(self, project: str, location: str, name: str) -> Iterable[Job]:
        return [
            job
            for job in self._jobs.values()
            if (job.submission.project, job.submission.location, job.submission.name) == (project, location, name)
            and not job.ended
            and job.stop_as is None
        ]

    def _replaced(self, submission: Submission) -> Job | None:
        wanted = submission.job.replace_job_id
        if not wanted:
            return None
        for job in self._active(submission.project, submission.location, submission.name):
            if job.id == wanted and job.submission.streaming:
                return job
        raise bad_request(
            f"job.replaceJobId: '{wanted}' is not a running streaming job of the name '{submission.name}'"
        )


def _new_id() -> str:
    return f"{now():%Y-%m-%d_%H_%M_%S}-{random.randrange(10**18, 10**19)}"  # noqa: S311  # a name, not a secret
