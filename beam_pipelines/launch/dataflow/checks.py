"""Everything about a launch that can be found wrong without launching: by the pipeline's own rules, before anything is
submitted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

import apache_beam as beam

from beam_pipelines import options as option_rules
from beam_pipelines.errors import UsageError
from beam_pipelines.launch.dataflow import places
from beam_pipelines.options import specs
from beam_pipelines.pipelines import PipelineEntry
from beam_pipelines.sink import runs
from beam_pipelines.templates.container_spec import read_spec


@dataclasses.dataclass(frozen=True)
class Checked:
    """A launch that may be submitted.

    `parameters` are what is sent; `run` is the run's identity if the pipeline has runs and its places could be looked
    at; `committed` says that this very run is committed already; `unsure` is what could not be checked.
    """

    options: Any
    parameters: dict[str, str]
    run: Any
    committed: bool
    unsure: list[str]


def check(entry: PipelineEntry, parameters: Mapping[str, str], template: str) -> Checked:
    """Check all there is to check. Raises UsageError with everything that is wrong on its level: first parameters by
    themselves, then the template and the places they name, then the pipeline as a whole."""
    known = specs(entry.options)
    parsed, problems = option_rules.examine(entry.options, parameters, source=entry.name)
    problems += places.not_on_dataflow(known, parameters)
    option_rules.refuse(problems)

    seen = places.look(known, parameters)
    _check_template(entry, parameters, template, seen)
    option_rules.refuse(seen.problems)

    sent = dict(parameters)
    assert parsed is not None
    if getattr(parsed, "run_id", "") is None:
        # A launch that is repeated after an answer was lost then finds the run that it began.
        sent["run_id"] = runs.new_run_id(datetime.now(timezone.utc))
        parsed = dataclasses.replace(parsed, run_id=sent["run_id"])
    run, committed = None, False
    if not seen.unsure:
        build = entry.load_build()
        if hasattr(build, "identify"):
            run = build.identify(parsed)
            committed = runs.settled(getattr(parsed, "output", ""), run) is not None
        _wire(build, parsed)
    return Checked(parsed, sent, run, committed, seen.unsure)


def _wire(build: ModuleType, options: Any) -> None:
    """Build the graph, which finds what contract, expressions and columns have against each other."""
    try:
        build.build(beam.Pipeline(), options)
    except UsageError:
        raise
    except (TypeError, ValueError, NotImplementedError) as wrong:
        raise UsageError(f"the pipeline can't be built with these parameters: {wrong}") from wrong


def _check_template(entry: PipelineEntry, parameters: Mapping[str, str], template: str, seen: places.Seen) -> None:
    """Whether the template is one of this pipeline, in a version that has the parameters."""
    text = places.read_text("--template", template, seen)
    if text is None:
        return
    try:
        spec = read_spec(text, f"--template: {template}")
    except UsageError as wrong:
        seen.problems.append(str(wrong))
        return
    if not spec.image:
        seen.problems.append(f"--template: {template} names no image")
    if spec.metadata.name and spec.metadata.name != entry.name:
        seen.problems.append(f"--template: {template} is a template of '{spec.metadata.name}', not of '{entry.name}'")
        return
    rebuild = f"build it again with `beam-pipelines template build {entry.name}`"
    theirs = {each.name: each for each in spec.metadata.parameters}
    for name, value in parameters.items():
        if theirs and name not in theirs:
            seen.problems.append(
                f"--template: {template} was built from another version, which has no {name}: {rebuild}"
            )
        elif name in theirs and (regex := _unmatched(theirs[name], value)) is not None:
            seen.problems.append(
                f"--template: {template} was built from another version, whose {name} has to match {regex}: {rebuild}"
            )
    for name, about in theirs.items():
        if not about.is_optional and not parameters.get(name):
            seen.problems.append(
                f"--template: {template} was built from another version, which requires {name}: {rebuild}"
            )


def _unmatched(parameter: Any, value: str) -> str | None:
    """The first regular expression of a parameter that a value doesn't match."""
    for regex in parameter.regexes:
        if re.fullmatch(f"(?:{regex.removeprefix('^').removesuffix('$')})", value) is None:
            return str(regex)
    return None
