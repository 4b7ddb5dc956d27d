"""`run`: check, name the run, wire the graph, wait for it, and tell what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from types import ModuleType
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_pipelines import ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.launch import advice, by_runner, dry_run, engine, preflight, summary, watching
from beam_pipelines.launch.arguments import Request
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.failures import Failure, explain
from beam_pipelines.launch.metrics import Told
from beam_pipelines.pipelines import PipelineEntry
from beam_pipelines.sink import runs
from beam_pipelines.sink.commit import abandon, finish
from beam_pipelines.sink.outline import outline
from beam_pipelines.sink.runs import DeadLetterRateError

_PLAIN_TEXT = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
_GOOD_STATES = (PipelineState.DONE, PipelineState.DRAINED, PipelineState.UPDATED)


class _RunError(RuntimeError):
    """A run that ended without an exception, but not well."""


def run(entry: PipelineEntry, request: Request, said: Sequence[str]) -> ExitCode:
    """Run a pipeline and print what came of it. UsageError when it can't start, KeyboardInterrupt when interrupted.

    `said` gathers the tracebacks that workers in this process log, in order.
    """
    with _interruptible() as interrupted:
        try:
            return _run(entry, request)
        except Exception as error:
            if interrupted.is_set() and not isinstance(error, DeadLetterRateError):
                # Beam turns an interrupt that comes while it is in a DoFn into an exception of that DoFn.
                raise KeyboardInterrupt from error
            if isinstance(error, UsageError):
                raise
            return _report(explain(error, said), request.verbose)


def _run(entry: PipelineEntry, request: Request) -> ExitCode:
    started = time.monotonic()
    build = entry.load_build()
    beam_options = beam_options_of(request.beam_flags)
    runner = engine.name(beam_options)
    options = by_runner.suited(_named(request.options), runner)
    for unsure in preflight.check(beam_options):
        print(f"beam-pipelines: {unsure}", file=sys.stderr)
    run_id, total_bytes = None, None
    if hasattr(build, "identify"):
        identity = build.identify(options)
        run_id = identity.run_id
        total_bytes = _plain_bytes(identity.inputs)
        if finish(options.output, identity, _roots(options)) is not None:
            print(f"run {run_id} is committed already, with the same options and input: nothing was done")
            _show(options.output, run_id)
            return ExitCode.OK
    pipeline = _wired(build, options, beam_options)
    if request.dry_run:
        print(f"{entry.name} would run on {engine.asked(beam_options)}. Nothing was read or written.\n")
        print("\n".join(dry_run.drawn(outline(pipeline))))
        return ExitCode.OK
    print(f"{entry.name}{f', run {run_id}' if run_id else ''}, on {engine.asked(beam_options)}", flush=True)
    try:
        most = getattr(options, "max_dead_letter_rate", None)
        result = _run_to_end(pipeline, beam_options, total_bytes, most, Told(entry.name, options, request.metrics))
    except BaseException:
        # A run id that we made is never run again, so nothing else would clear what the run left, raw
        # payloads among it. A job on Dataflow may go on without us.
        if run_id is not None and request.options.run_id is None and runner != "DataflowRunner":
            abandon(options.output, run_id, _roots(options))
        raise
    if result is None:
        print("submitted; not waiting for its end")
        return ExitCode.OK
    seconds, ran = time.monotonic() - started, engine.ran(runner, beam_options, result)
    if run_id is not None:
        _show(options.output, run_id)
        _report_on(options.output, run_id, ran, seconds)
    print(f"done in {seconds:.1f} s on {ran}")
    return ExitCode.OK


def _report_on(output: str, run_id: str, ran: str, seconds: float) -> None:
    """Write the report. The run is committed whether or not that goes well, so it only says so."""
    from beam_pipelines import report

    try:
        report.note_launch(output, run_id, ran, seconds)
        print(f"report             {report.write(output, run_id)}")
    except Exception as error:
        print(f"beam-pipelines: the run is committed, but its report can't be made: {error}", file=sys.stderr)


def _named(options: Any) -> Any:
    """The options with a run id, if the pipeline has runs and none was named."""
    if getattr(options, "run_id", "") is None:
        return dataclasses.replace(options, run_id=runs.new_run_id(datetime.now(timezone.utc)))
    return options


def _roots(options: Any) -> list[str]:
    """Folders beside the output below which the run writes."""
    dead_letters = getattr(options, "dead_letter_output", None)
    return [dead_letters] if dead_letters else []


def beam_options_of(flags: list[str]) -> PipelineOptions:
    """Beam's options, with our default runner."""
    options = PipelineOptions(flags)
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or engine.DEFAULT_RUNNER
    return options


