"""The container spec that a flex template is launched by, read as strictly as Google's own messages are."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

from beam_pipelines import __version__
from beam_pipelines.errors import UsageError
from beam_pipelines.pipelines import PipelineEntry
from beam_pipelines.templates.metadata import metadata

FILE = "container_spec.json"
METADATA_FILE = "metadata.json"


def container_spec(entry: PipelineEntry, image: str) -> dict[str, Any]:
    """The spec of a pipeline's template whose launcher and workers run in `image`."""
    environment: dict[str, Any] = {
        # Workers get what the launcher has: what was tested together runs together.
        "sdkContainerImage": image,
        "additionalUserLabels": {
            "beam-pipelines-template": entry.name.replace("_", "-"),
            "beam-pipelines-version": __version__.replace(".", "-"),
        },
    }
    if "batch" not in entry.modes:
        environment["enableStreamingEngine"] = True
    return {
        "image": image,
        "metadata": metadata(entry),
        "sdkInfo": {"language": "PYTHON", "version": importlib.metadata.version("apache-beam")},
        "defaultEnvironment": environment,
    }


def read_spec(text: str, source: str) -> Any:
    """Read a container spec strictly as `google.dataflow.v1beta3.ContainerSpec`. UsageError names `source`."""
    from google.cloud import dataflow_v1beta3 as dataflow

    return _read(text, dataflow.ContainerSpec.pb(dataflow.ContainerSpec()), source)


def read_metadata(text: str, source: str) -> Any:
    """Read metadata strictly as `google.dataflow.v1beta3.TemplateMetadata`. UsageError names `source`."""
    from google.cloud import dataflow_v1beta3 as dataflow

    return _read(text, dataflow.TemplateMetadata.pb(dataflow.TemplateMetadata()), source)


def _read(text: str, empty: Any, source: str) -> Any:
    from google.protobuf import json_format

    if not text.lstrip().startswith("{"):
        # Protobuf's parser takes an empty list for an empty message.
        raise UsageError(f"{source} is not a JSON object")
    try:
        return json_format.Parse(text, empty, ignore_unknown_fields=False)
    except json_format.ParseError as wrong:
        raise UsageError(f"{source} is not a {empty.DESCRIPTOR.name} of Dataflow: {wrong}") from wrong


def as_file(facts: dict[str, Any]) -> str:
    """JSON as it stands in a file: the same for the same facts."""
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
