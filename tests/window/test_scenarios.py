"""Late rows and panes, as the data in `scenarios/` says: what comes, how the watermark moves, what is expected."""

from __future__ import annotations

import datetime
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_pipelines.aggregate.kernels import aggregate
from beam_pipelines.columnar.batches import concat
from beam_pipelines.ledger import AGGREGATED, AGGREGATES, LATE, Balance
from tests.window import stream

DIRECT = ["--runner=BundleBasedDirectRunner"]
"""What DirectRunner is under TestStream."""

SCENARIOS = {
    scenario["name"]: scenario
    for path in sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
    for scenario in yaml.load(path.read_text(), yaml.BaseLoader)
}

OF_PRISM = {
    "early firings count partials, of which a bundle has one for each window": "no early pane: counts never fire",
    "a session of a group is told one gap after its last row, however the rows come": "a merged one is 'early'",
    "a long session stays whole": "a session that was merged twice is told in parts",
}
"""Defects of Prism (Beam 2.77) in merging windows and triggers, by the scenario that shows them."""

ON_FLINK = (
    "a row is late from the moment the watermark is at the end of its window",
    "a day of Berlin ends at its midnight, an hour short when clocks go forward",
)
"""A few, since a job there takes seconds."""


def _defect(scenario: dict[str, Any]) -> list[Any]:
    reason = scenario.get("defect")
    return [pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)] if reason else []


@pytest.mark.parametrize(
    "scenario", [pytest.param(each, id=name, marks=_defect(each)) for name, each in SCENARIOS.items()]
)
def test_panes_and_late_rows_are_as_told(scenario: dict[str, Any], tmp_path: Path) -> None:
    outputs = stream.run(scenario, DIRECT, tmp_path)
    _as_told(scenario, outputs)
    _balances(scenario, outputs)
    if not {"allowed_lateness", "trigger"} & scenario["how"].keys() and "sliding" not in scenario["how"]["window"]:
        assert _values(outputs["panes"]) == _in_batch(scenario, outputs["late"])


def _on_prism(name: str) -> Any:
    reason = OF_PRISM.get(name)
    marks = [pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"Prism: {reason}")] if reason else []
    return pytest.param(SCENARIOS[name], id=name, marks=marks)


@pytest.mark.parametrize("scenario", [_on_prism(name) for name in SCENARIOS])
def test_panes_and_late_rows_are_as_told_on_prism_too(
    scenario: dict[str, Any], tmp_path: Path, prism_flags: list[str]
) -> None:
    # Timers of the past fire there when the watermark moves on, so batches tell it, as those of our sources do.
    outputs = stream.run(scenario, prism_flags, tmp_path, tells=True)
    _balances(scenario, outputs)
    _as_told(scenario, outputs)


def test_on_prism_a_stream_that_does_not_tell_its_watermark_loses_nothing(
    tmp_path: Path, prism_flags: list[str]
) -> None:
    scenario = SCENARIOS["a row is late from the moment the watermark is at the end of its window"]
    _balances(scenario, stream.run(scenario, prism_flags, tmp_path))


@pytest.mark.parametrize("name", ON_FLINK)
def test_on_flink_every_row_is_in_a_pane_or_late(
    name: str, tmp_path: Path, flink_flags: list[str], request: pytest.FixtureRequest
) -> None:
    outputs = stream.run(SCENARIOS[name], flink_flags, tmp_path, tells=True)
    _balances(SCENARIOS[name], outputs)
    reason = "Flink's TestStream doesn't wait for what it sent: all comes in one bundle, before the watermark moves"
    request.node.add_marker(pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason))
    _as_told(SCENARIOS[name], outputs)


