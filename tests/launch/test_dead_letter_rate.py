"""A run that refuses more than it may publishes nothing, and is stopped as soon as that is plain."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines.launch import watching
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from scripts import prism

ROOT = Path(__file__).parents[2]
ROWS = 2_000_000  # take several times as long as lies between two looks

CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: numbers
version: 1.0.0
status: active
schema:
  - name: numbers
    properties:
      - {name: n, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "numbers.odcs.yaml").write_text(CONTRACT)
    return tmp_path


def _argv(folder: Path, rows: int, bad: int, rate: str) -> list[str]:
    lines = "".join(f'{{"n": {-1 if n < bad else n}}}\n' for n in range(rows))
    (folder / "numbers.jsonl").write_text(lines)
    options = {
        "input": folder / "numbers.jsonl",
        "contract": folder / "numbers.odcs.yaml",
        "output": folder / "lake",
        "run_id": "r",
        "max_dead_letter_rate": rate,
    }
    return ["run", "event_analytics", *(f"--{name}={value}" for name, value in options.items())]


def _run(folder: Path, rows: int, bad: int, rate: str) -> int:
    return main(_argv(folder, rows, bad, rate))


def test_at_the_end_the_finaliser_refuses_the_manifest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(folder, 100, 11, "0.1") == ExitCode.TOO_MANY_REFUSED
    assert (
        "--max_dead_letter_rate: 11 of 100 rows were refused (11.00%), more than 10.00%, so nothing was published:\n"
        "  11  minimum"
    ) in capsys.readouterr().err
    assert json.loads((folder / "lake/_runs/r/balance.json").read_text())["dead_lettered"] == 11
    assert not list((folder / "lake").rglob("*.parquet"))
    assert not (folder / "lake/_runs/r/manifest.json").exists()


def test_the_share_itself_is_allowed_and_the_run_can_be_tried_again_with_a_larger_one(folder: Path) -> None:
    assert _run(folder, 100, 11, "0.1") == ExitCode.TOO_MANY_REFUSED
    assert _run(folder, 100, 11, "0.11") == ExitCode.OK
    assert (folder / "lake/_runs/r/manifest.json").exists()


def test_while_it_runs_the_launcher_cancels(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.05)
    assert _run(folder, ROWS, ROWS, "0.5") == ExitCode.TOO_MANY_REFUSED
    assert "more than 50.00%: the run was cancelled, nothing was published" in capsys.readouterr().err
    assert not list((folder / "lake").rglob("manifest.json"))


def test_a_job_on_another_runner_is_cancelled_by_its_counters(folder: Path) -> None:
    argv = _argv(folder, ROWS, ROWS, "0.5")
    ran = subprocess.run(
        [sys.executable, "-m", "beam_pipelines", *argv, "--runner=PrismRunner", f"--prism_location={prism.binary()}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == ExitCode.TOO_MANY_REFUSED, ran.stderr
    assert "more than 50.00%: the run was cancelled, nothing was published" in ran.stderr
    assert not list((folder / "lake").rglob("manifest.json"))


def test_a_stream_goes_on_and_raises_an_alarm_for_what_came_since_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.01)
    counts = {"read": 0, "dead_lettered": 0}
    watch = watching.Watch()
    watch.follow(lambda: counts)
    monkeypatch.setattr(watching, "_ASKED_SECONDS", 0.0)
    told = io.StringIO()
    with watching.alarmed_when_too_many_refused(watch, 0.1, told):
        for read, refused in ((10_000, 2_000), (15_000, 4_000), (30_000, 2_500), (45_000, 9_000)):
            counts |= {"read": read, "dead_lettered": refused}
            time.sleep(0.2)
    assert told.getvalue().splitlines() == [
        "ALARM: --max_dead_letter_rate: 2,000 of the last 10,000 rows were refused (20.00%), more than 10.00%. "
        "The stream goes on.",
        "ALARM: --max_dead_letter_rate: 6,500 of the last 15,000 rows were refused (43.33%), more than 10.00%. "
        "The stream goes on.",
    ]


@pytest.mark.parametrize("share", ["1.5", "-0.1", "nan"])
def test_a_share_is_between_none_and_all(share: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(folder, 1, 0, share) == ExitCode.USAGE
    assert "--max_dead_letter_rate" in capsys.readouterr().err
