"""What is sent to Dataflow to launch a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.dataflow.service import launch_request
from beam_pipelines.launch.dataflow.settings import EnvironmentOptions, LaunchOptions, ServiceOptions, UpdateOptions

_SAME_NAME = (
    "temp_location",
    "staging_location",
    "num_workers",
    "max_workers",
    "machine_type",
    "disk_size_gb",
    "service_account_email",
    "network",
    "subnetwork",
    "kms_key_name",
    "sdk_container_image",
)
"""Options that FlexTemplateRuntimeEnvironment calls the same."""


def launch_parameter(settings: LaunchOptions, job_name: str, parameters: Mapping[str, str]) -> Any:
    """A LaunchFlexTemplateParameter for a new job."""
    return dataflow.LaunchFlexTemplateParameter(
        job_name=job_name,
        container_spec_gcs_path=settings.template,
        parameters=dict(parameters),
        environment=environment(settings),
    )


def update_parameter(settings: UpdateOptions, parameters: Mapping[str, str]) -> Any:
    """A LaunchFlexTemplateParameter that replaces the running job of the name."""
    return dataflow.LaunchFlexTemplateParameter(
        job_name=settings.job_name,
        container_spec_gcs_path=settings.template,
        parameters=dict(parameters),
        environment=environment(settings),
        update=True,
        transform_name_mappings=mapping(settings),
    )


def environment(settings: EnvironmentOptions) -> Any:
    """A FlexTemplateRuntimeEnvironment; what isn't given stays the template's. UsageError for a contradiction."""
    if settings.num_workers and settings.max_workers and settings.num_workers > settings.max_workers:
        raise UsageError(f"--num_workers: {settings.num_workers} are more than --max_workers {settings.max_workers}")
    found = dataflow.FlexTemplateRuntimeEnvironment(
        **{name: value for name in _SAME_NAME if (value := getattr(settings, name)) is not None},
        additional_experiments=list(settings.additional_experiments),
        additional_user_labels=dict(label.split("=", 1) for label in settings.labels),
    )
    if settings.private_ips:
        found.ip_configuration = dataflow.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE
    if settings.streaming_mode is not None:
        found.streaming_mode = dataflow.StreamingMode[f"STREAMING_MODE_{settings.streaming_mode.upper()}"]
    return found


def mapping(settings: UpdateOptions) -> dict[str, str]:
    """Old step names → new ones."""
    return dict(pair.split("=", 1) for pair in settings.transform_name_mapping)


def new_job_name(pipeline: str, now: datetime) -> str:
    """A name for a job: the pipeline's with the time.

    >>> new_job_name("event_analytics", datetime(2024, 2, 3, 4, 5, 6))
    'event-analytics-20240203-040506'
    """
    return f"{re.sub('[^a-z0-9]+', '-', pipeline.lower()).strip('-')}-{now:%Y%m%d-%H%M%S}"


def as_json(options: ServiceOptions, parameter: Any) -> str:
    """The request exactly as it is sent: method and path, and the body as JSON."""
    request = launch_request(options, parameter)
    body = json.loads(dataflow.LaunchFlexTemplateRequest.to_json(request, always_print_fields_with_no_presence=False))
    place = f"projects/{body.pop('projectId')}/locations/{body.pop('location')}"
    head = f"POST {(options.dataflow_endpoint or 'https://dataflow.googleapis.com').rstrip('/')}"
    return f"{head}/v1b3/{place}/flexTemplates:launch\n{json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True)}"
