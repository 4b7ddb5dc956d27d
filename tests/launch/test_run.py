"""`run`: exit codes, what is told at the end, and what is left out of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

TINY = "tests.launch.tiny"
TALLY = "tests.launch.tally"
ROOT = Path(__file__).parents[2]


def test_a_run_that_is_well_says_which_engine_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", TINY, "--result", str(tmp_path / "sum"), "--numbers=4"]) == ExitCode.OK
    told = capsys.readouterr()
    assert (tmp_path / "sum").read_text() == "10"
    assert re.fullmatch(
        r"tiny, on FnApiRunner, in this process\ndone in \d+\.\d s on FnApiRunner, in this process\n", told.out
    )
    assert told.err == ""


def test_options_of_beam_pass_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--runner", "bundlebaseddirect", "--job_name=sums", "--", "--only_the_runner_knows_this=1"]
    assert main(["run", TINY, "--result", str(tmp_path / "sum"), *flags]) == ExitCode.OK
    assert " on BundleBasedDirectRunner\n" in capsys.readouterr().out


@pytest.mark.parametrize("runner", ["FnApiRunner", "BundleBasedDirectRunner"])
@pytest.mark.parametrize(
    ("fail", "code", "message"),
    [
        ("usage", ExitCode.USAGE, "--numbers: too many of them:\n  every one"),
        (
            "contract",
            ExitCode.USAGE,
            "orders.yaml: not a usable contract\n  line 3: no such type\n  line 7: twice",
        ),
        ("balance", ExitCode.UNBALANCED, "rows: read 3 is not 2 written"),
        ("output", ExitCode.FAILED, "no space left in lake"),
        ("bug", ExitCode.FAILED, "the pipeline failed: ZeroDivisionError: division by zero (in the step Write)"),
    ],
)
def test_a_failure_is_told_in_one_message(
    fail: str, code: ExitCode, message: str, runner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", TINY, "--result", str(tmp_path / "sum"), "--fail", fail, "--runner", runner]) == code
    told = capsys.readouterr().err
    assert "Traceback" not in told
    first, _, rest = told.partition("The whole traceback is in ")
    assert first == f"beam-pipelines: {message}\n"
    assert bool(rest) is (code is ExitCode.FAILED)
    if rest:
        log = Path(rest.strip())
        assert "in process" in log.read_text()
        assert log.stat().st_mode & 0o077 == 0  # an exception's text may hold somebody's data
        log.unlink()


def test_verbose_shows_the_traceback_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", TINY, "--result", str(tmp_path / "sum"), "--fail=bug", "--verbose"]) == ExitCode.FAILED
    told = capsys.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert "The whole traceback is in" not in told


def test_a_run_ends_with_its_balance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = tmp_path / "lake"
    assert main(["run", TALLY, "--output", str(lake), "--run_id=r1"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tally, run r1, on FnApiRunner, in this process"
    assert lines[1] == "balanced: 10 read = 0 written + 0 dead-lettered + 10 duplicate"
    assert lines[2] == f"balance, manifest  {lake}/_runs/r1/"
    assert lines[3] == f"report             {lake}/_runs/r1/report.html"
    assert lines[4].startswith("done in ")


def test_a_run_without_a_name_gets_one(tmp_path: Path) -> None:
    assert main(["run", TALLY, "--output", str(tmp_path / "lake")]) == ExitCode.OK
    (run,) = (tmp_path / "lake/_runs").iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", run.name)


def test_the_same_run_again_does_nothing_and_another_under_its_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", TALLY, "--output", str(tmp_path / "lake"), "--run_id=r1"]
    assert main(command) == ExitCode.OK
    manifest = (tmp_path / "lake/_runs/r1/manifest.json").read_bytes()
    capsys.readouterr()
    assert main(command) == ExitCode.OK
    assert capsys.readouterr().out.startswith("run r1 is committed already, with the same options and input")
    assert main([*command, "--read=11", "--duplicate=11"]) == ExitCode.CONFLICT
    assert capsys.readouterr().err.startswith("beam-pipelines: --run_id: run 'r1' was committed to ")
    assert (tmp_path / "lake/_runs/r1/manifest.json").read_bytes() == manifest


def test_a_run_that_does_not_balance_is_not_committed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", TALLY, "--output", str(tmp_path), "--run_id=r1", "--read=11"]
    assert main(command) == ExitCode.UNBALANCED
    assert "read 11" in capsys.readouterr().err
    assert json.loads((tmp_path / "_runs/r1/balance.json").read_text())["balanced"] is False
    assert not (tmp_path / "_runs/r1/manifest.json").exists()


def test_what_identify_finds_wrong_keeps_the_run_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", TALLY, "--output", str(tmp_path / "lake"), "--read=-1"]) == ExitCode.USAGE
    assert capsys.readouterr() == ("", "beam-pipelines: --read: can't read -1 rows\n")
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "beam_pipelines", "run", "tests.launch.endless", f"--started={tmp_path}/started"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "started").exists() and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, number)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (ExitCode.INTERRUPTED, "beam-pipelines: interrupted\n")
