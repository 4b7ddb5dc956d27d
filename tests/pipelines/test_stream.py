"""`event_analytics` as a stream of its files: the rows of the batch, its aggregates in panes, and what was late."""

from __future__ import annotations

import datetime
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from tests.pipelines.test_windows import CONTRACT

START = datetime.datetime(2024, 3, 30, 12, tzinfo=datetime.timezone.utc)
VISITS = 10_000
REPLAY = ("--replay", "--replay_rate", "4000")  # whoever reads without a pause has one bundle, and no watermark in it
LATE = 25 * 60  # seconds by which one visit in fifty comes late; windows are of ten minutes


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visit every second, of which one in fifty comes late."""
    folder = tmp_path_factory.mktemp("visits")
    (folder / "visits.odcs.yaml").write_text(CONTRACT)
    chance = random.Random(4)
    lines = []
    for number in range(VISITS):
        at = START + datetime.timedelta(seconds=number - (LATE if chance.random() < 0.02 else 0))
        lines.append(json.dumps({"at": at.isoformat(), "user": chance.choice("ab"), "pages": number}))
    (folder / "visits.jsonl").write_text("\n".join([*lines, '{"at": "never"}']) + "\n")
    return folder


def _run(inputs: Path, lake: Path, *flags: str) -> int:
    return main(
        [
            *("run", "event_analytics", "--input", f"{inputs}/*.jsonl", "--contract", f"{inputs}/visits.odcs.yaml"),
            *("--output", str(lake), "--run_id", lake.name, "--window", "fixed:10m", "--group_by", "user"),
            *("--aggregate", "count(*) as visits, sum(pages) as pages", *flags),
        ]
    )


def _read(lake: Path, folder: str) -> list[dict[str, Any]]:
    return ds.dataset(lake / folder, format="parquet").to_table().to_pylist()


def _of_rows(rows: list[dict[str, Any]]) -> Counter[tuple[datetime.datetime, str, str]]:
    found: Counter[tuple[datetime.datetime, str, str]] = Counter()
    for row in rows:
        start = row["at"].replace(minute=row["at"].minute // 10 * 10, second=0)
        found[start, row["user"], "visits"] += 1
        found[start, row["user"], "pages"] += row["pages"]
    return found


def _of_panes(panes: list[dict[str, Any]]) -> Counter[tuple[datetime.datetime, str, str]]:
    found: Counter[tuple[datetime.datetime, str, str]] = Counter()
    for pane in panes:
        for name in ("visits", "pages"):
            found[pane["window_start"], pane["user"], name] += pane[name]
    return found


@pytest.mark.parametrize("runner", ["fn_api", "prism", "flink"])
def test_a_stream_of_the_files_is_the_batch_in_panes_and_late_rows(
    runner: str, inputs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    flags = [] if runner == "fn_api" else [*request.getfixturevalue(f"{runner}_flags"), "--streaming"]
    assert _run(inputs, tmp_path, *REPLAY, *flags) == ExitCode.OK
    rows, panes, late = (_read(tmp_path, folder) for folder in ("rows", "aggregates", "late"))
    assert len(rows) == VISITS
    assert Counter(row["pages"] for row in rows) == Counter(range(VISITS))
    assert _of_panes(panes) + _of_rows(late) == _of_rows(rows)
    balance = json.loads((tmp_path / f"_runs/{tmp_path.name}/balance.json").read_text())
    assert balance["balanced"]
    assert balance["dead_lettered"] == 1
    assert balance["late"] == len(late)
    if runner == "prism":  # where the watermark is known to move with each bundle of the source
        assert 0 < len(late) < 0.02 * 1.5 * VISITS
    assert {(pane["pane_index"], pane["pane_timing"]) for pane in panes} == {(0, "on_time")}
    assert {path.name for path in (tmp_path / f"_runs/{tmp_path.name}").iterdir()} >= {"balance.json", "manifest.json"}
    assert not (tmp_path / f"_runs/{tmp_path.name}/stream").exists()


def test_rows_that_come_late_make_further_panes_when_that_is_allowed(
    inputs: Path, tmp_path: Path, prism_flags: list[str]
) -> None:
    assert _run(inputs, tmp_path, *REPLAY, "--allowed_lateness", "1h", *prism_flags, "--streaming") == ExitCode.OK
    rows, panes, late = (_read(tmp_path, folder) for folder in ("rows", "aggregates", "late"))
    assert late == []
    assert _of_panes(panes) == _of_rows(rows)
    timings = {(pane["pane_index"] > 0, pane["pane_timing"]) for pane in panes}
    assert timings == {(False, "on_time"), (True, "late")}


def test_a_stream_of_a_contract_without_event_time_is_refused(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = tmp_path / "no_time.odcs.yaml"
    contract.write_text(CONTRACT.replace("{property: eventTime, value: true}", "{property: other, value: true}"))
    told = ["run", "event_analytics", "--input", f"{inputs}/*.jsonl", "--contract", str(contract)]
    assert main([*told, "--output", str(tmp_path / "lake"), "--replay"]) == ExitCode.USAGE
    assert "a stream needs event times" in capsys.readouterr().err
