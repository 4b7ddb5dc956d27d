"""Following a job: its messages as they come, until it is where one wants it or has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.launch.dataflow.service import ENDED, Service, State, state_name
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.failures import explain

_POLL_SECONDS = 5.0  # Google's own command asks as often; the API allows several calls a second
_POLL_SECONDS_HERE = 0.2  # an emulator on this machine
_GOOD = frozenset({State.JOB_STATE_DONE, State.JOB_STATE_DRAINED, State.JOB_STATE_UPDATED})
_SHOWN = {
    dataflow.JobMessageImportance.JOB_MESSAGE_WARNING: "warning: ",
    dataflow.JobMessageImportance.JOB_MESSAGE_ERROR: "error: ",
}


def follow(
    service: Service, id: str, wanted: Callable[[Any], bool], *, detailed: bool = False, after: Any = None
) -> Any:
    """Print a job's messages and states until `wanted(job)` or it has ended, and return the job then.

    An error message is printed with its first and last line: a traceback is for `explain`. `after` leaves out
    messages of before a time.
    """
    importance = dataflow.JobMessageImportance
    least = importance.JOB_MESSAGE_DETAILED if detailed else importance.JOB_MESSAGE_BASIC
    pause = _POLL_SECONDS if service.is_googles else _POLL_SECONDS_HERE
    told: set[str] = set()
    state = None
    while True:
        # First the state, then the messages: so that those of before an end are never missed.
        job = service.job(id)
        for message in service.messages(id, least, after):
            if message.id not in told:
                told.add(message.id)
                after = message.time
                print(f"  {message.time:%H:%M:%S} {_line(message)}", flush=True)
        if job.current_state != state:
            state = job.current_state
            print(f"job {id} is {state_name(state)}", flush=True)
        if state in ENDED or wanted(job):
            return job
        time.sleep(pause)


def outcome(service: Service, job: Any) -> ExitCode:
    """The exit code for a job that has ended or that goes on; says on standard error why one failed."""
    if job.current_state in _GOOD or job.current_state not in ENDED:
        return ExitCode.OK
    if job.current_state == State.JOB_STATE_CANCELLED:
        print("beam-pipelines: the job was cancelled; nothing was committed", file=sys.stderr)
        return ExitCode.FAILED
    errors = service.messages(job.id, dataflow.JobMessageImportance.JOB_MESSAGE_ERROR)
    # The service repeats the cause in its last message, without the traceback in which the error's kind is told.
    texts = [message.message_text for message in errors]
    told = next((text for text in texts if "Traceback" in text), texts[-1] if texts else "no reason is given")
    failure = explain(RuntimeError(told))
    print(f"beam-pipelines: {failure.message}", file=sys.stderr)
    return failure.code


def _line(message: Any) -> str:
    lines = str(message.message_text).strip().splitlines() or [""]
    text = lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"
    return f"{_SHOWN.get(message.message_importance, '')}{text}"
