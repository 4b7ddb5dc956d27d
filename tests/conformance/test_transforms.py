"""Every public transform on every runner; what one can't do must fail, and with the error that its file names."""

from __future__ import annotations

import inspect
import re
from typing import Any

import apache_beam as beam
import pytest

import beam_pipelines
from tests import runners
from tests.conformance import cases, jobs
from tests.conformance.cases import CASES
from tests.conformance.conftest import Started
from tests.conformance.matrix import RUNNERS


def job_of(name: str, on: Started) -> jobs.Ended:
    """The job of a case: with all that the runner can do, or by itself."""
    case = CASES[name]
    together = [
        other.name
        for other in CASES.values()
        if not other.streaming and other.name not in on.runner.cannot and other.needs not in runners.left_out()
    ]
    job, names = ("transforms", together) if name in together else (name, [case.name])
    return on.run(job, cases.run, names, on.folder / "cases")


@pytest.mark.parametrize("name", CASES)
def test_a_transform_yields_what_was_written_down(on: Started, name: str) -> None:
    case = CASES[name]
    if case.needs is not None:
        runners.need(case.needs)
    ended = job_of(name, on)
    expected = case.expected(on.folder / "cases" / name)
    if name in on.runner.cannot:
        error = on.runner.cannot[name].error
        assert not ended.well, f"{on.runner.name} can do {name} now: take it out of `cannot` in its file"
        assert re.search(error, ended.log), f"not the error that {on.runner.name} names, {error!r}:\n{ended.log}"
        return
    assert ended.well, ended.log
    assert all(expected.values())
    assert cases.found(case, on.folder / "cases") == expected


def test_every_public_transform_is_here() -> None:
    public = {name: getattr(beam_pipelines, name) for name in beam_pipelines.PUBLIC}
    transforms = {name for name, value in public.items() if _is_transform(value)}
    assert len(transforms) >= 12
    assert {name for case in CASES.values() for name in case.proves} == transforms


def _is_transform(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, (beam.PTransform, beam.CombineFn))


def test_runners_name_only_cases_that_there_are() -> None:
    assert not {name for runner in RUNNERS.values() for name in runner.cannot} - set(CASES)
