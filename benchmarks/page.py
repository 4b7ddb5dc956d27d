"""BENCHMARKS.md and its chart, from the results: caveats first, then goals and tables, the command last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks import chart, goals, results
from benchmarks.kafka import told
from benchmarks.results import OURS, ROOT, Result
from benchmarks.workload import Family, Workload

PAGE = ROOT / "BENCHMARKS.md"
CHART = ROOT / "docs" / "images" / "benchmarks.svg"

_CAVEATS = (
    "CPU seconds are user and system time of a side's whole process tree, start-up and imports among them; for Beam "
    "and ours that is some seconds before the first row. Wall seconds were taken while others used the machine, and "
    "say little.",
    "Figures are medians of as many runs as the table says. Sides took turns; slow ones had fewer.",
    "Peak memory is the largest sum of resident memory over the process tree. Files that are mapped, as Polars does, "
    "are part of it, and pages that processes share are counted in each.",
    "Equal output: aggregates, rows and dead letters with their reasons are the same multiset as the reference's, "
    "which another engine than ours wrote. Pseudonyms differ between sides: the number of different ones is compared.",
    "DuckDB, Polars, Spark and Flink have no dead letters and lenient JSON types: their sides judge lines of text by "
    "hand, which our contract does for us. Flink SQL hashes no bytes: its pseudonyms are a plain hash of key and "
    "address, half an HMAC's work.",
    "The events are made up, from a seed.",
)


def write() -> None:
    """Write the page and the chart from the results."""
    PAGE.write_text(current())
    _, found = results.read()
    drawn = [each for each in found if each.workload == "W1" and each.rows == charted(found)]
    CHART.write_text(chart.bars(drawn, f"W1, {drawn[0].rows:,} rows: CPU seconds (less is better)"))


def current() -> str:
    """The page's text as the results in the checkout make it."""
    from benchmarks.catalogue import TOLD
    from benchmarks.kafka import live

    beside, found = results.read()
    return page({**beside, "streams": live.read()}, found, TOLD)


def charted(found: Iterable[Result]) -> int:
    """The size of W1 that most sides were measured at, the larger of equals."""
    sizes = [each.rows for each in found if each.workload == "W1"]
    return max(sizes, key=lambda rows: (sizes.count(rows), rows), default=0)


def page(beside: Mapping[str, Any], found: Sequence[Result], workloads: Mapping[str, Workload]) -> str:
    """The page's text."""
    machine = beside["machine"]
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks` from `benchmarks/results.json`; not by hand.",
        "",
        "## Caveats",
        f"- Last measured {beside['measured']}: {machine['cores']} cores ({machine['cpu']}), "
        f"{machine['memory_gb']} GB, {machine['system']}, a virtual machine that did other work "
        "meanwhile. Ratios between sides say most.",
        *(f"- {caveat}" for caveat in (*beside.get("notes", []), *_CAVEATS, *_missing(found, workloads))),
        "",
        "## Goals",
        f"Of W1's CPU seconds where nothing else is said; at {goals.AT:,} rows, or the most that both sides were "
        "measured with.",
        "",
        *goals.table(found),
        "",
        "![CPU seconds of each side of W1](docs/images/benchmarks.svg)",
        "",
    ]
    named = list(dict.fromkeys(each.workload for each in found))
    for name in (*workloads, *(name for name in named if name not in workloads)):
        rows = [each for each in found if each.workload == name]
        workload = workloads.get(name)
        if workload and workload.family:
            members = [each for each in workloads.values() if each.family == workload.family]
            if workload == members[0]:
                lines += family_section(workload.family, members, found)
        elif rows:
            lines += section(name, workload, rows)
    lines += told.section(beside.get("streams", ()))
    lines += ["## Versions", ", ".join(f"{name} {version}" for name, version in beside["versions"].items()) + "."]
    lines += ["", "## Again", "```", "make bench-quick  # a part of it, few rows, once", "make bench        # hours"]
    lines += ["python -m benchmarks W1 --rows 2000000 --sides beam_pipelines,duckdb --runs 5", "```"]
    return "\n".join(lines) + "\n"


def _missing(found: Sequence[Result], workloads: Mapping[str, Workload]) -> list[str]:
    """What could be measured and wasn't."""
    there = {each.workload for each in found}
    names = [name for name in workloads if name not in there]
    sides = {
        name: [side.implementation for side in workload.sides if (name, side.implementation) not in _measured(found)]
        for name, workload in workloads.items()
        if name in there
    }
    named = [f"{', '.join(missing)} of {name}" for name, missing in sides.items() if missing]
    told = [f"There to be measured, but not measured yet: {'; '.join([*names, *named])}."] if names or named else []
    return told


def _measured(found: Sequence[Result]) -> set[tuple[str, str]]:
    return {(each.workload, each.implementation) for each in found}


def section(name: str, workload: Workload | None, found: Sequence[Result]) -> list[str]:
    """A workload's heading, description and table."""
    lines = [f"## {name}: {workload.title}" if workload else f"## {name}", ""]
    if workload:
        lines += [workload.says, ""]
    return [*lines, _row(_COLUMNS), _row(_RULE), *map(_row, _cells(workload, found)), ""]


def family_section(family: Family, members: Iterable[Workload], found: Sequence[Result]) -> list[str]:
    """One heading, text and table for all of a family's workloads."""
    rows = []
    for workload in members:
        its = _cells(workload, [each for each in found if each.workload == workload.name])
        titles = [workload.title, *[""] * len(its)]
        rows += [_row((title, *cells)) for title, cells in zip(titles, its, strict=False)]
    if not rows:
        return []
    return [
        f"## {family.name}: {family.title}",
        "",
        family.says,
        "",
        _row(("", *_COLUMNS)),
        _row(("---", *_RULE)),
        *rows,
        "",
    ]


_COLUMNS = ("rows", "side", "CPU s", "times ours", "wall s", "peak MB", "runs", "equal output")
_RULE = ("---:", "---", "---:", "---:", "---:", "---:", "---:", "---")


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cells(workload: Workload | None, found: Iterable[Result]) -> list[tuple[str, ...]]:
    """The columns of a workload's results."""
    says = {side.implementation: side.says for side in workload.sides} if workload else {}
    found = list(found)
    ours = {each.rows: each.cpu_s for each in found if each.implementation == OURS}
    lines = []
    for each in found:
        shown = f"**{each.implementation}**" if each.implementation == OURS else each.implementation
        side = f"{shown}: {says[each.implementation]}" if each.implementation in says else shown
        ratio = f"{each.cpu_s / ours[each.rows]:.2f}" if ours.get(each.rows) else ""
        peak = "" if each.peak_mb is None else f"{each.peak_mb:,.0f}"
        equal = {True: "yes", False: "**NO**", None: "not compared"}[each.output_equal]
        if workload and each.implementation == workload.reference and each.output_equal:
            equal = "reference"
        measured = (f"{each.cpu_s:,.2f}", ratio, f"{each.wall_s:,.1f}", peak, str(each.runs))
        lines.append((f"{each.rows:,}", side, *measured, equal))
    return lines
