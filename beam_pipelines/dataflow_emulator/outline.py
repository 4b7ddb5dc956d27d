"""What Dataflow would receive, in a form that can be compared: the same for two equal submissions.

Names, times, paths and hashes that change with every submission are left out or replaced by whether
they hold together.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf import json_format

from beam_pipelines.dataflow_emulator.jobs import Job

# Staged only when the submitter has pip, and not looked at by any service.
_INCIDENTAL = frozenset({"submission_environment_dependencies.txt"})


def outline(job: Job) -> dict[str, Any]:
    """Environments, hashes, experiments, transform URNs and more of a job whose pipeline was received.

    Plain values with sorted lists, fit for JSON.
    """
    submitted = json_format.MessageToDict(job.submission.job)
    environment = submitted["environment"]
    components = job.pipeline.components
    return {
        "type": submitted["type"],
        "labels": submitted.get("labels", {}),
        "experiments": sorted(environment.get("experiments", [])),
        "service_options": sorted(environment.get("serviceOptions", [])),
        "user_agent": environment["userAgent"],
        "version": environment["version"],
        "worker_pools": [_worker_pool(pool) for pool in environment["workerPools"]],
        "environments": sorted(
            (_environment(each) for each in components.environments.values()), key=lambda each: str(each["image"])
        ),
        "transforms": {
            transform.unique_name: transform.spec.urn
            for transform in sorted(components.transforms.values(), key=lambda each: each.unique_name)
            if not transform.subtransforms
        },
        "coders": sorted({coder.spec.urn for coder in components.coders.values()}),
        "unbounded": sorted(
            name
            for transform in components.transforms.values()
            if not transform.subtransforms
            for name in [transform.unique_name]
            if any(_unbounded(components.pcollections[id]) for id in transform.outputs.values())
        ),
        "requirements": sorted(job.pipeline.requirements),
    }


def _worker_pool(pool: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": pool["kind"],
        "machine_type": pool.get("machineType", ""),
        "workers": pool.get("numWorkers", 0),
        "autoscaling": pool.get("autoscalingSettings", {}),
        "image": pool.get("workerHarnessContainerImage", ""),
        "packages": sorted({package["name"] for package in pool.get("packages", [])} - _INCIDENTAL),
    }


def _environment(environment: Any) -> dict[str, Any]:
    image = ""
    if environment.urn == common_urns.environments.DOCKER.urn:
        image = beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
    artifacts = [_artifact(each) for each in environment.dependencies]
    return {
        "urn": environment.urn,
        "image": image,
        "capabilities": sorted(environment.capabilities),
        "artifacts": sorted(
            (each for each in artifacts if each["name"] not in _INCIDENTAL), key=lambda each: str(each["name"])
        ),
    }


def _artifact(artifact: Any) -> dict[str, Any]:
    payload = beam_runner_api_pb2.ArtifactUrlPayload.FromString(artifact.type_payload)
    role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
    return {
        "name": role.staged_name or PurePosixPath(payload.url).name,
        "type": artifact.type_urn,
        "role": artifact.role_urn,
        "hashed": bool(payload.sha256),
    }


def _unbounded(pcollection: Any) -> bool:
    return bool(pcollection.is_bounded == beam_runner_api_pb2.IsBounded.UNBOUNDED)
