"""The generated pages of docs/reference: a pipeline's options for people, and as JSON Schema for programs."""

from __future__ import annotations

from beam_pipelines.options import specs
from beam_pipelines.options.json_schema import json_schema
from beam_pipelines.pipelines import PipelineEntry
from beam_pipelines.templates.container_spec import as_file
from beam_pipelines.templates.tables import option_tables


def reference(entry: PipelineEntry) -> dict[str, str]:
    """File name → content, for one pipeline."""
    page = [
        f"# {entry.name}\n",
        "Generated from the pipeline's options by `python -m scripts.generated`; don't edit.\n",
        f"{entry.description}\n",
        f"```\nbeam-pipelines run {entry.name}{_required(entry)} [--OPTION VALUE …]\n```\n",
        "## Options\n",
        *(f"{table}\n" for table in option_tables(specs(entry.options))),
        f"The same as JSON Schema: [{entry.name}.schema.json]({entry.name}.schema.json).",
    ]
    schema = json_schema(entry.options, title=entry.name, description=entry.summary)
    return {f"{entry.name}.md": "\n".join(page) + "\n", f"{entry.name}.schema.json": as_file(schema)}


def _required(entry: PipelineEntry) -> str:
    return "".join(f" {spec.flag} {spec.placeholder}" for spec in specs(entry.options) if spec.required)
