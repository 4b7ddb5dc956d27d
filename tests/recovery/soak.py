"""Many trials: controls that end, controls that don't, and kills at random moments; `make soak`.

    python -m tests.recovery.soak --ending 20 --endless 20 --kills 20

Prints a line for each trial, and writes the table of docs/guarantees.md.
"""

from __future__ import annotations

import argparse
import datetime
import random
import re
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.recovery import trials
from tests.recovery.trials import ROOT, Cluster, Trial

PAGE = ROOT / "docs/guarantees.md"
_TABLE = re.compile(r"(<!-- soak: begin -->\n).*?(<!-- soak: end -->)", re.DOTALL)


class Kind(NamedTuple):
    """A kind of trial, and the moments of its kills, in seconds after the first rows."""

    title: str
    ends: bool
    kill_at: Callable[[random.Random], list[float]]


KINDS = {
    "ending": Kind("undisturbed, the stream ends", True, lambda _: []),
    "endless": Kind("undisturbed, the stream goes on", False, lambda _: []),
    "kills": Kind("a worker killed (`kill -9`) at a random moment", False, lambda chance: [chance.uniform(0, 9)]),
}


def main() -> int:
    """Run the trials; 1 if the sink of one isn't what it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in KINDS:
        parser.add_argument(f"--{name}", type=int, default=20, metavar="N")
    parser.add_argument("--together", type=int, default=2, metavar="N", help="trials at a time, each with a cluster")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="recovery-") as made:
        folder = Path(made)
        trials.write(folder / "in")
        jobs = [(name, number) for name in KINDS for number in range(getattr(asked, name))]
        moments = {job: KINDS[job[0]].kill_at(chance) for job in jobs}
        parts = [jobs[first :: asked.together] for first in range(asked.together)]
        with ThreadPoolExecutor(asked.together) as pool:
            done = [pool.submit(_run, folder, place, part, moments) for place, part in enumerate(parts)]
            found = [each for future in done for each in future.result()]
    _write_table(found, asked.seed)
    return 0 if all(equal for _, _, equal in found) else 1


def _run(
    folder: Path, place: int, jobs: list[tuple[str, int]], moments: dict[tuple[str, int], list[float]]
) -> list[tuple[str, Trial, bool]]:
    found = []
    with trials.cluster(folder / f"cluster-{place}") as cluster:
        for name, number in jobs:
            trial = _one(folder, cluster, name, number, moments[name, number])
            equal = trial.ended and trial.left.whole == trials.expected(folder / "in")
            found.append((name, trial, equal))
            rows = sum(trial.left.rows.values())
            print(
                f"{name} {number}: {'equal' if equal else 'DIFFERENT'}, {rows} rows, {trial.left.late} late, killed "
                f"{trial.kills} at {[round(at, 1) for at in moments[name, number]]}, {trial.seconds:.0f} s",
                flush=True,
            )
    return found


def _one(folder: Path, cluster: Cluster, name: str, number: int, kill_at: list[float]) -> Trial:
    return trials.run(folder / "in", folder / f"{name}-{number}", cluster, ends=KINDS[name].ends, kill_at=kill_at)


def _write_table(found: list[tuple[str, Trial, bool]], seed: int | None) -> None:
    lines = ["| trials | number | sink equal | workers killed | seconds, median |", "| --- | --- | --- | --- | --- |"]
    for name, kind in KINDS.items():
        mine = [(trial, equal) for each, trial, equal in found if each == name]
        if mine:
            seconds = sorted(trial.seconds for trial, _ in mine)[len(mine) // 2]
            kills, equal = sum(trial.kills for trial, _ in mine), sum(equal for _, equal in mine)
            lines.append(f"| {kind.title} | {len(mine)} | {equal} | {kills} | {seconds:.0f} |")
    counts = " ".join(f"--{name} {sum(each == name for each, _, _ in found)}" for name in KINDS)
    command = f"python -m tests.recovery.soak {counts}{'' if seed is None else f' --seed {seed}'}"
    day = datetime.datetime.now(datetime.timezone.utc).date()
    text = "\n".join([*lines, "", f"Measured on {day} by `{command}`."])
    print(text)
    page = PAGE.read_text()
    PAGE.write_text(_TABLE.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page))


if __name__ == "__main__":
    sys.exit(main())
