"""Many faults of streams from Kafka to Kafka, on Flink and on Prism; part of `make soak`.

    python -m tests.recovery.kafka_soak --each 20

Prints a line for each trial, and writes the table of docs/guarantees.md. A full disk needs a small one, which only root
can make: without, these trials aren't in the table.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from scripts import prism
from tests.recovery import kafka_trials, trials
from tests.recovery.kafka_trials import AT_STEPS, EVERYWHERE, ON_FLINK, ON_ITS_DISK, POISON, ROWS, Fault
from tests.recovery.trials import ROOT

PAGE = ROOT / "docs/guarantees.md"
_TABLE = re.compile(r"(<!-- kafka soak: begin -->\n).*?(<!-- kafka soak: end -->)", re.DOTALL)


class Told(NamedTuple):
    """What came of a trial: empty, or what was wrong."""

    runner: str
    fault: str
    seconds: float
    wrong: str


def main() -> int:
    """Run the trials; 1 if what came out of one isn't what went in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, metavar="N", help="trials of each fault")
    parser.add_argument("--on", default="flink,prism", help="runners, with commas")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    found: list[Told] = []
    for runner in asked.on.split(","):
        faults = (
            EVERYWHERE | (ON_ITS_DISK if os.geteuid() == 0 else {}) | (ON_FLINK | AT_STEPS if runner == "flink" else {})
        )
        names = [name for _ in range(asked.each) for name in faults]
        while names:
            with tempfile.TemporaryDirectory(prefix="kafka-soak-") as folder:
                found += _until_one_fails(Path(folder), runner, faults, names, chance)
            _write_table(found, asked.each, asked.seed)
    return 1 if any(each.wrong for each in found) else 0


def _until_one_fails(
    folder: Path, runner: str, faults: Mapping[str, Fault], names: list[str], chance: random.Random
) -> Iterator[Told]:
    """Take trials from the list. One that went wrong ends the stream: what comes after it would be wrong too."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(trials.cluster(folder / "cluster")) if runner == "flink" else None
        flags = ["--runner=PrismRunner", f"--prism_location={prism.binary()}"] if cluster is None else cluster.flags
        setting = stack.enter_context(kafka_trials.surrounded(folder, flags, cluster))
        while names:
            name = names.pop(0)
            wrong, seconds = "", 0.0
            try:
                seconds = kafka_trials.trial(setting, faults[name], chance)
            except (AssertionError, RuntimeError, OSError) as error:
                wrong = str(error) or repr(error)
            print(f"{runner}: {name}: {'DIFFERENT: ' + wrong if wrong else 'equal'}, {seconds:.0f} s", flush=True)
            yield Told(runner, name, seconds, wrong)
            if wrong:
                return


def _write_table(found: list[Told], each: int, seed: int | None) -> None:
    lines = ["| on | what happened | trials | equal | seconds, median |", "| --- | --- | --- | --- | --- |"]
    for runner, name in dict.fromkeys((told.runner, told.fault) for told in found):
        mine = [told for told in found if (told.runner, told.fault) == (runner, name)]
        seconds = sorted(told.seconds for told in mine if not told.wrong)
        median = f"{seconds[len(seconds) // 2]:.0f}" if seconds else ""
        lines.append(f"| {runner.title()} | {name} | {len(mine)} | {len(seconds)} | {median} |")
    command = f"python -m tests.recovery.kafka_soak --each {each}{'' if seed is None else f' --seed {seed}'}"
    day = datetime.datetime.now(datetime.timezone.utc).date()
    said = f"{ROWS:,} messages and {POISON} poisoned ones in each trial. Measured on {day} by `{command}`."
    text = "\n".join([*lines, "", said])
    page = PAGE.read_text()
    PAGE.write_text(_TABLE.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page))


if __name__ == "__main__":
    sys.exit(main())
