"""A template's metadata, from the one definition of the pipeline's options.

The form is `google.dataflow.v1beta3.TemplateMetadata` in JSON; see `container_spec.read_metadata`, which reads it
strictly.
"""

from __future__ import annotations

import re
from typing import Any

from beam_pipelines.options import OptionSpec, specs
from beam_pipelines.options.values import LOGICAL, NUMBER, WHOLE
from beam_pipelines.pipelines import PipelineEntry

_STREAMING = {"exactly_once": "EXACTLY_ONCE", "at_least_once": "AT_LEAST_ONCE"}


def metadata(entry: PipelineEntry) -> dict[str, Any]:
    """The metadata of a pipeline's template, as what JSON can hold."""
    streams = [_STREAMING[mode] for mode in entry.modes if mode in _STREAMING]
    facts: dict[str, Any] = {
        "name": entry.name,
        "description": " ".join(entry.description.split()),
        "parameters": [parameter(spec) for spec in specs(entry.options)],
        "streaming": "batch" not in entry.modes,
    }
    if streams:
        facts |= {
            "supportsAtLeastOnce": "AT_LEAST_ONCE" in streams,
            "supportsExactlyOnce": "EXACTLY_ONCE" in streams,
            "defaultStreamingMode": streams[0],
        }
    return facts


def parameter(spec: OptionSpec) -> dict[str, Any]:
    """One option as a template's parameter.

    The regular expressions refuse nothing that `options.parse` takes; what they let through that is wrong, the
    pipeline itself refuses.
    """
    facts: dict[str, Any] = {
        "name": spec.name,
        "label": spec.label,
        "helpText": " ".join(sentence for sentence in (spec.help, spec.condition, _example(spec)) if sentence),
        "isOptional": not spec.required,
        "paramType": spec.param_type,
    }
    pattern = regex(spec)
    if pattern is not None:
        facts["regexes"] = [pattern]
    if spec.choices and not spec.many:
        facts["enumOptions"] = [_choice(spec, word) for word in spec.choices]
    if spec.default_text is not None:
        facts["defaultValue"] = spec.default_text
    if spec.requires is None:
        facts["groupName"] = spec.group
    else:
        # Google shows a group's name of parameters without a parent only.
        facts["parentName"] = spec.requires.name
        if spec.requires.values:
            facts["parentTriggerValues"] = list(spec.requires.values)
    return facts


def regex(spec: OptionSpec) -> str | None:
    r"""A pattern for the whole text of a parameter; None when any text will do.

    >>> import dataclasses
    >>> from beam_pipelines.options import option
    >>> @dataclasses.dataclass
    ... class Options:
    ...     ports: tuple[int, ...] = option("Ports.")
    >>> regex(specs(Options)[0])
    '^(?:\\s*(?:[+-]?[0-9]+)?\\s*)(?:,\\s*(?:[+-]?[0-9]+)?\\s*)*$'
    """
    if spec.pattern is not None:
        one = spec.pattern
    elif spec.choices:
        if not spec.many:
            return None  # enumOptions say it
        one = "|".join(map(re.escape, spec.choices))
    elif spec.type is str:
        return None
    else:
        one = {bool: LOGICAL, int: WHOLE, float: NUMBER}[spec.type]
    if spec.many:
        item = rf"\s*(?:{one})?\s*"
        return f"^(?:{item})(?:,{item})*$"
    return f"^(?:{one})$" if spec.required else f"^(?:{one})?$"  # blank stands for not given


def _example(spec: OptionSpec) -> str:
    return f"Example: {spec.example}" if spec.example is not None else ""


def _choice(spec: OptionSpec, word: str) -> dict[str, str]:
    meaning = spec.meanings.get(word)
    return {"value": word, "label": word} | ({"description": meaning} if meaning else {})
