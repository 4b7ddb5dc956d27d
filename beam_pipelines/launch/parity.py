"""`parity`: one pipeline, the same options, two runners, and whether the same came of it."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from beam_pipelines import ledger, options
from beam_pipelines.errors import UsageError
from beam_pipelines.launch import arguments, child, preflight, run
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.parity import lakes
from beam_pipelines.parity.lakes import Side
from beam_pipelines.pipelines import PipelineEntry, find
from beam_pipelines.sink import runs, storage, stream_commits
from beam_pipelines.sink.runs import RunIdentity

_RUN_ID = "parity"
_OURS = ("--run_id", "--dead_letter_output")
_TOLD = (ExitCode.USAGE, ExitCode.UNBALANCED, ExitCode.CONFLICT)
_LOG_CHARS = 3000  # of the end of a failed run's output


def parity(asked: argparse.Namespace, rest: Sequence[str]) -> ExitCode:
    """Run both sides, compare what they committed, and print what is different.

    UsageError for whatever is wrong with either side's options, before anything is run.
    """
    entry = find(asked.pipeline)
    names = {spec.name for spec in options.specs(entry.options)}
    if not {"output", "run_id"} <= names:
        raise UsageError(f"{entry.name} has no runs that could be compared: it has no options --output and --run_id")
    for flag in rest:
        if flag.partition("=")[0] in _OURS:
            raise UsageError(f"{flag.partition('=')[0]}: parity names the runs and keeps each side's output together")
    with _folder(asked.output) as folder:
        sides = {
            "left": (Side(f"{folder}/left", _RUN_ID), asked.left),
            "right": (Side(f"{folder}/right", _RUN_ID), asked.right),
        }
        commands = {name: _command(entry, name, side, flags, rest) for name, (side, flags) in sides.items()}
        endless = [name for name, command in commands.items() if _is_endless(command.options)]
        if len(endless) == len(commands):
            raise UsageError(
                "--left and --right: one side has to end by itself, as with ?bounded=true, to be compared to"
            )
        for name in sorted(commands, key=lambda name: name in endless):  # the one that ends says when the other is done
            other = next(side for each, (side, _) in sides.items() if each != name)
            until = _CaughtUp(sides[name][0], other) if name in endless else None
            command = [asked.pipeline, *commands[name].words]
            code = _run(name, command, asked.timeout, asked.verbose, until)
            if code is not ExitCode.OK:
                return code
            if until is not None:
                until.settle(entry.load_build().identify(commands[name].options))
        return _compare(sides["left"][0], sides["right"][0], asked.show)


class _Command(NamedTuple):
    words: list[str]
    options: Any


def _is_endless(options: Any) -> bool:
    from beam_pipelines.pipelines.steps.sources import is_endless

    return is_endless(getattr(options, "input", ())) or not getattr(options, "replay_ends", True)


class _CaughtUp:
    """Whether a stream has published all that the other side has, all its windows closed; and its end, made then."""

    def __init__(self, side: Side, other: Side) -> None:
        self._side = side
        self._awaited = lakes.came_through(other)

    def __call__(self) -> bool:
        if runs.committed_manifest(self._side.output, self._side.run_id) is not None:
            return True  # by an earlier parity
        balance = stream_commits.balance_so_far(self._side.output, self._side.run_id)
        # Rows and panes are published apart: as long as no pane is, the balance of panes is even too.
        came = all(balance.count(outcome) >= rows for outcome, rows in self._awaited.items())
        return came and self._awaited[ledger.READ] > 0 and not balance.differences

    def settle(self, run: RunIdentity) -> None:
        """Make what the stream published a committed run."""
        stream_commits.end(self._side.output, run, [], {}, lambda: datetime.now(timezone.utc))


def _command(entry: PipelineEntry, name: str, side: Side, flags: str, rest: Sequence[str]) -> _Command:
    """The options of one side's run, checked as `run` does."""
    try:
        command = ["--output", side.output, "--run_id", side.run_id, *rest, *shlex.split(flags)]
        request = arguments.read(entry, command, "")
        for unsure in preflight.check(run.beam_options_of(request.beam_flags)):
            print(f"beam-pipelines: --{name}: {unsure}", file=sys.stderr)
    except ValueError as wrong:  # UsageError, or a quotation without end
        raise UsageError(f"--{name}: {wrong}") from wrong
    return _Command(command, request.options)


@contextlib.contextmanager
def _folder(output: str | None) -> Iterator[str]:
    """Where both sides write; it is kept if it was asked for."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="beam-pipelines-parity-") as folder:
            yield folder
        return
    root = storage.root_of(output)
    if storage.is_local(root):
        try:
            Path(root).mkdir(exist_ok=True)
        except OSError as refused:
            raise UsageError(f"--output: '{output}' can't be made: {refused.strerror}") from refused
    yield root


def _run(name: str, command: list[str], seconds: float, verbose: bool, until: _CaughtUp | None) -> ExitCode:
    words = [sys.executable, "-m", "beam_pipelines", "run", *command]
    with tempfile.TemporaryFile("w+") as log:
        output = None if verbose else log
        code = child.run(words, seconds, output) if until is None else child.run_until(until, words, seconds, output)
        log.seek(0)
        told = log.read().strip()
    if code is None:
        print(f"beam-pipelines: the {name} run was not done after {seconds:g} s, and was stopped", file=sys.stderr)
        return ExitCode.FAILED
    if code:
        print(f"beam-pipelines: the {name} run failed:\n{told[-_LOG_CHARS:]}", file=sys.stderr)
        return next((known for known in _TOLD if known == code), ExitCode.FAILED)
    done = "a stream, stopped when all was published" if until else told.rpartition("\n")[2] or "done"
    print(f"{name:<5}  {done}", flush=True)
    return ExitCode.OK


def _compare(left: Side, right: Side, show: int) -> ExitCode:
    equal = True
    for part, found in lakes.differences(left, right, show=show):
        print("\n".join(lakes.lines(part, found)))
        equal = equal and found.is_equal
    print("the two sides are equal" if equal else "the two sides differ")
    return ExitCode.OK if equal else ExitCode.DIFFERENT
