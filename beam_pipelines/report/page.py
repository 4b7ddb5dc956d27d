"""The page: facts, flow, plots, dead letters and columns put into one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
import sqlglot
from sqlglot import expressions

from beam_pipelines.errors import UsageError
from beam_pipelines.report import plots
from beam_pipelines.report.columns import DISTINCT_ROWS, columns_of
from beam_pipelines.report.facts import Run
from beam_pipelines.report.flow import flow
from beam_pipelines.report.letters import Refusals, summarize
from beam_pipelines.report.series import series_of
from beam_pipelines.sink import read_dead_letters

_TILES = ("read", "written", "dead_lettered", "duplicate", "filtered", "late")
_ALWAYS = ("read", "written", "dead_lettered")


def render(run: Run) -> str:
    """Return the report of a run as HTML. Values of sensitive columns, and payloads, are not in it."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files(__package__).joinpath("page.html.j2").read_text())
    sensitive = frozenset(run.manifest["contract"].get("sensitive", ()))
    counts = run.balance
    graph = flow(
        run.manifest.get("graph", ()), counts.get("stages", ()), {folder: run.rows(folder) for folder in run.folders}
    )
    return template.render(
        run=run,
        tiles=[(name.replace("_", "-"), counts[name]) for name in _TILES if counts[name] or name in _ALWAYS],
        per_second=round(counts["read"] / run.seconds) if run.seconds else None,
        drawing=plots.drawing(graph) if graph.nodes else None,
        box=(plots.BOX_WIDTH, plots.BOX_HEIGHT),
        plot_size=(plots.WIDTH, plots.HEIGHT),
        plots=[plots.plot(series) for series in series_of(run, _additive(run.manifest["options"]))],
        refusals=_refusals(run),
        columns=[(folder, columns_of(run, folder, sensitive)) for folder in _data_sets(run)],
        distinct_rows=DISTINCT_ROWS,
        places=[
            (folder, len(run.files(folder)), run.rows(folder), sum(file["bytes"] for file in run.files(folder)))
            for folder in run.folders
        ],
        options={name: value for name, value in run.manifest["options"].items() if value not in (None, [], "", ())},
        versions=run.manifest.get("engine", {}),
        short=plots.short,
    )


def _data_sets(run: Run) -> list[str]:
    """The rows first, then what was made of them."""
    return sorted((folder for folder in run.folders if folder != "dead_letters"), key=lambda each: each != "rows")


def _refusals(run: Run) -> list[Refusals]:
    if not run.files("dead_letters"):
        return []
    names = {column for file in run.parquet("rows") for column in file.schema_arrow.names}
    try:
        return summarize(read_dead_letters(run.output, run.run_id), names)
    except (UsageError, FileNotFoundError):  # letters may lie where only their owners can read
        return []


def _additive(options: Mapping[str, Any]) -> frozenset[str]:
    """The aggregates that are counts or sums: totals of groups are true for these alone."""
    text = options.get("aggregate")
    if not text:
        return frozenset()
    try:
        selected = sqlglot.parse_one(f"SELECT {text}", dialect="duckdb").selects
    except sqlglot.errors.ParseError:
        return frozenset()
    return frozenset(
        each.alias_or_name
        for each in selected
        if isinstance(each.unalias(), (expressions.Sum, expressions.CountIf))
        or (isinstance(each.unalias(), expressions.Count) and not each.find(expressions.Distinct))
    )
