"""`list` and `describe`: the pipelines, and the options of one, from their one definition."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import Any

from beam_pipelines import options
from beam_pipelines.launch.arguments import default_text
from beam_pipelines.options import OptionSpec
from beam_pipelines.pipelines import PipelineEntry

_WIDTH = 100  # characters of a line of help


def list_pipelines(entries: list[PipelineEntry]) -> str:
    """One line for each pipeline: its name and what it does."""
    widest = max(len(entry.name) for entry in entries)
    return "\n".join(f"{entry.name:<{widest}}  {entry.summary}" for entry in entries)


def describe(entry: PipelineEntry) -> str:
    """The pipeline's description and a table of its options by group."""
    specs = options.specs(entry.options)
    names = max(len(_written(spec)) for spec in specs)
    defaults = max(len(_default(spec)) for spec in specs)
    lines = [f"{entry.name}: {entry.description}"]
    for group in dict.fromkeys(spec.group for spec in specs):
        lines += ["", group]
        for spec in specs:
            if spec.group == group:
                start = f"  {_written(spec):<{names}}  {_default(spec):<{defaults}}  "
                lines += textwrap.wrap(
                    _meaning(spec),
                    max(_WIDTH, len(start) + 40),
                    initial_indent=start,
                    subsequent_indent=" " * len(start),
                )
    return "\n".join(lines)


def describe_json(entry: PipelineEntry) -> str:
    """The same as a JSON object."""
    facts = {
        "name": entry.name,
        "summary": entry.summary,
        "description": entry.description,
        "options": [_facts(spec) for spec in options.specs(entry.options)],
    }
    return json.dumps(facts, indent=2, ensure_ascii=False)


def _facts(spec: OptionSpec) -> dict[str, Any]:
    facts = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec) if field.name != "check"}
    requires = None if spec.requires is None else dataclasses.asdict(spec.requires)
    return facts | {"type": spec.type.__name__, "meanings": dict(spec.meanings), "requires": requires}


def _written(spec: OptionSpec) -> str:
    return spec.flag if spec.type is bool else f"{spec.flag} {spec.placeholder}"


def _default(spec: OptionSpec) -> str:
    return "required" if spec.required else default_text(spec) or "-"


def _meaning(spec: OptionSpec) -> str:
    """Its help, what its words mean, what it belongs to, and whether it may be repeated."""
    words = "; ".join(f"{word}: {meaning}" for word, meaning in spec.meanings.items())
    sentences = [spec.help, words and f"{words}.", spec.condition, "May be repeated." if spec.many else ""]
    return " ".join(sentence for sentence in sentences if sentence)
