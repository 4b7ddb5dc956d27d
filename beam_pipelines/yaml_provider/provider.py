"""`provider.yaml` and the page of all transforms, made of the transforms themselves."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from beam_pipelines.yaml_provider.arguments import LEFT_OUT, Parameter
from beam_pipelines.yaml_provider.stage import INPUTS, known_on_input, transforms, yaml_parameters

PATH = Path(__file__).parent / "provider.yaml"
"""The provider as it is installed, which is what `provider_text` gives."""


def provider_text() -> str:
    """The file that a pipeline includes, or whose list it has below `providers`."""
    names = "\n".join(f"    {name}: beam_pipelines.yaml_provider.transforms.{name}" for name in sorted(transforms()))
    return (
        "# The transforms of beam_pipelines for Beam YAML, as `beam-pipelines yaml-provider` prints them.\n"
        "# Beam makes them in the Python that builds the pipeline, in which beam_pipelines is installed.\n"
        f"- type: python\n  transforms:\n{names}\n"
    )


def reference_text() -> str:
    """All transforms with their options in Markdown."""
    return "\n\n".join(_section(name, transform) for name, transform in sorted(transforms().items())) + "\n"


def _section(name: str, transform: Any) -> str:
    summary = (inspect.getdoc(transform) or "").partition("\n\n")[0].replace("\n", " ")
    inputs = INPUTS.get(transform.__name__)
    lines = [f"### {name}", "", re.sub(r"`?→`?", "→", summary)]
    if inputs:
        lines += ["", f"Inputs: `{inputs[0]}`, `{inputs[1]}`."]
    options = yaml_parameters(transform)
    if options:
        lines += ["", "| option | is | default |", "| --- | --- | --- |"]
        lines += [f"| `{key}` | {_cell(each.shown)} | {_default(each, transform)} |" for key, each in options.items()]
    for (owner, parameter), reason in LEFT_OUT.items():
        if owner == transform.__name__:
            lines += ["", f"`{parameter}` is not to be had in YAML: {reason}."]
    return "\n".join(lines)


def _default(parameter: Parameter, transform: Any) -> str:
    if known_on_input(parameter, transform) and parameter.required:
        return "what is known of the input"
    if parameter.name == "run_id":
        return "a new one, the same in all of the pipeline"
    if parameter.required:
        return "must be said"
    default = parameter.default
    if isinstance(default, bool):
        default = str(default).lower()
    return "" if default in (None, (), "") else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
