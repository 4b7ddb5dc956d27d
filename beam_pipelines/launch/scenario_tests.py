"""`test`: play scenarios one by one, tell what is different, or write it down as what is expected."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from beam_pipelines.errors import UsageError
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.failures import explain
from beam_pipelines.scenarios import comparing
from beam_pipelines.scenarios.playing import Came, play, runner_of
from beam_pipelines.scenarios.reading import read_scenarios
from beam_pipelines.scenarios.scenario import Scenario
from beam_pipelines.scenarios.updating import update as write_expected


def run(
    files: Sequence[str], flags: Sequence[str], *, update: bool = False, only: str | None = None, said: Sequence[str]
) -> ExitCode:
    """Play the scenarios of files. UsageError for files that are wrong, before anything is played.

    `said` gathers the tracebacks that workers in this process log.
    """
    if update and runner_of(flags):
        raise UsageError("--update: writes exact panes, which only BundleBasedDirectRunner tells: name no --runner")
    chosen = [scenario for file in files for scenario in read_scenarios(file) if only is None or only in scenario.name]
    if not chosen:
        raise UsageError(f"--only: no scenario has '{only}' in its name" if only else "there are no scenarios")
    flags = [_absolute(flag) for flag in flags]
    codes, updated = [], dict[str, dict[str, tuple[Scenario, Came]]]()
    for scenario in chosen:
        if not (scenario.expected or update):
            print(f"NOTHING EXPECTED  {scenario.name} ({scenario.place}): --update writes down what comes")
            codes.append(ExitCode.DIFFERENT)
            continue
        began = time.monotonic()
        try:
            came = _played(scenario, flags)
        except UsageError:
            raise
        except Exception as error:
            failure = explain(error, said)
            if scenario.defect:
                codes.append(_known_defect(scenario, fails=True, exact=not runner_of(flags)))
                continue
            print(f"BROKEN  {scenario.name} ({scenario.place})\n  {failure.message}", flush=True)
            codes.append(failure.code)
            continue
        if update:
            updated.setdefault(scenario.file, {})[scenario.name] = scenario, came
            print(f"updated  {scenario.name}", flush=True)
        else:
            codes.append(_judge(scenario, came, exact=not runner_of(flags), seconds=time.monotonic() - began))
    for file, theirs in updated.items():
        write_expected(file, theirs)
    if not update:
        passed = sum(code is ExitCode.OK for code in codes)
        print(f"{passed} of {len(codes)} scenarios as expected")
    return max(codes, default=ExitCode.OK)


def _played(scenario: Scenario, flags: Sequence[str]) -> Came:
    # Paths in a scenario's options are relative to its file.
    own = Path(scenario.file).absolute().parent
    with tempfile.TemporaryDirectory(prefix="beam-pipelines-scenario-") as folder, contextlib.chdir(own):
        return play(scenario, flags, Path(folder))


def _judge(scenario: Scenario, came: Came, *, exact: bool, seconds: float) -> ExitCode:
    found = (comparing.exact_differences if exact else comparing.final_differences)(scenario, came)
    wrong = [part for part in found if not part.is_equal]
    if scenario.defect:
        # Whether a defect shows in values that don't depend on panes is the runner's business.
        return _known_defect(scenario, bool(wrong), exact)
    if not wrong:
        print(f"ok      {scenario.name}  {seconds:.1f} s", flush=True)
        return ExitCode.OK
    print(f"FAILED  {scenario.name} ({scenario.place})")
    for part in found:
        print("\n".join(comparing.lines(part)), flush=True)
    return ExitCode.DIFFERENT


def _known_defect(scenario: Scenario, fails: bool, exact: bool) -> ExitCode:
    if fails or not exact:
        print(f"ok      {scenario.name}  a known defect: {scenario.defect}", flush=True)
        return ExitCode.OK
    print(f"FAILED  {scenario.name} ({scenario.place})\n  it is as expected now: take out its `defect`", flush=True)
    return ExitCode.DIFFERENT


def _absolute(flag: str) -> str:
    """A flag whose value is a file that is here, with its whole path: scenarios are played from their own folder."""
    name, equals, value = flag.partition("=")
    if equals and value and os.sep in value and "://" not in value and Path(value).exists():
        return f"{name}={Path(value).absolute()}"
    return flag
