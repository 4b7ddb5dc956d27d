"""Late rows and panes, as the data in `scenarios/` says: what comes, how the watermark moves, what is expected."""

from __future__ import annotations

import dataclasses
import datetime
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.ingest.streams.script import Rows, Step, WatermarkAt
from beam_pipelines.scenarios import comparing
from beam_pipelines.scenarios.playing import Came, left_in, play, run_source
from beam_pipelines.scenarios.reading import read_scenarios
from beam_pipelines.scenarios.scenario import Scenario
from beam_pipelines.scenarios.times import micros_of, read_time
from tests.servers.kafka import Kafka

FOLDER = Path(__file__).parent / "scenarios"
SCENARIOS = {
    scenario.name: scenario
    for path in sorted(FOLDER.glob("*.yaml"))
    if "odcs" not in path.name
    for scenario in read_scenarios(path)
}

OF_PRISM = {
    "early firings count partials, of which a bundle has one for each window": "no early pane: counts never fire",
    "a session of a group is told one gap after its last row, however the rows come": "a merged one is 'early'",
    "a long session stays whole": "a session that was merged twice is told in parts",
}
"""Defects of Prism (Beam 2.77) in merging windows and triggers, by the scenario that shows them."""

BY_A_SOURCE = (
    "a row is late from the moment the watermark is at the end of its window",
    "a day of Berlin ends at its midnight, an hour short when clocks go forward",
)
"""A few, since a watermark that moves by a source takes a second, and a job on Flink more."""


@pytest.fixture(autouse=True)
def _from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


def _as_told(scenario: Scenario, came: Came) -> None:
    wrong = [line for part in comparing.exact_differences(scenario, came) for line in comparing.lines(part)]
    assert all(part.is_equal for part in comparing.exact_differences(scenario, came)), "\n".join(wrong)


def _is_final(scenario: Scenario, came: Came) -> None:
    """Panes and late rows together are the aggregates of a batch of all rows, and all rows are there."""
    found = comparing.final_differences(scenario, came)
    assert comparing.FINAL in {part.part for part in found}
    assert all(part.is_equal for part in found), "\n".join(line for part in found for line in comparing.lines(part))
    assert came.parts["rows"].num_rows == sum(len(step.payloads) for step in scenario.steps if isinstance(step, Rows))


def _marked(name: str, reason: str | None, kind: type[BaseException]) -> Any:
    marks = [pytest.mark.xfail(strict=True, raises=kind, reason=reason)] if reason else []
    return pytest.param(SCENARIOS[name], id=name, marks=marks)


@pytest.mark.parametrize("scenario", [_marked(name, each.defect, Exception) for name, each in SCENARIOS.items()])
def test_panes_and_late_rows_are_as_told(scenario: Scenario, tmp_path: Path) -> None:
    came = play(scenario, [], tmp_path)
    _as_told(scenario, came)
    if not {"allowed_lateness", "trigger"} & scenario.options.keys() and "sliding" not in scenario.options["window"]:
        _is_final(scenario, came)


@pytest.mark.parametrize("scenario", [_marked(name, OF_PRISM.get(name), AssertionError) for name in SCENARIOS])
def test_panes_and_late_rows_are_as_told_on_prism_too(
    scenario: Scenario, tmp_path: Path, prism_flags: list[str]
) -> None:
    _as_told(scenario, play(scenario, prism_flags, tmp_path, through="test_stream"))


@pytest.mark.parametrize("name", BY_A_SOURCE)
def test_a_source_that_moves_the_watermark_gives_the_final_values_on_prism(
    name: str, tmp_path: Path, prism_flags: list[str]
) -> None:
    _is_final(SCENARIOS[name], play(SCENARIOS[name], prism_flags, tmp_path))


@pytest.mark.parametrize("name", BY_A_SOURCE)
def test_a_source_that_moves_the_watermark_gives_the_final_values_on_flink(
    name: str, tmp_path: Path, flink_flags: list[str]
) -> None:
    _is_final(SCENARIOS[name], play(SCENARIOS[name], flink_flags, tmp_path))


def test_through_kafka_the_aggregates_are_those_of_panes_and_late_rows_together(broker: Kafka, tmp_path: Path) -> None:
    scenario = dataclasses.replace(SCENARIOS[BY_A_SOURCE[0]], pipeline="event_analytics")
    expected: Counter[datetime.datetime] = Counter()
    for pane in scenario.expected["aggregates"]:
        expected[read_time(pane["window_start"], scenario.day)] += pane["total"]
    for row in scenario.expected["late"]:
        at = read_time(row["at"], scenario.day)
        expected[at.replace(minute=at.minute // 10 * 10, second=0)] += row["amount"]
    topic = broker.topic()
    payloads = [payload for step in scenario.steps if isinstance(step, Rows) for payload in step.payloads]
    broker.produce(topic, [(None, payload.encode()) for payload in payloads])
    run_source(scenario, broker.uri(topic, "bounded=true"), ["--runner=FnApiRunner"], tmp_path)
    found = left_in(tmp_path).parts["aggregates"].to_pylist()
    assert {row["window_start"]: row["total"] for row in found} == expected


def test_on_prism_a_stream_that_does_not_tell_its_watermark_loses_nothing(
    tmp_path: Path, prism_flags: list[str]
) -> None:
    told = SCENARIOS["a row is late from the moment the watermark is at the end of its window"]
    options = {**told.options, "tells": "false"}
    silent = Scenario(told.name, told.file, told.line, told.pipeline, options, told.steps, {}, told.day)
    came = play(silent, prism_flags, tmp_path, through="test_stream")  # which fails if the run doesn't balance
    _is_final(silent, came)


@pytest.mark.parametrize("window", ["fixed:10m", "sliding:20m/7m", "session:2m", "calendar:day@Europe/Berlin"])
def test_a_random_stream_ends_in_the_values_of_a_batch_of_its_rows_on_time(window: str, tmp_path: Path) -> None:
    # Without lateness rows may touch a session that was told: see `defect` in the scenarios.
    lateness = {"allowed_lateness": "1d"} if window.startswith("session") else {}
    chance = random.Random(window)
    start = datetime.datetime(2024, 3, 30, 20, tzinfo=datetime.timezone.utc)
    steps: list[Step] = [WatermarkAt(micros_of(start))]
    for number in range(12):
        now = start + datetime.timedelta(minutes=number * 20)
        moved = [chance.randrange(-3600, 2400) for _ in range(chance.randrange(1, 6))]
        rows = [
            {"at": (now + datetime.timedelta(seconds=each)).isoformat(), "user": chance.choice("ab"), "amount": each}
            for each in moved
        ]
        reached = now + datetime.timedelta(minutes=chance.randrange(20))
        steps += [Rows(tuple(map(json.dumps, rows))), WatermarkAt(micros_of(reached))]
    options = {
        **{"contract": "amounts.odcs.yaml", "window": window, "group_by": "user", **lateness},
        "aggregate": "sum(amount) as total, count(*) as n",
    }
    scenario = Scenario("random", __file__, 1, "tests.window.panes", options, tuple(steps), {})
    came = play(scenario, [], tmp_path)
    if window in ("fixed:10m", "sliding:20m/7m"):
        assert came.parts["late"].num_rows
    _is_final(scenario, came)
