"""What the measurements of streams make of their samples, without a stream being run."""

from __future__ import annotations

import doctest
import json
from typing import Any

import pytest

from benchmarks.kafka import figures, live, steady, told
from benchmarks.kafka.rules import parsed

RUN: dict[str, Any] = {
    "what": "latency", "options": "bundle=0.3", "measured": "2026-11-29", "highest_rate": 40_000, "rate": 20_000,
    "seconds": 210, "windows": 21, "records": 2_100, "p50": 0.8, "p99": 1.5, "latest": 1.7, "exact": True,
    "worker": [300, 310, 320], "runner": [60, 61, 62], "load": 3.2,
}  # fmt: skip


def test_its_examples_are_right() -> None:
    assert doctest.testmod(figures).failed == 0
    assert doctest.testmod(figures).attempted >= 3


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = list(range(1, 201))
    assert [figures.percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]
    assert figures.percentile([7.5], 99) == 7.5
    with pytest.raises(ValueError, match="nothing was measured"):
        figures.percentile([], 50)


@pytest.mark.parametrize(("capacity", "found"), [(4_999, 0), (5_000, 5_000), (16_000, 15_000), (10**9, 160_000)])
def test_the_highest_rate_held_is_found_from_below(capacity: int, found: int) -> None:
    tried: list[int] = []

    def is_held(rate: int) -> bool:
        tried.append(rate)
        return rate <= capacity

    assert figures.highest_held(is_held, 5_000, 160_000) == found
    assert max(tried) <= max(2 * capacity, 5_000)
    assert found in (0, *tried)


def test_a_step_is_held_if_the_backlog_comes_down_between_two_commits() -> None:
    assert figures.is_steady([90_000, 9_000, 50_000], rate=10_000, seconds=1)
    assert not figures.is_steady([20_000, 30_000, 40_000], rate=10_000, seconds=1)


def test_memory_that_grows_shows_in_the_last_third() -> None:
    assert figures.thirds([100] * 30) == (100, 100, 100)
    assert figures.thirds(list(range(30))) == (4.5, 24.5, 29)
    with pytest.raises(ValueError, match="at least 3"):
        figures.thirds([1, 2])


def test_a_click_takes_any_time_between_its_parts_and_is_good_or_bad_by_the_rules() -> None:
    for number in range(1_000):
        before, after, is_good = steady.parts(number)
        payload = before + b"2026-01-02T03:04:05+00:00" + after if after else before
        click = parsed(payload)
        assert (click is not None) == is_good, payload
        if click is not None:
            assert click["at"].isoformat() == "2026-01-02T03:04:05+00:00"


def test_the_page_tells_rates_latencies_and_memory_of_each_run() -> None:
    text = "\n".join(told.section([RUN, RUN | {"what": "soak", "options": "", "highest_rate": None, "exact": False}]))
    assert "| latency | `bundle=0.3` | 40,000 / s | 20,000 / s | 21 | 0.80 s | 1.50 s | 1.70 s | yes | 3.2 |" in text
    assert "| soak | defaults | not sought | 20,000 / s |" in text
    assert "**NO**" in text
    assert "| latency | 210 | 4,200,000 | 300 | 310 | 320 | 60 | 61 | 62 |" in text
    assert told.section([]) == []


def test_what_was_measured_is_a_run_of_each_kind_and_options() -> None:
    runs = live.read()
    assert len({(run["what"], run["options"]) for run in runs}) == len(runs)
    assert all(run.keys() == RUN.keys() for run in runs), json.dumps(runs)
