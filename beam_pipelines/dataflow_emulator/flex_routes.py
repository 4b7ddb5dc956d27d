"""The call that launches a flex template."""

from __future__ import annotations

from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.dataflow_emulator import flex_launch, submission
from beam_pipelines.dataflow_emulator.jobs import Jobs
from beam_pipelines.dataflow_emulator.service import Request, Route, bad_request
from beam_pipelines.dataflow_emulator.storage import StorageEmulator
from beam_pipelines.dataflow_emulator.submission import Submission


def routes(jobs: Jobs, storage: StorageEmulator) -> list[Route]:
    """The routes of flex templates."""
    calls = _FlexCalls(jobs, storage)
    return [Route("POST", "/v1b3/projects/{project}/locations/{location}/flexTemplates:launch", calls.launch)]


class _FlexCalls:
    def __init__(self, jobs: Jobs, storage: StorageEmulator) -> None:
        self._jobs = jobs
        self._storage = storage

    def launch(self, request: Request) -> Any:
        message = request.message(dataflow.LaunchFlexTemplateRequest.pb(dataflow.LaunchFlexTemplateRequest()))
        project, location = request.path["project"], request.path["location"]
        for field, path in (("project_id", project), ("location", location)):
            if getattr(message, field) not in ("", path):
                raise bad_request(f"{field}: '{getattr(message, field)}' is not '{path}', which the address says")
        parameter = message.launch_parameter
        submission.check_name(parameter.job_name, "launchParameter.jobName")
        launch = flex_launch.read(parameter, self._storage)
        named = self._named(project, location, parameter.job_name, launch)
        answer = dataflow.LaunchFlexTemplateResponse.pb(dataflow.LaunchFlexTemplateResponse())
        if not message.validate_only:
            answer.job.CopyFrom(self._jobs.create(named, launch).proto(full=False))
        return answer

    def _named(self, project: str, location: str, name: str, launch: flex_launch.Launch) -> Submission:
        """What is known of the job before its program has submitted it."""
        job = dataflow.Job.pb(dataflow.Job())
        job.name = name
        streaming = launch.spec.metadata.streaming
        if launch.update:
            running = self._jobs.running(project, location, name)
            if running is None:
                raise bad_request(f"launchParameter.update: there is no running job named '{name}'")
            job.replace_job_id = running.id
            streaming = running.submission.streaming
        job.type_ = dataflow.JobType.JOB_TYPE_STREAMING if streaming else dataflow.JobType.JOB_TYPE_BATCH
        return Submission(project, location, job, pipeline_url="", pipeline_hash="", options={}, streaming=streaming)
