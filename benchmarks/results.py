"""`benchmarks/results.json`: what was measured, one entry for each workload, number of rows and implementation.

    from benchmarks import results
    results.keep([results.Result("kafka", 200_000, "beam_pipelines", cpu_s=9.1, wall_s=8.0, peak_mb=410, runs=3,
                                 output_equal=True)])

A run replaces its own entries; the others stay. `notes` beside them are sentences for the page, written by hand, about
how what stands there was measured: take out those that a new run makes untrue.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PATH = ROOT / "benchmarks" / "results.json"
OURS = "beam_pipelines"
_OUR_VERSIONS = ("apache-beam", "pyarrow", "msgspec")


class Measured(NamedTuple):
    """One run: CPU seconds and peak memory of the process tree, wall seconds."""

    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclasses.dataclass(frozen=True)
class Result:
    """Medians of the runs of one side. `output_equal` is None where outputs can't be compared."""

    workload: str
    rows: int
    implementation: str
    cpu_s: float
    wall_s: float
    peak_mb: float | None
    runs: int
    output_equal: bool | None

    @property
    def key(self) -> tuple[str, int, str]:
        """What there is one entry of."""
        return self.workload, self.rows, self.implementation


def summarize(workload: str, rows: int, side: str, runs: Sequence[Measured], equal: bool | None) -> Result:
    """Medians of the runs of one side."""
    cpu, wall, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    return Result(workload, rows, side, round(cpu, 3), round(wall, 3), round(peak, 1), len(runs), equal)


def merged(old: Iterable[Result], new: Iterable[Result]) -> list[Result]:
    """The new results in the place of old ones of the same key, in order of workload, rows and cost."""
    by_key = {each.key: each for each in (*old, *new)}
    return sorted(by_key.values(), key=lambda each: (each.workload, each.rows, each.implementation != OURS, each.cpu_s))


def read(path: Path | None = None) -> tuple[dict[str, Any], list[Result]]:
    """What stands beside the results, and the results; nothing of either if there is no file."""
    path = path or PATH
    if not path.exists():
        return {}, []
    content = json.loads(path.read_text())
    return content, [Result(**each) for each in content.pop("results")]


def keep(new: Iterable[Result], versions: Mapping[str, str] | None = None, path: Path | None = None) -> None:
    """Put results into the file. `versions` are those of the sides' libraries."""
    path = path or PATH
    beside, old = read(path)
    machine = beside.get("machine", {}) | {
        "cores": os.cpu_count(),
        "cpu": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
    }
    ours = {"python": platform.python_version(), **{name: metadata.version(name) for name in _OUR_VERSIONS}}
    known = {**beside.get("versions", {}), **ours, **(versions or {})}
    content = {
        "measured": datetime.date.today().isoformat(),
        "machine": machine,
        "versions": dict(sorted(known.items())),
        "notes": beside.get("notes", []),
        "results": [dataclasses.asdict(each) for each in merged(old, new)],
    }
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    unfinished.rename(path)


def _processor() -> str:
    """What the system calls its processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
