"""The submitted pipeline made runnable here: containers become workers of our own pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2, endpoints_pb2
from google.protobuf import json_format, struct_pb2

from beam_pipelines.dataflow_emulator.failures import JobError

_PYTHON_SDK = "beam:version:sdk_base:apache/beam_python"
_ONLY_IN_DATAFLOW = frozenset(
    {
        "beam:transform:pubsub_read:v1",
        "beam:transform:pubsub_write:v1",
        "beam:transform:pubsub_write:v2",
        "beam:transform:pubsub_write_dynamic:v1",
    }
)


def check(pipeline: Any) -> None:
    """Raise JobError for what runs on Google's service but not here."""
    inside = sorted(
        f"{transform.unique_name} ({transform.spec.urn})" for transform in primitives(pipeline, _ONLY_IN_DATAFLOW)
    )
    if inside:
        raise JobError(
            "Google's service runs these steps itself, and no runner on this machine has them: " + ", ".join(inside)
        )
    for environment in pipeline.components.environments.values():
        if environment.urn != common_urns.environments.DOCKER.urn:
            raise JobError(f"Dataflow runs steps in DOCKER environments only, not in {environment.urn}")
        if not any(capability.startswith(_PYTHON_SDK) for capability in environment.capabilities):
            payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
            raise JobError(f"the image {payload.container_image} is not of the Python SDK: the emulator has no other")


def primitives(pipeline: Any, urns: Iterable[str]) -> list[Any]:
    """The transforms of these URNs."""
    wanted = set(urns)
    return [transform for transform in pipeline.components.transforms.values() if transform.spec.urn in wanted]


def use_pool(pipeline: Any, address: str) -> None:
    """Make each DOCKER environment an EXTERNAL one: the worker pool at `address`."""
    payload = beam_runner_api_pb2.ExternalPayload(endpoint=endpoints_pb2.ApiServiceDescriptor(url=address))
    for environment in pipeline.components.environments.values():
        environment.urn = common_urns.environments.EXTERNAL.urn
        environment.payload = payload.SerializeToString()


def options(submitted: Mapping[str, Any]) -> Any:
    """The pipeline options as a Struct: in Dataflow's form for workers, and in Prism's for Prism."""
    merged = dict(submitted)
    for name in ("experiments", "streaming"):
        if name in submitted.get("options", {}):
            merged[f"beam:option:{name}:v1"] = submitted["options"][name]
    return json_format.ParseDict(merged, struct_pb2.Struct())


def drop_unused_environments(pipeline: Any) -> None:
    """Leave only the environments that transforms use: Prism starts workers for each that there is."""
    components = pipeline.components
    used = {transform.environment_id for transform in components.transforms.values()}
    for name in set(components.environments) - used:
        del components.environments[name]
