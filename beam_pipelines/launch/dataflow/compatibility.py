"""Whether a running stream can be replaced by a new version of itself: steps, coders, state, side inputs.

The service compares the two graphs and refuses what it can't carry over, but only after the launcher has worked for
minutes. What is compared here is what its documentation names: every step of the old graph has to be in the new one,
under its name or under the one that a mapping gives, with the same coders; steps may be added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf.message import DecodeError

from beam_pipelines.errors import UsageError, did_you_mean

_FEW = 5  # steps that a message lists
_PARDO = common_urns.primitives.PAR_DO.urn


def check(service: Any, running: Any, entry: Any, options: Any, settings: Any, mapping: Mapping[str, str]) -> list[str]:
    """UsageError that tells all differences which forbid the update; returns what could not be checked."""
    from google.cloud import dataflow_v1beta3 as dataflow

    if running.type_ != dataflow.JobType.JOB_TYPE_STREAMING:
        raise UsageError(f"--job_name: '{running.name}' is a batch job, and only streams can be updated")
    old = running_graph(service, running)
    if old is None:
        return [f"the graph of the running job '{running.name}' can't be read: whether the new one fits is not checked"]
    found = differences(old, new_graph(entry, options, settings), mapping)
    if found:
        told = "\n".join(f"  {line}" for line in found)
        raise UsageError(f"the running job '{running.name}' can't be updated to this:\n{told}")
    return []


def running_graph(service: Any, running: Any) -> Any:
    """The pipeline proto of a running job, from where it was staged; None when that can't be read."""
    from google.protobuf import json_format

    from beam_pipelines.launch.dataflow import places

    whole = service.job(running.id, whole=True)
    environment = json_format.MessageToDict(type(whole).pb(whole)).get("environment", {})
    url = environment.get("sdkPipelineOptions", {}).get("options", {}).get("pipelineUrl")
    content = places.read_bytes(url) if url else None
    if content is None:
        return None
    try:
        return beam_runner_api_pb2.Pipeline.FromString(content)
    except DecodeError:
        return None


def new_graph(entry: Any, options: Any, settings: Any) -> Any:
    """The pipeline proto that would be submitted, made by the real DataflowRunner as a dry run."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    folder = settings.temp_location or "gs://not-used/temp"
    flags = [
        "--runner=DataflowRunner",
        f"--project={settings.project}",
        f"--region={settings.region}",
        f"--job_name={settings.job_name}",
        f"--temp_location={folder}",
        "--dry_run=True",
        *entry.beam_flags,
    ]
    pipeline = beam.Pipeline(options=PipelineOptions(flags))
    entry.load_build().build(pipeline, options)
    return pipeline.run().job.proto_pipeline


def differences(old: Any, new: Any, mapping: Mapping[str, str]) -> list[str]:
    """What forbids that `new` takes over from `old`, by the names of steps."""
    before, after = _steps(old), _steps(new)
    known = {name.rsplit("/", cut)[0] for name in before for cut in range(name.count("/") + 1)}
    complaints = [
        f"--transform_name_mapping: the running job has no step '{name}'.{_near(name, known)}"
        for name in mapping
        if name not in known
    ]
    for name, step in before.items():
        now = _mapped(name, mapping)
        if now == "":
            continue
        if now not in after:
            added = [each for each in after if each not in before]
            complaints.append(
                f"the step '{name}' is gone.{_near(now, added)} If it is called otherwise now, add "
                f"--transform_name_mapping '{name}=NEW NAME'"
            )
            continue
        complaints += [f"the step '{name}': {change}" for change in _changes(old, step, new, after[now])]
    return complaints


def _near(name: str, steps: Collection[str]) -> str:
    """The nearest step, or all of them if they are few."""
    hint = did_you_mean(name, steps)
    return hint.replace("There is:", "There is now:") if "mean" in hint or len(steps) <= _FEW else ""


def _steps(graph: Any) -> dict[str, Any]:
    """The steps that do something, by their full names."""
    return {
        step.unique_name: step
        for step in graph.components.transforms.values()
        if not step.subtransforms and step.spec.urn
    }


def _mapped(name: str, mapping: Mapping[str, str]) -> str:
    """The new name of a step: by itself, or by a composite that it is part of; empty when it is to be dropped."""
    for old, new in mapping.items():
        if name == old:
            return new
        if name.startswith(f"{old}/"):
            return f"{new}{name[len(old) :]}" if new else ""
    return name


def _changes(old: Any, before: Any, new: Any, after: Any) -> Iterator[str]:
    if before.spec.urn != after.spec.urn:
        yield f"was a {_kind(before.spec.urn)}, and is a {_kind(after.spec.urn)} now"
        return
    for tag in before.outputs:
        if tag not in after.outputs:
            yield f"its output '{tag}' is gone"
        elif _coder(old, before.outputs[tag]) != _coder(new, after.outputs[tag]):
            yield (
                f"the coder of its output{'' if tag == 'None' else f' {tag!r}'} changed, from "
                f"{_coder_name(old, before.outputs[tag])} to {_coder_name(new, after.outputs[tag])}: what is under way "
                "could not be read"
            )
    if before.spec.urn == _PARDO:
        yield from _pardo_changes(old, before, new, after)


def _pardo_changes(old: Any, before: Any, new: Any, after: Any) -> Iterator[str]:
    was = beam_runner_api_pb2.ParDoPayload.FromString(before.spec.payload)
    now = beam_runner_api_pb2.ParDoPayload.FromString(after.spec.payload)
    if set(was.side_inputs) != set(now.side_inputs):
        yield f"its side inputs changed: {len(was.side_inputs)} before, {len(now.side_inputs)} now"
    for name, spec in was.state_specs.items():
        if name not in now.state_specs:
            yield f"its state '{name}' is gone"
        elif _state(old, spec) != _state(new, now.state_specs[name]):
            yield f"its state '{name}' has another type or coder"
    for name in set(was.timer_family_specs) - set(now.timer_family_specs):
        yield f"its timer '{name}' is gone"


def _state(graph: Any, spec: Any) -> tuple[Any, ...]:
    kind = spec.WhichOneof("spec")
    inner = getattr(spec, kind)
    coders = [
        _coder_digest(graph, getattr(inner, field.name))
        for field in inner.DESCRIPTOR.fields
        if field.name.endswith("coder_id")
    ]
    return (kind, *coders)


def _coder(graph: Any, pcollection: str) -> str:
    return _coder_digest(graph, graph.components.pcollections[pcollection].coder_id)


def _coder_digest(graph: Any, id: str) -> str:
    """A hash of a coder with its components, whatever ids they have."""
    coder = graph.components.coders[id]
    parts = [coder.spec.urn, hashlib.sha256(coder.spec.payload).hexdigest()]
    return hashlib.sha256(
        "|".join([*parts, *(_coder_digest(graph, each) for each in coder.component_coder_ids)]).encode()
    ).hexdigest()


def _coder_name(graph: Any, pcollection: str) -> str:
    """A coder's kind with those of its components, such as `kv(bytes, varint)`."""

    def named(id: str) -> str:
        coder = graph.components.coders[id]
        inner = ", ".join(named(each) for each in coder.component_coder_ids)
        return _kind(coder.spec.urn) + (f"({inner})" if inner else "")

    return named(graph.components.pcollections[pcollection].coder_id)


def _kind(urn: str) -> str:
    """What a URN names, without where it is defined and its version."""
    parts = [part for part in urn.split(":") if part not in ("beam", "coder", "transform")]
    return parts[0] if parts else urn
