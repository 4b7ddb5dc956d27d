"""All rules together, for a pipeline of ours or for a folder of anybody's."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beam_pipelines.errors import UsageError
from beam_pipelines.pipelines import PIPELINES, PipelineEntry
from beam_pipelines.templates.build import DOCKERFILE
from beam_pipelines.templates.container_spec import METADATA_FILE, as_file
from beam_pipelines.templates.lint.code_rules import code_findings
from beam_pipelines.templates.lint.findings import Finding, Folder, read_folder
from beam_pipelines.templates.lint.graph_rules import graph_findings
from beam_pipelines.templates.lint.image_rules import image_findings
from beam_pipelines.templates.lint.metadata_rules import described, metadata_findings
from beam_pipelines.templates.metadata import metadata


def lint_pipeline(entry: PipelineEntry, parameters: Mapping[str, str] | None = None) -> list[Finding]:
    """Findings about a pipeline: its options as metadata, its code, its folder of templates/ in a checkout, and with
    parameters the graph that it builds with them."""
    made = Folder({METADATA_FILE: as_file(metadata(entry))})
    found = [*metadata_findings(made), *code_findings(_code(entry))]
    committed = DOCKERFILE.parent / entry.name
    if entry.name in PIPELINES and committed.is_dir():
        found += lint_folder(committed)
    if parameters is not None:
        found += graph_findings(entry, parameters)
    return found


def lint_folder(folder: Path) -> list[Finding]:
    """Findings about a template's folder. UsageError when it is none."""
    files = read_folder(folder)
    return [*metadata_findings(files), *image_findings(files), *code_findings(files), *_out_of_date(files)]


def _code(entry: PipelineEntry) -> Folder:
    """The Python files of a pipeline's own package."""
    spec = importlib.util.find_spec(entry.module)
    if spec is None or spec.origin is None:
        return Folder({})
    origin = Path(spec.origin)
    paths = sorted(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]
    return Folder({f"{entry.name}/{path.name}": path.read_text("utf-8") for path in paths})


def _out_of_date(folder: Folder) -> Iterator[Finding]:
    """Differences between the description of one of our pipelines and what its options say now."""
    for path, text in folder.named(".json"):
        try:
            found = list(described(Folder({path: text})))
        except UsageError:
            continue  # told by the metadata's own rules
        for _, about, _ in found:
            if about.name in PIPELINES:
                facts = json.loads(text)
                theirs = facts.get("metadata", facts)
                expected = metadata(PipelineEntry(about.name, PIPELINES[about.name]))
                yield from (Finding("error", "drift", path, each) for each in _differences(theirs, expected))


def _differences(theirs: Any, expected: Any) -> Iterator[str]:
    again = "build the template again"
    before = {each["name"]: each for each in theirs["parameters"]}
    now = {each["name"]: each for each in expected["parameters"]}
    for name in [*before, *(name for name in now if name not in before)]:
        if name not in now:
            yield f"parameter {name} is no option of {expected['name']} any more: {again}"
        elif name not in before:
            yield f"the option {name} of {expected['name']} is no parameter: {again}"
        elif before[name] != now[name]:
            odd = sorted(key for key in {*before[name], *now[name]} if before[name].get(key) != now[name].get(key))
            yield f"parameter {name} is not what the option says in {', '.join(odd)}: {again}"
    for key in sorted({*theirs, *expected} - {"parameters"}):
        if theirs.get(key) != expected.get(key):
            yield f"{key} is not what the pipeline says: {again}"
