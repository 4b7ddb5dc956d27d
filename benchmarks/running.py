"""Sides taking turns, each a process tree of its own, measured and compared."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import environments, results
from benchmarks.results import ROOT, Measured
from benchmarks.workload import Side, Workload
from scripts import cache

_EQUAL = {True: "", False: "DIFFERENT OUTPUT", None: ""}
LIMIT = 3600.0  # seconds of one run
LOCK = "BEAM_PIPELINES_BENCH_LOCK"
"""Environment variable: a file that is locked while something is measured, for those who share a machine."""


class SideFailedError(RuntimeError):
    """A side ended with an error; its message is the end of what it printed."""


def measure(
    workload: Workload, rows: int, sides: Sequence[Side], runs: int, slow_runs: int, keep_outputs: Path | None = None
) -> None:
    """Run the sides in turns, the reference first; results are kept after each run, so that what is measured stays."""
    source = workload.source(rows)
    pythons = {side.implementation: environments.python(side.environment) for side in sides}
    ordered = sorted(sides, key=lambda side: side.implementation != workload.reference)
    measured: dict[str, list[Measured]] = {}
    equal: dict[str, bool | None] = {}
    with tempfile.TemporaryDirectory(dir=cache.folder("benchmarks")) as home:
        for run, side in itertools.product(range(max(runs, slow_runs)), ordered):
            name = side.implementation
            if run >= (slow_runs if side.slow else runs) or (run and name not in measured):
                continue
            output = (keep_outputs or Path(home)) / name
            shutil.rmtree(output, ignore_errors=True)
            try:
                one = run_once(_command(pythons[name], side, source, output))
            except SideFailedError as error:
                print(f"{workload.name} {rows:,} {name} FAILED: {error}", flush=True)
                continue
            measured.setdefault(name, []).append(one)
            if name not in equal:
                equal[name] = _compared(workload, rows, name, output)
            if not keep_outputs:
                shutil.rmtree(output, ignore_errors=True)
            print(
                f"{workload.name} {rows:>11,} {run + 1} {name:<15} {one.cpu_s:8.2f} CPU s {one.wall_s:8.2f} s "
                f"{one.peak_mb:8.0f} MB {_EQUAL[equal[name]]}",
                flush=True,
            )
            result = results.summarize(workload.name, rows, name, measured[name], equal[name])
            results.keep([result], _versions(side))


def run_once(command: Sequence[str], limit: float = LIMIT) -> Measured:
    """Run and measure a program, alone if others keep to the lock.

    Raises:
        SideFailedError: It did not end well.
    """
    measurer = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "measured_run.py"), str(limit)]
    with tempfile.NamedTemporaryFile(suffix=".log") as log, _alone():
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else our own modules are compiled in each run
        whole = [*measurer, log.name, *command]
        done = subprocess.run(whole, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(done.stdout)
        if told.pop("status"):
            raise SideFailedError(f"{' '.join(command)}\n{Path(log.name).read_text(errors='replace')[-3000:]}")
    return Measured(**told)


def fingerprint(workload: Workload, output: Path) -> dict[str, list[str]]:
    """What a side wrote, found by a process of its own."""
    tables = json.dumps([dataclasses.asdict(table) for table in workload.tables])
    command = [sys.executable, "-m", "benchmarks.comparing", "fingerprint", str(output), tables]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"what it wrote can't be read:\n{done.stderr[-1000:]}", flush=True)
        return {}
    return dict(json.loads(done.stdout))


def _compared(workload: Workload, rows: int, side: str, output: Path) -> bool | None:
    """Whether a side wrote what the reference did, which is remembered for sides that are run alone."""
    if not workload.reference:
        return None
    found = fingerprint(workload, output)
    known = cache.folder("benchmarks") / f"{workload.name}-{rows}.json".replace(" ", "-").replace("/", "-")
    if side == workload.reference:
        known.write_text(json.dumps(found))
    if not known.exists():
        print(f"{workload.name}: not compared, since {workload.reference} never ran on {rows:,} rows", flush=True)
        return None
    right = json.loads(known.read_text())
    for folder in right:
        if found.get(folder) != right[folder]:
            print(f"{side} differs in {folder}: {found.get(folder)}, not {right[folder]}", flush=True)
    return bool(found == right)


def _command(python: Path, side: Side, source: Path, output: Path) -> list[str]:
    arguments = [argument.replace("{source}", str(source)) for argument in side.arguments]
    return [str(python), "-m", side.module, str(source), str(output), *arguments]


def _versions(side: Side) -> dict[str, str]:
    """What its environment was made of."""
    if side.environment == "project":
        return {}
    pins = environments.ENVIRONMENTS[side.environment].versions
    return {name if name == side.environment else f"{side.environment}: {name}": pins[name] for name in pins}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    path = os.environ.get(LOCK)
    with Path(path or cache.folder("benchmarks") / ".measuring").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
