"""The command on real runners: a run, its failure in one line, and the runner's own options."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode


@pytest.fixture(params=["prism", "flink"])
def flags(request: pytest.FixtureRequest) -> list[str]:
    return request.getfixturevalue(f"{request.param}_flags")


@pytest.mark.parametrize("fail", ["no", "usage"])
def test_a_pipeline_runs_and_fails_alike_on_each_runner(
    fail: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "tests.launch.tiny", "--result", str(tmp_path / "sum"), "--fail", fail, *flags])
    told = capsys.readouterr()
    if fail == "no":
        assert code == ExitCode.OK
        assert (tmp_path / "sum").read_text() == "6"
        assert flags[0].removeprefix("--runner=") in told.out.splitlines()[-1]
    else:
        assert code == ExitCode.USAGE
        assert told.err.endswith("beam-pipelines: --numbers: too many of them:\n  every one\n")
    assert "Traceback" not in told.err


def test_options_that_only_the_job_server_knows_are_asked_of_it(
    flink_flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "tests.launch.tiny", "--result", str(tmp_path / "sum"), *flink_flags]
    assert main([*command, "--checkpointing_interval=60000"]) == ExitCode.OK
    capsys.readouterr()
    assert main([*command, "--checkpointing_intervall=60000"]) == ExitCode.USAGE
    assert "Did you mean '--checkpointing_interval'?" in capsys.readouterr().err
