"""`doctor`: small proof jobs on somebody's own runner, then a table of what works, what doesn't and what to set.

One job proves everything. Only if it doesn't end well are there more: one that asks the workers for themselves, then
one for each probe, to tell what works from what doesn't. Each job is a process of its own with a time limit.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beam_pipelines.doctor import findings, probes, worker
from beam_pipelines.doctor.findings import Finding, Verdict
from beam_pipelines.errors import UsageError
from beam_pipelines.launch import advice, child, engine, preflight, run
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.pipelines import entries

SLOW_RUNNERS = {"DataflowRunner": 900.0}
"""Seconds of a job where workers are machines that have to start first; elsewhere `--timeout` has its default."""

_IN_PROCESS = ("FnApiRunner", "BundleBasedDirectRunner", "DirectRunner", "SwitchingDirectRunner")
"""Runners that take a job and run it in one step."""


@dataclasses.dataclass(frozen=True)
class _Ended:
    """What is known of a job that has ended, or was ended."""

    well: bool
    told: str = ""
    advice: str = ""
    counters: Mapping[str, int] | None = None
    engine: str = ""
    usage: bool = False
    taken: bool = True
    """Whether the runner took the job, as far as one can tell."""


def doctor(asked: argparse.Namespace, flags: Sequence[str]) -> ExitCode:
    """Examine the runner that the flags choose and print the table.

    UsageError when a place that the flags name isn't there, or a job can't even be made.
    """
    options = run.beam_options_of(list(flags))
    seconds = asked.timeout or SLOW_RUNNERS.get(engine.name(options), asked.default_timeout)
    for unsure in preflight.check(options):
        print(f"beam-pipelines: {unsure}", file=sys.stderr)
    print(f"doctor, on {engine.asked(options)}; each job has {seconds:g} s", flush=True)
    visit = _Visit(list(flags), seconds, asked.verbose, engine.name(options), _environment(options))
    found = visit.findings()
    print(findings.table(found))
    if all(each.verdict is Verdict.WORKS for each in found):
        print(f"all fine on {visit.engine}")
        return ExitCode.OK
    print(f"not all is fine{f' on {visit.engine}' if visit.engine else ''}")
    return ExitCode.FAILED


def _environment(options: Any) -> str:
    from apache_beam.options.pipeline_options import PortableOptions

    return str(options.view_as(PortableOptions).environment_type or "").upper()


class _Visit:
    """The jobs of one visit, and what is found by them."""

    def __init__(self, flags: list[str], seconds: float, verbose: bool, runner: str, environment: str) -> None:
        self.engine = ""
        self._flags = flags
        self._seconds = seconds
        self._verbose = verbose
        self._runner = runner
        self._environment = environment
        self._modules = [f"{entry.module}.build" for entry in entries()]
        self._proven = {probe.name: probe.proves for probe in probes.PROBES}

    def findings(self) -> list[Finding]:
        whole = self._job(probes.NAMES)
        if whole.usage:
            raise UsageError(whole.told)
        if whole.well:
            judged = None if whole.counters is None else probes.judged(whole.counters)
            return [*self._workers(whole), *findings.of_probes(self._proven, judged, {}, tried=self._proven)]
        if not whole.taken:
            return self._without_workers(whole)
        print(f"the whole proof didn't end well ({_first_line(whole.told)}); trying its parts", flush=True)
        # By value for workers that haven't got us; as it is for workers of another Python.
        alone = self._job([probes.WORKERS], by_value=True)
        if not alone.well:
            by_reference = self._job([probes.WORKERS])
            alone = by_reference if by_reference.well else alone
        if not alone.well:
            return self._without_workers(alone)
        workers = self._workers(alone)
        if any(each.verdict is Verdict.FAILS for each in workers):
            return [*workers, *findings.of_probes(self._proven, None, {}, tried=())]
        parts = self._one_by_one()
        if all(each.verdict is Verdict.WORKS for each in parts):
            parts.append(Finding("all at once", Verdict.FAILS, whole.told, whole.advice))
        return [*workers, *parts]

    def _without_workers(self, ended: _Ended) -> list[Finding]:
        nobody = Finding("workers", Verdict.FAILS, ended.told, ended.advice)
        return [nobody, *findings.of_probes(self._proven, None, {}, tried=())]

    def _one_by_one(self) -> list[Finding]:
        failed: dict[str, Finding] = {}
        judged: set[str] = set()
        counting = True
        for probe in probes.PROBES:
            ended = self._job([probe.name])
            if not ended.well:
                failed[probe.name] = Finding(probe.name, Verdict.FAILS, ended.told, ended.advice or probe.needed)
            elif ended.counters is None:
                counting = False
            else:
                judged |= probes.judged(ended.counters)
        return findings.of_probes(self._proven, judged if counting else None, failed, tried=self._proven)

    def _workers(self, ended: _Ended) -> list[Finding]:
        workers = worker.told(ended.counters or {})
        if workers:
            return findings.of_workers(worker.facts(self._modules), workers)
        told = "the runner returned no counters, so nobody knows which versions the workers have"
        return [Finding("workers", Verdict.UNKNOWN, told, "compare `pip freeze` here and in the workers' image")]

    def _job(self, names: Sequence[str], *, by_value: bool = False) -> _Ended:
        flags = list(self._flags)
        if not any(flag.partition("=")[0] == "--job_name" for flag in flags):
            flags.append(f"--job_name=beam-pipelines-doctor-{secrets.token_hex(4)}")
        request = {
            "flags": flags,
            "probes": list(names),
            "modules": self._modules,
            "by_value": by_value,
            "verbose": self._verbose,
        }
        with tempfile.TemporaryDirectory(prefix="beam-pipelines-doctor-") as folder:
            told = Path(folder) / "told.jsonl"
            log = Path(folder) / "log"
            in_time = _run(request, told, log, self._seconds, self._verbose)
            lines = [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []
            noise = log.read_text(errors="replace")
        facts: dict[str, Any] = {key: value for line in lines for key, value in line.items()}
        self.engine = facts.get("engine", self.engine)
        if "state" in facts:
            return _Ended(True, counters=facts["counters"])
        if "failed" in facts:
            known = advice.of(f"{facts['failed']}\n{facts['details']}\n{noise}")
            return _Ended(False, facts["failed"], known or "", usage=facts["usage"])
        if not in_time:
            known = advice.of(noise) or advice.of_silence(self._environment, facts.get("stage"))
            taken = facts.get("stage") != "submitting" or self._runner in _IN_PROCESS
            return _Ended(False, f"not done after {self._seconds:g} s, and cancelled", known, taken=taken)
        return _Ended(False, f"the job's process ended: {noise.strip()[-500:] or 'it said nothing'}")


def _run(request: dict[str, Any], told: Path, log: Path, seconds: float, verbose: bool) -> bool:
    """Run one job; whether it ended by itself in time."""
    command = [sys.executable, "-m", "beam_pipelines.launch.probe_job", str(told)]
    with log.open("wb") as file:
        return child.run(command, seconds, None if verbose else file, json.dumps(request)) is not None


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 200 else f"{line[:200]}…"
