"""Measure W1, write `benchmarks/results.json` and `BENCHMARKS.md`:  python -m benchmarks.w1 --rows 2000000 --runs 5

Each side runs as a process of its own, in an environment of its own, with the sides taking turns. The CPU seconds of a
side are the median of its runs. Start-up, imports and reading are part of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.process import Measured, measure
from benchmarks.w1 import data
from scripts import cache

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results.json", ROOT / "BENCHMARKS.md"
OURS = "beam_pipelines"
SIDES = {
    OURS: ("ours", None),
    "beam_idiomatic": ("beam_idiomatic", None),
    "beam_tuned": ("beam_tuned", None),
    "duckdb": ("duckdb_sql", "duckdb==1.5.5"),
    "polars": ("polars_lazy", "polars==2.1.0"),
}
"""Each side's module, and what its environment holds; ours and Beam's have this project's."""

_SAYS = {
    OURS: "`event_analytics`, from the command line",
    "beam_idiomatic": "a row an element, `json`, CombinePerKey, WriteToParquet; FnApiRunner",
    "beam_tuned": "the same with msgspec decoding and checking types in one step",
    "duckdb": "SQL over lines of text",
    "polars": "lazy, fields matched by path",
}


def main() -> None:
    """Measure the sides that are asked for, and write what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.w1", description=__doc__.partition(":")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sides", default=",".join(SIDES), help="comma-separated")
    asked = parser.parse_args()
    sides = asked.sides.split(",")
    source = cache.folder("benchmarks") / f"w1-{asked.rows}.jsonl"
    data.write(source, asked.rows)
    pythons = {side: _python(side) for side in sides}
    measured: dict[str, list[Measured]] = {side: [] for side in sides}
    equal: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as home:
        for run in range(asked.runs):
            for side in sides:
                output = Path(home, side)
                shutil.rmtree(output, ignore_errors=True)
                command = [pythons[side], "-m", f"benchmarks.w1.{SIDES[side][0]}", str(source), str(output)]
                measured[side].append(measure(command, {**os.environ, "PYTHONPATH": str(ROOT)}))
                print(f"{run + 1}/{asked.runs} {side:<15} {measured[side][-1].cpu_s:7.1f} CPU s", flush=True)
                if run == 0 and side != sides[0]:
                    told = _differences(Path(home, sides[0]), output)
                    equal[side] = not told
                    print(told or "    equal outputs", flush=True)
    _keep(asked.rows, measured, equal | {sides[0]: all(equal.values())})
    PAGE.write_text(page(json.loads(RESULTS.read_text())))


def _differences(output: Path, other: Path) -> str:
    """What differs, found by a process of its own: a child's peak memory starts at its parent's."""
    command = [sys.executable, "-m", "benchmarks.w1.compare", str(output), str(other)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _python(side: str) -> str:
    """The interpreter of a side's environment, which is made if need be."""
    requirement = SIDES[side][1]
    if requirement is None:
        return sys.executable
    place = cache.folder("benchmarks") / requirement
    if not (place / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", requirement], check=True)
    return str(place / "bin" / "python")


def _keep(rows: int, measured: dict[str, list[Measured]], equal: dict[str, bool]) -> None:
    """Put these results in the place of older ones of the same workload, rows and side."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"results": []}
    fresh = [
        {
            "workload": "W1",
            "rows": rows,
            "implementation": side,
            **{
                name: round(statistics.median(getattr(each, name) for each in runs), 2)
                for name in ("cpu_s", "wall_s", "peak_mb")
            },
            "runs": len(runs),
            "output_equal": equal[side],
        }
        for side, runs in measured.items()
    ]
    told = {(each["workload"], each["rows"], each["implementation"]) for each in fresh}
    old = [each for each in kept["results"] if (each["workload"], each["rows"], each["implementation"]) not in told]
    versions = {name: metadata.version(name) for name in ("apache-beam", "pyarrow", "msgspec")}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.machine(), **versions}
    content = {"measured": date.today().isoformat(), "machine": machine, "results": [*old, *fresh]}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


def page(content: dict[str, Any]) -> str:
    """BENCHMARKS.md: caveats first, then the table, then the command."""
    machine = content["machine"]
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks.w1` from `benchmarks/results.json`; not by hand.",
        "",
        "## Caveats",
        f"- Measured {content['measured']} on a shared machine with {machine['cores']} cores that did other work "
        "meanwhile. CPU seconds say more than wall seconds there, and ratios between sides more than either.",
        "- A CPU second is one of the process, start-up and imports among them: about 3 s of each Beam side.",
        "- DuckDB and Polars have no dead letters and no strict JSON types: their sides judge lines of text by hand. "
        "They compute a plain hash of key and address, ours HMAC: about twice the work for that column.",
        "- Not measured: Spark, Flink SQL, bytewax, Beam YAML; other workloads than W1; more than one core.",
        "",
        "## W1: event analytics",
        "JSON Lines (about 190 bytes each, 1% bad of 14 kinds) → judged by seven fields' rules, dead letters with "
        "their reasons, an address hashed, aggregates of 60 s by two keys, all in Parquet. "
        "Outputs are compared row by row (`benchmarks/w1/compare.py`).",
        "",
        "| rows | side | CPU s | times ours | wall s | peak MB | runs | equal output |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    results = sorted(content["results"], key=lambda each: (each["rows"], each["implementation"] != OURS, each["cpu_s"]))
    ours = {each["rows"]: each["cpu_s"] for each in results if each["implementation"] == OURS}
    for each in results:
        ratio = f"{each['cpu_s'] / ours[each['rows']]:.1f}" if each["rows"] in ours else ""
        side = f"**{OURS}**" if each["implementation"] == OURS else each["implementation"]
        lines.append(
            f"| {each['rows']:,} | {side}: {_SAYS[each['implementation']]} | {each['cpu_s']:.1f} | {ratio} | "
            f"{each['wall_s']:.1f} | {_peak(each)} | {each['runs']} | "
            f"{'yes' if each['output_equal'] else 'NO'} |"
        )
    lines += [
        "",
        "## Again",
        "```",
        "make bench        # 2M and 10M rows, 5 runs each",
        "make bench-quick  # 200k",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _peak(result: dict[str, Any]) -> str:
    return "not told" if result["peak_mb"] is None else f"{result['peak_mb']:,.0f}"


if __name__ == "__main__":
    main()
