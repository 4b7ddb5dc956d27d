"""`status`, `cancel` and `drain`: a job that was submitted before."""

from __future__ import annotations

import json
import sys
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.dataflow.follow import follow, outcome
from beam_pipelines.launch.dataflow.service import ENDED, Service, State, state_name
from beam_pipelines.launch.dataflow.settings import ServiceOptions
from beam_pipelines.launch.dataflow.words import Asked
from beam_pipelines.launch.exit_codes import ExitCode


def status(asked: Asked[ServiceOptions]) -> ExitCode:
    """Print a job's state and its warnings and errors."""
    service = Service(asked.settings)
    job = service.find(asked.subject)
    messages = service.messages(job.id, dataflow.JobMessageImportance.JOB_MESSAGE_WARNING)
    if asked.flags.format == "json":
        print(json.dumps(_facts(job, messages), indent=2, ensure_ascii=False))
    else:
        print(f"{job.name}  {_kind(job)}  {state_name(job.current_state)} since {_time(job.current_state_time)}")
        print(f"job {job.id}, made {_time(job.create_time)}")
        if job.replaced_by_job_id:
            print(f"replaced by job {job.replaced_by_job_id}")
        for message in messages:
            print(f"  {message.time:%H:%M:%S} {message.message_text.strip().splitlines()[0]}")
    return outcome(service, job)


def stop(asked: Asked[ServiceOptions], state: Any) -> ExitCode:
    """Cancel or drain a job, and wait until it is so."""
    service = Service(asked.settings)
    job = service.find(asked.subject)
    if job.current_state in ENDED:
        raise UsageError(f"job {job.id} has ended already: it is {state_name(job.current_state)}")
    if state == State.JOB_STATE_DRAINED and job.type_ != dataflow.JobType.JOB_TYPE_STREAMING:
        raise UsageError(
            f"job {job.id} is a batch job, and only streams can be drained: `beam-pipelines cancel` stops it, and "
            "nothing of it is committed"
        )
    service.ask_for(job.id, state)
    if asked.flags.no_wait:
        print(f"asked that job {job.id} be {state_name(state)}")
        return ExitCode.OK
    ended = follow(service, job.id, lambda _: False, after=job.current_state_time)
    if ended.current_state != state:
        print(f"beam-pipelines: job {job.id} ended before it could be {state_name(state)}", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.OK


def _facts(job: Any, messages: list[Any]) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "type": _kind(job),
        "state": state_name(job.current_state),
        "since": _time(job.current_state_time),
        "created": _time(job.create_time),
        "replaced_by": job.replaced_by_job_id or None,
        "messages": [{"time": _time(each.time), "text": each.message_text} for each in messages],
    }


def _kind(job: Any) -> str:
    return "stream" if job.type_ == dataflow.JobType.JOB_TYPE_STREAMING else "batch"


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment is not None else "?"
