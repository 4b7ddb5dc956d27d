"""The graph that a pipeline builds with given parameters: groups of streams that never come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from beam_pipelines import options
from beam_pipelines.pipelines import PipelineEntry
from beam_pipelines.templates.lint.findings import Finding


def graph_findings(entry: PipelineEntry, parameters: Mapping[str, str]) -> Iterator[Finding]:
    """Build the graph and look at it. UsageError for wrong parameters."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions

    parsed = options.parse(entry.options, parameters, source=entry.name)
    asked = PipelineOptions(entry.beam_flags)
    asked.view_as(TypeOptions).allow_unsafe_triggers = True  # so that Beam doesn't stop at the first
    pipeline = beam.Pipeline(options=asked)
    entry.load_build().build(pipeline, parsed)
    for step in unfinished(pipeline.to_runner_api()):
        yield Finding(
            "error",
            "global-window",
            entry.name,
            f"the step '{step}' groups a stream in the global window without a trigger: its groups never come out",
        )


def unfinished(graph: Any) -> Iterator[str]:
    """Names of the steps of a pipeline proto that group an unbounded collection in the global window and have no
    trigger before its end."""
    from apache_beam.portability import common_urns
    from apache_beam.portability.api import beam_runner_api_pb2

    parts = graph.components
    for step in parts.transforms.values():
        if step.spec.urn != common_urns.primitives.GROUP_BY_KEY.urn:
            continue
        for id in step.inputs.values():
            collection = parts.pcollections[id]
            windowing = parts.windowing_strategies[collection.windowing_strategy_id]
            unbounded = collection.is_bounded == beam_runner_api_pb2.IsBounded.UNBOUNDED
            is_global = windowing.window_fn.urn == common_urns.global_windows.urn
            if unbounded and is_global and windowing.trigger.WhichOneof("trigger") in (None, "default", "never"):
                yield step.unique_name
