"""What is made of what workers and probes told."""

from __future__ import annotations

import pytest

from beam_pipelines.doctor.findings import Finding, Verdict, of_probes, of_workers, table

HERE = {
    "host": "me",
    "python": "3.11.7",
    "apache_beam": "2.77.0",
    "pyarrow": "25.0.1",
    "beam_pipelines": "0.1.0",
    "imports": "",
}
PROVEN = {"shuffle": "groups", "timer": "fires"}


@pytest.mark.parametrize(
    ("key", "value", "fails"),
    [
        ("python", "3.11.9", []),
        ("python", "3.10.7", ["Python version"]),
        ("apache_beam", "2.77.1", ["apache-beam version"]),
        ("pyarrow", "24.0.0", ["pyarrow version"]),
        ("beam_pipelines", "0.1.1", ["beam-pipelines version"]),
        ("imports", "shop: ModuleNotFoundError: No module named 'msgspec'", ["imports"]),
    ],
)
def test_one_worker_that_differs_is_found_among_others(key: str, value: str, fails: list[str]) -> None:
    workers = [HERE | {"host": "w1"}, HERE | {"host": "w2", key: value}]
    found = of_workers(HERE, workers)
    assert [each.name for each in found if each.verdict is Verdict.FAILS] == fails
    for each in found:
        if each.name in fails:
            assert value in each.told
            assert "w2" in each.told
            assert "w1" not in each.told
            assert each.advice


def test_a_probe_that_was_never_judged_does_not_pass() -> None:
    found = of_probes(PROVEN, ["shuffle"], {}, tried=PROVEN)
    assert [each.verdict for each in found] == [Verdict.WORKS, Verdict.FAILS]


def test_without_counters_a_job_that_ended_well_is_the_proof() -> None:
    assert {each.verdict for each in of_probes(PROVEN, None, {}, tried=PROVEN)} == {Verdict.WORKS}


def test_what_was_not_tried_is_not_said_to_work() -> None:
    failed = {"timer": Finding("timer", Verdict.FAILS, "lost")}
    found = of_probes(PROVEN, None, failed, tried=["timer"])
    assert [each.verdict for each in found] == [Verdict.NOT_TRIED, Verdict.FAILS]


def test_the_table_shows_below_a_failure_what_to_set() -> None:
    lines = table([Finding("timer", Verdict.FAILS, "lost", "set it"), Finding("a", Verdict.WORKS, "yes")]).splitlines()
    assert lines == ["FAILS      timer  lost", "                  → set it", "works      a      yes"]
