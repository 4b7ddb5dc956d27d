"""A launch of a flex template, checked as Google's service does before it makes a job."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

from beam_pipelines.dataflow_emulator.service import bad_request
from beam_pipelines.dataflow_emulator.storage import ObjectMissingError, StorageEmulator

_SPEC_PATH = re.compile(r"gs://[^/]+/.+")


@dataclasses.dataclass(frozen=True)
class Launch:
    """What a launched job's program is started with. `spec` is a ContainerSpec proto, `environment` its default
    environment with what the launch says over it."""

    spec: Any
    parameters: Mapping[str, str]
    environment: Any
    update: bool = False
    transform_name_mappings: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(parameter: Any, storage: StorageEmulator) -> Launch:
    """Read a LaunchFlexTemplateParameter proto. Raises a 400 that tells what is wrong with it."""
    spec = _spec(parameter, storage)
    if not spec.image:
        raise bad_request("The container spec names no image")
    wrong = list(_wrong_parameters(spec.metadata, parameter.parameters))
    if wrong:
        raise bad_request("The template parameters are invalid. Details: \n" + "\n".join(wrong))
    environment = dataflow.FlexTemplateRuntimeEnvironment.pb(dataflow.FlexTemplateRuntimeEnvironment())
    environment.CopyFrom(spec.default_environment)
    environment.MergeFrom(parameter.environment)
    return Launch(
        spec=spec,
        parameters=dict(parameter.parameters),
        environment=environment,
        update=parameter.update,
        transform_name_mappings=dict(parameter.transform_name_mappings),
    )


def _spec(parameter: Any, storage: StorageEmulator) -> Any:
    kind = parameter.WhichOneof("template")
    if kind is None:
        raise bad_request("launchParameter: neither containerSpecGcsPath nor containerSpec is given")
    if kind == "container_spec":
        return parameter.container_spec
    path = parameter.container_spec_gcs_path
    if not _SPEC_PATH.fullmatch(path):
        raise bad_request(f"launchParameter.containerSpecGcsPath: '{path}' is not gs://BUCKET/OBJECT")
    try:
        text = storage.read(path).decode("utf-8")
    except ObjectMissingError:
        raise bad_request(f"Unable to read the container spec: there is no object {path}") from None
    except UnicodeDecodeError:
        raise bad_request(f"Unable to parse the container spec {path}: it is not text") from None
    empty = dataflow.ContainerSpec.pb(dataflow.ContainerSpec())
    try:
        if not text.lstrip().startswith("{"):
            raise json_format.ParseError("it is not a JSON object")
        return json_format.Parse(text, empty, ignore_unknown_fields=False)
    except json_format.ParseError as wrong:
        raise bad_request(f"Unable to parse the container spec {path}: {wrong}") from None


def _wrong_parameters(metadata: Any, given: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the parameters, by the template's metadata. Their values are not shown."""
    known = {each.name: each for each in metadata.parameters}
    for name, about in known.items():
        if name not in given:
            if not about.is_optional:
                yield f"{name}: Missing required parameter"
            continue
        value = given[name]
        for regex in about.regexes:
            if re.search(_whole(regex), value) is None:
                yield f"{name}: Unmatched parameter value, it doesn't match the regex {regex}"
        options = [each.value for each in about.enum_options]
        if options and value and value not in options:
            yield f"{name}: Unmatched parameter value, it is not one of {', '.join(options)}"
    if known:  # a template without metadata takes whatever it is given
        for name in given:
            if name not in known:
                yield f"{name}: Unrecognized parameter"


def _whole(regex: str) -> str:
    """The service wants the whole value to match; `$` of Python also lets a line end follow."""
    return rf"\A(?:{regex.removeprefix('^').removesuffix('$')})\Z"
