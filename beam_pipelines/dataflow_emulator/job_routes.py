"""The calls of Google's Dataflow API that the Beam client and its own clients make about jobs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf.timestamp_pb2 import Timestamp

from beam_pipelines.dataflow_emulator import submission
from beam_pipelines.dataflow_emulator.jobs import Importance, Job, Jobs, State
from beam_pipelines.dataflow_emulator.service import Request, Route, bad_request

_PLACE = "/v1b3/projects/{project}/locations/{location}"
_JOB = _PLACE + "/jobs/{job}"

_VIEWS_WITH_ENVIRONMENT = frozenset({"JOB_VIEW_ALL", "JOB_VIEW_DESCRIPTION"})


def routes(jobs: Jobs) -> list[Route]:
    """The routes of jobs, their messages and their metrics."""
    calls = _JobCalls(jobs)
    return [
        Route("POST", _PLACE + "/jobs", calls.create),
        Route("GET", _PLACE + "/jobs", calls.list),
        Route("GET", "/v1b3/projects/{project}/jobs:aggregated", calls.list),
        Route("GET", _JOB, calls.get),
        Route("PUT", _JOB, calls.update),
        Route("GET", _JOB + "/messages", calls.messages),
        Route("GET", _JOB + "/metrics", calls.metrics),
    ]


class _JobCalls:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def create(self, request: Request) -> Any:
        return self._jobs.create(submission.read(request)).proto(full=True)

    def list(self, request: Request) -> Any:
        place = dict(request.path)
        answer = dataflow.ListJobsResponse.pb(dataflow.ListJobsResponse())
        wanted = _enum(dataflow.ListJobsRequest.Filter, request.query, "filter", "UNKNOWN").name
        name = request.query.get("name", "")
        for job in self._jobs.all():
            submitted = job.submission
            if submitted.project != place["project"] or submitted.location != place.get("location", submitted.location):
                continue
            if (wanted == "ACTIVE" and job.ended) or (wanted == "TERMINATED" and not job.ended):
                continue
            if name in ("", submitted.name):
                answer.jobs.append(job.proto(full=False))
        return answer

    def get(self, request: Request) -> Any:
        view = _enum(dataflow.JobView, request.query, "view", "JOB_VIEW_SUMMARY").name
        return self._job(request).proto(full=view in _VIEWS_WITH_ENVIRONMENT)

    def update(self, request: Request) -> Any:
        job = self._job(request)
        wanted = State(request.message(dataflow.Job.pb(dataflow.Job())).requested_state)
        if job.ended:
            raise bad_request(f"job {job.id} has ended as {job.state.name}: it can't become {wanted.name}")
        if wanted == State.JOB_STATE_CANCELLED:
            job.ask_to_stop(State.JOB_STATE_CANCELLED)
        elif wanted in (State.JOB_STATE_DRAINED, State.JOB_STATE_DRAINING):
            if not job.submission.streaming:
                raise bad_request(f"job {job.id} is a batch job: only streaming jobs can be drained")
            job.say(
                Importance.JOB_MESSAGE_WARNING,
                "The emulator can't drain as Google's service does: it stops the job, and windows that are open give "
                "no output",
            )
            job.ask_to_stop(State.JOB_STATE_DRAINED)
        else:
            raise bad_request(
                f"job.requestedState: {wanted.name} can't be asked for; JOB_STATE_CANCELLED and JOB_STATE_DRAINED can"
            )
        return job.proto(full=False)

    def messages(self, request: Request) -> Any:
        query = request.query
        least = _enum(dataflow.JobMessageImportance, query, "minimumImportance", "JOB_MESSAGE_IMPORTANCE_UNKNOWN")
        found = self._job(request).messages(minimum=least, start=_time(query, "startTime"), end=_time(query, "endTime"))
        answer = dataflow.ListJobMessagesResponse.pb(dataflow.ListJobMessagesResponse())
        answer.job_messages.extend(found)
        return answer

    def metrics(self, request: Request) -> Any:
        return self._job(request).metrics()

    def _job(self, request: Request) -> Job:
        return self._jobs.get(request.path["project"], request.path["location"], request.path["job"])


def _enum(kind: Any, query: Mapping[str, str], name: str, default: str) -> Any:
    """An enum value of the query, which clients write as its name or its number."""
    text = query.get(name, default)
    try:
        return kind(int(text)) if text.isdigit() else kind[text]
    except (KeyError, ValueError):
        allowed = ", ".join(each.name for each in kind)
        raise bad_request(f"{name}: there is no {kind.__name__} '{text}'. There is: {allowed}") from None


def _time(query: Mapping[str, str], name: str) -> datetime.datetime | None:
    text = query.get(name)
    if text is None:
        return None
    moment = Timestamp()
    try:
        moment.FromJsonString(text)
    except ValueError as wrong:
        raise bad_request(f"{name}: {wrong}") from None
    found: datetime.datetime = moment.ToDatetime(datetime.timezone.utc)
    return found