def _wired(build: ModuleType, options: Any, beam_options: PipelineOptions) -> beam.Pipeline:
    try:
        pipeline = beam.Pipeline(options=beam_options)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from wrong
    build.build(pipeline, options)
    return pipeline


def _plain_bytes(inputs: Mapping[str, Any]) -> int | None:
    """How many bytes will be read, where the names of all input files say that they hold plain text."""
    plain = inputs.get("files", -1) == len(inputs.get("first", ())) and all(
        path.endswith(_PLAIN_TEXT) for path in inputs["first"]
    )
    return inputs["bytes"] if plain else None


def _run_to_end(
    pipeline: beam.Pipeline,
    beam_options: PipelineOptions,
    total_bytes: int | None,
    max_dead_letter_rate: float | None,
    told: Told,
) -> PipelineResult | None:
    """Run to the end; None if the end is not waited for, because it was asked so or a template was made."""
    standard = beam_options.view_as(StandardOptions)
    waits = not standard.no_wait_until_finish
    guarded = watching.alarmed_when_too_many_refused if standard.streaming else watching.stopped_when_too_many_refused
    with watching.watched(total_bytes) as watch, guarded(watch, max_dead_letter_rate), told.while_running(watch):
        result = pipeline.run()
        if not (waits and getattr(result, "has_job", True)):
            return None
        watch.follow(lambda: _counters(result))
        try:
            state = result.wait_until_finish()
        except KeyboardInterrupt:
            # A Dataflow job goes on without us, as everyone who launches one expects; other jobs are ours.
            if not type(result).__module__.startswith("apache_beam.runners.dataflow"):
                result.cancel()
            raise
    if (state or result.state) not in _GOOD_STATES:
        raise _RunError(f"the job ended as {state or result.state}")
    return result


def _counters(result: PipelineResult) -> dict[str, int]:
    """The stages' own counters, as the runner tells them while the job runs; attempts, like all of this."""
    found: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        outcome = counter.key.metric.name.partition(":")[0]
        if outcome in (ledger.READ, ledger.DEAD_LETTERED):
            found[outcome] = found.get(outcome, 0) + counter.result
    return found


def _show(output: str, run_id: str) -> None:
    try:
        print("\n".join(summary.lines(output, run_id)))
    except FileNotFoundError as missing:
        raise _RunError(
            f"the runner reports success, but there is no committed run in {missing}. Is the output on a file system "
            "that both the workers and this machine see?"
        ) from missing


def _report(failure: Failure, verbose: bool) -> ExitCode:
    print(f"beam-pipelines: {failure.message}", file=sys.stderr)
    known = advice.of(failure.details) if failure.code is ExitCode.FAILED else None
    if known is not None:
        print(known, file=sys.stderr)
    if verbose or os.environ.get("BEAM_PIPELINES_TRACEBACK"):
        print(failure.details, file=sys.stderr)
    elif failure.code is ExitCode.FAILED:
        with tempfile.NamedTemporaryFile("w", prefix="beam-pipelines-", suffix=".log", delete=False) as file:
            file.write(failure.details)
        print(f"The whole traceback is in {file.name}", file=sys.stderr)
    return failure.code


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Let SIGTERM interrupt like Ctrl-C, so that what was started is stopped; yields whether either came."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def interrupt(*_: object) -> NoReturn:
        came.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
