"""One job of the doctor, in a process of its own: `doctor` starts it, and ends it when its time is up.

Reads a request as JSON from standard input and appends what happens, a line of JSON each, to the file that is named:
`{"stage": "submitting"}`, `{"stage": "running", "engine": …}`, and in the end `{"state": …, "counters": …}` or
`{"failed": …, "details": …}`.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_pipelines.doctor import probes, worker
from beam_pipelines.errors import UsageError
from beam_pipelines.launch import engine, quiet, run
from beam_pipelines.launch.failures import explain


def main() -> None:
    """Run the request to its end."""
    signal.signal(signal.SIGTERM, _interrupt)
    request = json.load(sys.stdin)
    with quiet.beams_log(request["verbose"]) as said, Path(sys.argv[1]).open("a", buffering=1) as file:

        def tell(**facts: Any) -> None:
            file.write(json.dumps(facts) + "\n")

        try:
            _run(request, tell)
        except Exception as error:
            failure = explain(error, said)
            tell(failed=failure.message, details=failure.details, usage=isinstance(error, UsageError))


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _run(request: dict[str, Any], tell: Any) -> None:
    options = run.beam_options_of(request["flags"])
    runner = engine.name(options)
    tell(stage="submitting")
    try:
        pipeline = beam.Pipeline(options=options)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from wrong
    probes.build(pipeline, request["probes"], request["modules"], by_value=request["by_value"])
    result = pipeline.run()
    tell(stage="running", engine=engine.ran(runner, options, result))
    try:
        state = result.wait_until_finish() or result.state
    except KeyboardInterrupt:
        # Time is up: unlike a user's job on Dataflow, this one is nobody's but ours.
        result.cancel()
        raise
    if state != PipelineState.DONE:
        raise RuntimeError(f"the job ended as {state}")
    tell(state=str(state), counters=_counters(result), engine=engine.ran(runner, options, result))


def _counters(result: PipelineResult) -> dict[str, int] | None:
    """The doctor's counters; None when the runner has none to give."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(worker.NAMESPACE))["counters"]
    except Exception:  # runners raise what they like when they have no metrics
        return None
    counters: dict[str, int] = {}
    for each in found:
        counted = each.committed if each.committed is not None else each.attempted
        counters[each.key.metric.name] = counters.get(each.key.metric.name, 0) + int(counted or 0)
    return counters or None


if __name__ == "__main__":
    main()
