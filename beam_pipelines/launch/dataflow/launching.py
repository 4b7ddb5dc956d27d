"""`launch` and `update`: checked here, submitted, followed."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.launch import summary
from beam_pipelines.launch.dataflow import checks, compatibility, request
from beam_pipelines.launch.dataflow.follow import follow, outcome
from beam_pipelines.launch.dataflow.service import Service, State
from beam_pipelines.launch.dataflow.settings import LaunchOptions, UpdateOptions
from beam_pipelines.launch.dataflow.words import Asked
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.pipelines import PipelineEntry


def launch(entry: PipelineEntry, asked: Asked[LaunchOptions]) -> ExitCode:
    """Launch a template. UsageError for what is wrong, before anything is submitted."""
    settings = asked.settings
    checked = _checked(entry, asked)
    name = settings.job_name or request.new_job_name(entry.name, datetime.now(timezone.utc))
    parameter = request.launch_parameter(settings, name, checked.parameters)
    if asked.flags.dry_run:
        print(request.as_json(settings, parameter))
        return ExitCode.OK
    if checked.committed:
        print(f"run {checked.run.run_id} is committed already, with the same options and input: nothing was launched")
        _show(checked)
        return ExitCode.OK
    service = Service(settings)
    service.check_free(name)
    return _follow(service, service.launch(parameter), asked, checked)


def update(entry: PipelineEntry, asked: Asked[UpdateOptions]) -> ExitCode:
    """Replace a running job by a new version of itself, if the service can carry its state over."""
    settings = asked.settings
    checked = _checked(entry, asked)
    service = Service(settings)
    running = service.running(settings.job_name)
    mapping = request.mapping(settings)
    for unsure in compatibility.check(service, running, entry, checked.options, settings, mapping):
        print(f"beam-pipelines: {unsure}", file=sys.stderr)
    parameter = request.update_parameter(settings, checked.parameters)
    if asked.flags.dry_run:
        print(request.as_json(settings, parameter))
        return ExitCode.OK
    return _follow(service, service.launch(parameter), asked, checked)


def _checked(entry: PipelineEntry, asked: Asked[Any]) -> checks.Checked:
    checked = checks.check(entry, asked.parameters, asked.settings.template)
    for unsure in checked.unsure:
        print(f"beam-pipelines: {unsure}", file=sys.stderr)
    return checked


def _follow(service: Service, job: Any, asked: Asked[Any], checked: checks.Checked) -> ExitCode:
    place = f"--project {service.options.project} --region {service.options.region}"
    if service.options.dataflow_endpoint:
        place += f" --dataflow_endpoint {service.options.dataflow_endpoint}"
    print(f"launched {job.name}, job {job.id}")
    if asked.flags.no_wait:
        print(f"`beam-pipelines status {job.id} {place}` tells what becomes of it")
        return ExitCode.OK
    try:
        ended = follow(service, job.id, _is_where_wanted, detailed=asked.flags.verbose)
    except KeyboardInterrupt:
        print(f"the job goes on; `beam-pipelines cancel {job.id} {place}` stops it", file=sys.stderr)
        raise
    code = outcome(service, ended)
    if code is ExitCode.OK and ended.current_state == State.JOB_STATE_DONE:
        _show(checked)
    return code


def _is_where_wanted(job: Any) -> bool:
    """A stream runs for ever: that it runs is what one waits for."""
    streams = job.type_ == dataflow.JobType.JOB_TYPE_STREAMING
    return bool(streams and job.current_state == State.JOB_STATE_RUNNING)


def _show(checked: checks.Checked) -> None:
    if checked.run is None:
        return
    try:
        print("\n".join(summary.lines(checked.options.output, checked.run.run_id)))
    except OSError as unreadable:
        print(f"beam-pipelines: the run is done, but its balance can't be read: {unreadable}", file=sys.stderr)
