"""What happened, found in what runners raise. The texts are as Beam 2.77 hands them back, shortened."""

from __future__ import annotations

import pytest

from beam_pipelines.errors import ContractError, ExpressionError, UsageError
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.failures import explain
from beam_pipelines.sink import BalanceError, OutputError, RunConflictError

WORKER = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in apache_beam.runners.common.DoFnRunner.process
  File "build.py", line 29, in process
    raise FAILURES[self._fail]
{first}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "sdk_worker.py", line 310, in _execute
    response = task()
               ^^^^^^
  File "build.py", line 29, in process
    raise FAILURES[self._fail]
{last} [while running 'Write/ParDo(_Write)']
"""
FLINK = """Pipeline BeamApp-1 failed in state FAILED: java.lang.RuntimeException: Error received from SDK harness for \
instruction 1: {worker}
\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient$ResponseStreamObserver.onNext(FnApi.java:180)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.lang.RuntimeException: Error received from SDK harness
"""
PRISM = "Pipeline job-001 failed in state FAILED: bundle inst002 stage-002 failed:{worker}"
TEXTS = {"prism": PRISM, "flink": FLINK, "worker processes": "{worker}"}


def _raised_by(runner: str, told: str) -> RuntimeError:
    return RuntimeError(TEXTS[runner].format(worker=WORKER.format(first=told, last=told)))


@pytest.mark.parametrize("runner", TEXTS)
@pytest.mark.parametrize(
    ("told", "code", "message"),
    [
        ("beam_pipelines.errors.UsageError: --x: no\n  at all", ExitCode.USAGE, "--x: no\n  at all"),
        (
            "RuntimeError: beam_pipelines.errors.ContractError: a.yaml: not a usable contract\n  line 3: no",
            ExitCode.USAGE,
            "a.yaml: not a usable contract\n  line 3: no",
        ),
        ("beam_pipelines.sink.runs.BalanceError: rows: 3 is not 2", ExitCode.UNBALANCED, "rows: 3 is not 2"),
        ("beam_pipelines.sink.runs.RunConflictError: taken", ExitCode.CONFLICT, "taken"),
        ("beam_pipelines.sink.runs.OutputError: disk full", ExitCode.FAILED, "disk full"),
        (
            "ModuleNotFoundError: No module named 'shop'",
            ExitCode.FAILED,
            "the pipeline failed: ModuleNotFoundError: No module named 'shop' (in the step Write/ParDo(_Write))",
        ),
        (
            "shop.errors.ShopError: at noon",
            ExitCode.FAILED,
            "the pipeline failed: shop.errors.ShopError: at noon (in the step Write/ParDo(_Write))",
        ),
    ],
)
def test_what_a_worker_said_is_found_in_what_the_runner_says(
    runner: str, told: str, code: ExitCode, message: str
) -> None:
    failure = explain(_raised_by(runner, told))
    assert (failure.code, failure.message) == (code, message)
    assert "sdk_worker.py" in failure.details


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no [while running 'A']"), ExitCode.USAGE),
        (ExpressionError("no"), ExitCode.USAGE),
        (RunConflictError("no"), ExitCode.CONFLICT),
        (BalanceError("no"), ExitCode.UNBALANCED),
        (OutputError("no"), ExitCode.FAILED),
    ],
)
def test_our_own_exceptions_stand_alone(error: Exception, code: ExitCode) -> None:
    failure = explain(error)
    assert (failure.code, failure.message) == (code, "no")


def test_an_exception_raised_from_ours_is_ours() -> None:
    try:
        try:
            raise ContractError("a.yaml", ["line 3: no"])
        except ContractError as first:
            raise RuntimeError("the runner lost it") from first
    except RuntimeError as error:
        failure = explain(error)
    assert (failure.code, failure.message) == (ExitCode.USAGE, "a.yaml: not a usable contract\n  line 3: no")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("a"), "the pipeline failed: KeyError: 'a'"),
        (ValueError(), "the pipeline failed: ValueError"),
        (
            RuntimeError("odd: but no exception's name"),
            "the pipeline failed: RuntimeError: odd: but no exception's name",
        ),
    ],
)
def test_any_other_exception_is_named(error: Exception, message: str) -> None:
    failure = explain(error)
    assert (failure.code, failure.message) == (ExitCode.FAILED, message)


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError(PRISM.format(worker=WORKER.format(first="A: b", last=f"RuntimeError: {consequence}")))
        if consequence.startswith("Bundle")
        else RuntimeError(f"Pipeline job-001 failed in state FAILED: {consequence}")
        for consequence in (
            "Bundle processing associated with inst005 has failed. Check prior failing response and attached exception",
            "unknown error",
        )
    ],
)
def test_what_was_logged_first_tells_more_than_a_consequence(raised: RuntimeError) -> None:
    consequence = WORKER.format(first="A: b", last="RuntimeError: Check prior failing response")
    told = WORKER.format(first="A: b", last="beam_pipelines.errors.UsageError: --x: no")
    failure = explain(
        raised, ["no traceback at all", consequence, told, WORKER.format(first="A: b", last="OSError: x")]
    )
    assert (failure.code, failure.message) == (ExitCode.USAGE, "--x: no")
    assert explain(raised).code is ExitCode.FAILED
