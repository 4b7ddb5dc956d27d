"""Scenario files: what they say, and what is told of a wrong one."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.script import Passing, Rows, WatermarkAt, read_script, script_text
from beam_pipelines.scenarios.reading import read_scenarios

RIGHT = """\
name: visits
options: {contract: visits.odcs.yaml, window: "fixed:10m", aggregate: count(*) as n}
day: 2024-05-01
columns: [at, user]
stream:
  - rows: [["12:00:30", ann], {at: "2024-05-02T00:00:00Z", user: null}]
  - payloads: ["{", 'x: "12:00"']
  - watermark: "12:10"
  - pass: 1m30s
expect:
  late: []
"""


def test_a_scenario_is_a_pipeline_its_options_and_a_stream_of_steps(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(RIGHT)
    (scenario,) = read_scenarios(tmp_path / "s.yaml")
    assert (scenario.name, scenario.pipeline, scenario.day) == ("visits", "event_analytics", datetime.date(2024, 5, 1))
    rows, payloads, watermark, passing = scenario.steps
    assert isinstance(rows, Rows)
    assert [json.loads(payload) for payload in rows.payloads] == [
        {"at": "2024-05-01T12:00:30Z", "user": "ann"},
        {"at": "2024-05-02T00:00:00Z", "user": None},
    ]
    assert payloads == Rows(("{", 'x: "12:00"'))
    assert watermark == WatermarkAt(1_714_565_400_000_000)
    assert passing == Passing(90.0)
    assert scenario.expected == {"late": ()}


def test_a_script_reads_back_as_the_steps_it_was_written_of(tmp_path: Path) -> None:
    steps = [Rows(("a\u2028b\n", "ä")), WatermarkAt(-5), Passing(1.5)]
    (tmp_path / "script").write_text(script_text(steps), encoding="utf-8")
    assert read_script(str(tmp_path / "script")) == steps


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("stream:", "steam:", "line 5: steam: is not a field of a scenario. Did you mean 'stream'?"),
        ("watermark:", "watremark:", "line 8: stream[2].watremark: is not a field of a step. Did you mean"),
        (
            "late: []",
            "lat: []",
            "line 11: expect.lat: is not a field of what is expected. Did you mean",
        ),
        ("window:", "windw:", "options.windw: is not an option of event_analytics. Did you mean 'window'?"),
        ("window:", "input: x, window:", "options.input: is not to be set: a scenario brings its own"),
        ("2024-05-01\n", "yesterday\n", "line 3: day: 'yesterday' is not a date such as 2024-05-01"),
        ("day: 2024-05-01\n", "", "'12:10' has no date, and the scenario no day: add `day: 2024-05-01`"),
        ('"12:10"', "noon", "line 8: stream[2].watermark: 'noon' is not a time such as 12:00:30"),
        ("1m30s", "90", "line 9: stream[3].pass: duration '90': say the unit, as 90s or 90m"),
        (", ann]", "]", "line 6: stream[0].rows[0]: has 1 values, and `columns` names 2"),
        ("columns: [at, user]\n", "", "values without names need the scenario's `columns: [name, …]`"),
        ("name: visits\n", "", "line 1: a scenario has a `name`"),
        (
            "name: visits\n",
            "name: visits\npipeline: event_analytic\n",
            "there is no pipeline 'event_analytic'.",
        ),
        (
            "name: visits\n",
            "name: visits\nformat: jsonlines\n",
            "'jsonlines' is not jsonl or csv.",
        ),
        ("  - pass: 1m30s", "  - pass: 1m30s\n    watermark: x", "a step is one of rows, payloads, watermark, pass"),
        ("stream:", "stream: {", "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_field_and_the_nearest_right_word(
    tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert right in RIGHT
    (tmp_path / "s.yaml").write_text(RIGHT.replace(right, wrong, 1))
    with pytest.raises(UsageError) as told:
        read_scenarios(tmp_path / "s.yaml")
    assert f"{tmp_path / 's.yaml'}: line " in str(told.value)
    assert message in str(told.value)


def test_two_scenarios_of_a_file_have_two_names(tmp_path: Path) -> None:
    one = "- " + RIGHT.replace("\n", "\n  ").rstrip() + "\n"
    (tmp_path / "s.yaml").write_text(one + one)
    with pytest.raises(UsageError, match="there is another scenario 'visits'"):
        read_scenarios(tmp_path / "s.yaml")
