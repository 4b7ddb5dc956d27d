"""The pipelines as transforms of Beam YAML, described there by the one definition of their options.

A provider file names them (`docs/reference/beam_yaml_providers.yaml` is generated):

    - type: python
      transforms:
        EventAnalytics: beam_pipelines.pipelines.beam_yaml.event_analytics

Each is a function of the options that returns a PTransform without input; its outputs are those of `build`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import apache_beam as beam

from beam_pipelines.options import OptionSpec, parse, specs
from beam_pipelines.pipelines import PIPELINES, PipelineEntry, find


class RunPipeline(beam.PTransform):
    """All steps of a pipeline as one transform, which begins a graph.

    Its outputs are those of the pipeline's `build`, by name. UsageError when the options are wrong.

    >>> RunPipeline("event_analytics", {"inptu": "a.jsonl"})
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: ...
    """

    def __init__(self, pipeline: str, values: dict[str, Any]) -> None:
        super().__init__()
        self._entry = find(pipeline)
        self._options = parse(self._entry.options, values, source=pipeline)

    def expand(self, begin: Any) -> dict[str, beam.PCollection]:
        """Wire the pipeline."""
        outputs: dict[str, beam.PCollection] = self._entry.load_build().build(begin, self._options)
        return outputs


def transform_name(pipeline: str) -> str:
    """What a pipeline is called in Beam YAML.

    >>> transform_name("event_analytics")
    'EventAnalytics'
    """
    return "".join(word.capitalize() for word in pipeline.split("_"))


def factory(entry: PipelineEntry) -> Callable[..., RunPipeline]:
    """A function with a pipeline's options as its arguments, and their help in its docstring, as Beam YAML reads it."""

    def make(**values: Any) -> RunPipeline:
        return RunPipeline(entry.name, values)

    options = specs(entry.options)
    make.__name__ = make.__qualname__ = entry.name
    make.__doc__ = f"{entry.description}\n\nArgs:\n" + "\n".join(f"    {spec.name}: {_said(spec)}" for spec in options)
    # Beam YAML asks for required ones first, as Python does.
    ordered = sorted(options, key=lambda spec: not spec.required)
    setattr(make, "__signature__", inspect.Signature([_argument(spec) for spec in ordered]))  # noqa: B010  for mypy
    setattr(make, "_yaml_requires_inputs", False)  # noqa: B010
    return make


def _argument(spec: OptionSpec) -> inspect.Parameter:
    # In the form that Beam's schemas know: `list[str] | None` is only an opaque Python object there.
    kind: Any = typing.Sequence[spec.type] if spec.many else spec.type  # type: ignore[name-defined]
    default = inspect.Parameter.empty if spec.required else spec.default
    return inspect.Parameter(
        spec.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=kind if spec.required else kind | None,
    )


def _said(spec: OptionSpec) -> str:
    words = f"One of {', '.join(spec.choices)}." if spec.choices else ""
    default = f"Default: {spec.default_text}." if spec.default_text and "Default:" not in spec.help else ""
    return " ".join(each for each in (spec.help, words, spec.condition, default) if each)


def __getattr__(name: str) -> Any:
    if name in PIPELINES:
        return factory(PipelineEntry(name, PIPELINES[name]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
