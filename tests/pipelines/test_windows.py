"""`--window` of `event_analytics`: every kind ends in right aggregates, and the run balances."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from beam_pipelines.launch.cli import main

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: visits
name: Visits
version: 1.0.0
status: active
schema:
  - name: visits
    properties:
      - {name: at, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: user, logicalType: string, required: true}
      - {name: pages, logicalType: integer, required: true}
"""
START = datetime.datetime(2024, 3, 30, 12, tzinfo=datetime.timezone.utc)
VISITS = 90


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One visit every 20 minutes, over 30 hours that hold the night in which clocks change in Berlin."""
    folder = tmp_path_factory.mktemp("visits")
    (folder / "visits.odcs.yaml").write_text(CONTRACT)
    lines = [
        json.dumps({"at": (START + datetime.timedelta(minutes=20 * i)).isoformat(), "user": "ab"[i % 2], "pages": i})
        for i in range(VISITS)
    ]
    (folder / "visits.jsonl").write_text("\n".join([*lines, '{"at": "never"}']) + "\n")
    return folder


def _run(inputs: Path, lake: Path, window: str) -> int:
    return main(
        [
            *("run", "event_analytics", "--input", f"{inputs}/*.jsonl", "--contract", f"{inputs}/visits.odcs.yaml"),
            *("--output", str(lake), "--run_id", "r", "--window", window, "--group_by", "user"),
            *("--aggregate", "count(*) as visits, sum(pages) as pages"),
        ]
    )


@pytest.mark.parametrize(
    ("window", "windows", "minutes", "visits"),
    [
        ("sliding:2h/1h", 31, {120}, 2 * VISITS),
        ("session:41m", 2, {44 * 40 + 41}, VISITS),  # each user visits every 40 minutes
        ("session:40m", VISITS, {40}, VISITS),
        ("calendar:day@Europe/Berlin", 2 * 2, {24 * 60, 23 * 60}, VISITS),
        ("calendar:week@UTC", 2, {7 * 24 * 60}, VISITS),
    ],
)
def test_every_kind_of_window_balances(
    inputs: Path, tmp_path: Path, window: str, windows: int, minutes: set[int], visits: int
) -> None:
    assert _run(inputs, tmp_path / "lake", window) == 0
    table = ds.dataset(tmp_path / "lake/aggregates", format="parquet").to_table()
    assert pc.sum(table.column("visits")).as_py() == visits
    lengths = [
        end - start for start, end in zip(*(table.column(n).to_pylist() for n in table.column_names[:2]), strict=True)
    ]
    if window.startswith("sliding"):
        assert len(set(table.column("window_start").to_pylist())) == windows
    else:
        assert table.num_rows == windows
    assert {length.total_seconds() / 60 for length in lengths} == minutes
    balance = json.loads((tmp_path / "lake/_runs/r/balance.json").read_text())
    assert balance["balanced"]
    assert balance["outputs"]["aggregates"] == {"aggregated": VISITS, "in_panes": VISITS, "late": 0}


def test_a_misspelt_window_ends_with_what_to_write(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(inputs, tmp_path / "lake", "calendar:day@Europe/Berln") == 2
    assert "Did you mean 'Europe/Berlin'?" in capsys.readouterr().err
