"""What a client submits: the Job of the Dataflow API, read strictly and checked as Google's service does."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

from beam_pipelines.dataflow_emulator.service import Request, bad_request

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PYTHON = re.compile(r"Apache Beam Python (\d+\.\d+) SDK")


@dataclasses.dataclass(frozen=True)
class Submission:
    """A job request that passed the checks.

    `job` is the request's Job proto, unchanged; `pipeline_url` and `pipeline_hash` say where the
    pipeline was staged and the SHA-256 it must have; `options` is what workers get as pipeline options.
    """

    project: str
    location: str
    job: Any
    pipeline_url: str
    pipeline_hash: str
    options: dict[str, Any]
    streaming: bool

    @property
    def name(self) -> str:
        """The job's name, unique among the running ones."""
        return str(self.job.name)

    @property
    def sdk(self) -> tuple[str, str]:
        """The versions of Python and Beam that made the pipeline, such as ("3.11", "2.77.0")."""
        agent = json_format.MessageToDict(self.job.environment.user_agent)
        python = _PYTHON.fullmatch(str(agent.get("name", "")))
        return (python[1] if python else "unknown", str(agent.get("version", "unknown")))


def read(request: Request) -> Submission:
    """Read the body of a create-job call. Raises a 400 that names the first field that is wrong."""
    job = request.message(dataflow.Job.pb(dataflow.Job()))
    return check(job, request.path["project"], request.path["location"])


def check_name(name: str, field: str) -> None:
    """Raise a 400 for what can't be a job's name."""
    if not _NAME.fullmatch(name):
        raise bad_request(
            f"{field}: '{name}' is not a job name; it has lower-case letters, digits and dashes, "
            "begins with a letter and doesn't end with a dash"
        )


def check(job: Any, project: str, location: str) -> Submission:
    """Check a Job proto. Raises a 400 that names the first field that is wrong."""
    check_name(job.name, "job.name")
    for field, path in (("project_id", project), ("location", location)):
        if getattr(job, field) not in ("", path):
            raise bad_request(f"job.{field}: '{getattr(job, field)}' is not '{path}', which the address says")
    if job.type_ not in (dataflow.JobType.JOB_TYPE_BATCH, dataflow.JobType.JOB_TYPE_STREAMING):
        raise bad_request("job.type: must be JOB_TYPE_BATCH or JOB_TYPE_STREAMING")
    if job.steps:
        raise bad_request("job.steps: must be empty; jobs with steps are from SDKs before portable submission")
    if not job.environment.worker_pools:
        raise bad_request("job.environment.workerPools: there is none")
    sdk_options = json_format.MessageToDict(job.environment.sdk_pipeline_options)
    options = sdk_options.get("options", {})
    return Submission(
        project=project,
        location=location,
        job=job,
        pipeline_url=_staged(options, "pipelineUrl"),
        pipeline_hash=_hash(options),
        options=sdk_options,
        streaming=job.type_ == dataflow.JobType.JOB_TYPE_STREAMING,
    )


def _staged(options: dict[str, Any], name: str) -> str:
    url = str(options.get(name, ""))
    if not re.fullmatch(r"gs://[^/]+/.+", url):
        raise bad_request(
            f"job.environment.sdkPipelineOptions.options.{name}: '{url}' is not gs://BUCKET/OBJECT; "
            "stage with --temp_location=gs://… or --staging_location=gs://…"
        )
    return url


def _hash(options: dict[str, Any]) -> str:
    digest = str(options.get("pipelineProtoHash", ""))
    if not _SHA256.fullmatch(digest):
        raise bad_request(
            f"job.environment.sdkPipelineOptions.options.pipelineProtoHash: '{digest}' is not a SHA-256 in hex"
        )
    return digest