@pytest.mark.parametrize("window", ["fixed:10m", "sliding:20m/7m", "session:2m", "calendar:day@Europe/Berlin"])
def test_a_random_stream_ends_in_the_values_of_a_batch_of_its_rows_on_time(window: str, tmp_path: Path) -> None:
    # Without lateness rows may touch a session that was told: see `defect` in the scenarios.
    lateness = {"allowed_lateness": "1d"} if window.startswith("session") else {}
    chance = random.Random(window)
    start = datetime.datetime(2024, 3, 30, 20)
    events: list[dict[str, Any]] = [{"watermark": start.isoformat()}]
    for step in range(12):
        now = start + datetime.timedelta(minutes=step * 20)
        seconds = [chance.randrange(-3600, 2400) for _ in range(chance.randrange(1, 6))]
        rows = [
            f"{(now + datetime.timedelta(seconds=each)).isoformat()} {chance.choice('ab')} {each}" for each in seconds
        ]
        events += [{"rows": rows}, {"watermark": (now + datetime.timedelta(minutes=chance.randrange(20))).isoformat()}]
    scenario = {
        "day": "2024-03-30",
        "how": {"window": window, **lateness},
        "group_by": ["user"],
        "aggregate": "sum(amount) as total, count(*) as n",
        "stream": events,
    }
    outputs = stream.run(scenario, DIRECT, tmp_path)
    _balances(scenario, outputs)
    if window in ("fixed:10m", "sliding:20m/7m"):
        assert outputs["late"]
    if window in ("fixed:10m", "calendar:day@Europe/Berlin"):  # others' panes may be several, or lack a row
        assert _values(outputs["panes"]) == _in_batch(scenario, outputs["late"])


def _as_told(scenario: dict[str, Any], outputs: dict[str, list[Any]]) -> None:
    expected, rows = _expected(scenario), _rows(scenario)
    assert _sorted(_told(outputs["panes"], set(expected[0]))) == _sorted(expected)
    assert _sorted([rows[late["__position"]] for late in outputs["late"]]) == _sorted(scenario["late"])


def _rows(scenario: dict[str, Any]) -> list[str]:
    return [row for event in scenario["stream"] for row in event.get("rows", [])]


def _balances(scenario: dict[str, Any], outputs: dict[str, list[Any]]) -> None:
    rows = len(_rows(scenario))
    balance = Balance.of((tuple(key), n) for key, n in outputs["ledger"])
    assert balance.count(AGGREGATED, AGGREGATES) == rows
    assert balance.count(LATE, AGGREGATES) == len(outputs["late"])
    if scenario["how"].get("accumulation") != "accumulating":
        assert sum(pane["__rows"] for pane in outputs["panes"]) == rows - len(outputs["late"])


def _expected(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for pane in scenario["panes"]:
        values = {name: int(value) if value.isdigit() else value for name, value in pane.items()}
        for name in {"start", "end"} & values.keys():
            values[name] = stream.seconds(pane[name], scenario["day"])
        found.append(values)
    return found


def _told(panes: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    found = []
    for pane in panes:
        bounds = {
            name: stream.seconds(pane[f"window_{name}"].replace(" ", "T").removesuffix("+00:00"), "")
            for name in ("start", "end")
        }
        values = {**pane, **bounds, "index": pane["__pane_index"], "timing": pane["__pane_timing"]}
        found.append({name: values[name] for name in names})
    return found


def _values(panes: list[dict[str, Any]]) -> list[Any]:
    return _sorted([{name: str(pane[name]) for name in pane if not name.startswith("__pane")} for pane in panes])


def _in_batch(scenario: dict[str, Any], late: list[dict[str, Any]]) -> list[Any]:
    """Values of the rows that are not late, aggregated at once."""
    positions = {row["__position"] for row in late}
    whole = concat(stream.batches_of(scenario))
    on_time = whole.filter([position not in positions for position in range(whole.num_rows)])
    found = aggregate(
        on_time,
        scenario["aggregate"],
        group_by=scenario.get("group_by", []),
        window=scenario["how"]["window"],
        event_time="at",
    )
    return _values(found.to_pylist())


def _sorted(rows: list[Any]) -> list[Any]:
    """Sorted, each with its names in order."""
    return sorted((dict(sorted(row.items())) if isinstance(row, dict) else row for row in rows), key=repr)
