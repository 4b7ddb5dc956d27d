"""What the emulator needs before it serves, and what it says when that is missing."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from beam_pipelines.dataflow_emulator import DataflowEmulator, prism, worker_environment
from beam_pipelines.dataflow_emulator.command import main
from beam_pipelines.dataflow_emulator.worker_environment import WorkerEnvironment
from beam_pipelines.errors import UsageError
from tests.dataflow_emulator.conftest import ROOT


def test_without_prism_it_says_how_to_get_it_and_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(prism.BINARY_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match=r"neither at .*prism nor on the PATH. Get it with `go install"):
        DataflowEmulator(cache=tmp_path).start()


def test_a_program_that_is_none_is_refused_by_its_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--prism: '.*nothing' is not a program"):
        DataflowEmulator(prism=tmp_path / "nothing").start()
    with pytest.raises(UsageError, match=r"--boot: '.*nothing' is not a program"):
        worker_environment.boot(tmp_path / "nothing", tmp_path)


def test_without_go_the_entrypoint_can_not_be_built_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match=r"there is no Go on the PATH\. Install Go, or name one with --boot"):
        worker_environment.boot(None, tmp_path)


def test_a_taken_port_is_said_and_nothing_is_left(
    recorder: DataflowEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    port = int(recorder.endpoint.rpartition(":")[2])

    with pytest.raises(UsageError, match=f"--port: {port} can't be listened on"):
        DataflowEmulator(run_jobs=False, port=port).start()

    assert not list(tmp_path.iterdir())


def test_workers_have_the_versions_of_this_environment_and_not_this_package() -> None:
    pins = worker_environment.pins()

    for name in ("apache-beam", "pyarrow", "msgspec", "google-cloud-storage"):
        assert f"{name}=={importlib.metadata.version(name)}" in pins
    assert not [pin for pin in pins if pin.startswith(("beam-pipelines", "beam_pipelines", "pytest"))]


def test_a_package_for_workers_that_is_not_installed_here_is_refused() -> None:
    with pytest.raises(UsageError, match="workers need no-such-package>=1, which is not installed here"):
        worker_environment.pins(["no-such-package>=1"])


def test_other_packages_make_another_environment(tmp_path: Path) -> None:
    first, second = (WorkerEnvironment(tmp_path, [pin]) for pin in ("a==1", "a==2"))

    assert first.directory != second.directory
    assert first.directory == WorkerEnvironment(tmp_path, ["a==1"]).directory


def test_workers_do_not_inherit_the_submitters_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("BEAM_PIPELINES_MASK_KEY", "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")

    found = worker_environment.variables(tmp_path / "bin", tmp_path, {"GIVEN": "yes"})

    assert "PYTHONPATH" not in found
    assert "BEAM_PIPELINES_MASK_KEY" not in found
    assert found["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert found["GIVEN"] == "yes"
    assert found["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")


def test_the_reason_in_prisms_log_is_the_users_traceback(tmp_path: Path) -> None:
    log = tmp_path / "prism.log"
    log.write_text(
        "no JSON\n"
        '{"level":"ERROR","msg":"[SDK] Error processing instruction"}\n'
        '{"level":"ERROR","msg":"Bundle Failed.","error":"context canceled"}\n'
        '{"level":"ERROR","msg":"Bundle Failed.","error":"Traceback (most recent call last):\\nValueError: no"}\n'
    )
    assert prism.cause(log).endswith("ValueError: no")


def test_the_reason_without_a_bundle_is_what_the_worker_said(tmp_path: Path) -> None:
    log = tmp_path / "prism.log"
    log.write_text(
        '{"level":"INFO","msg":"[SDK] Installing extra package: x"}\n'
        '{"level":"ERROR","msg":"[SDK] ERROR: No matching distribution found for nothing"}\n'
        '{"level":"ERROR","msg":"[SDK] failed to install required packages"}\n'
    )
    assert prism.cause(log) == "ERROR: No matching distribution found for nothing\nfailed to install required packages"


def test_the_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipelines.dataflow_emulator.command", "--record_only", f"--work_dir={tmp_path}"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    welcome = "".join(iter(process.stdout.readline, f"Logs of jobs: {tmp_path}/jobs. Ctrl-C stops it.\n"))
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)

    assert "Dataflow is emulated on http://localhost:" in welcome
    assert "export STORAGE_EMULATOR_HOST=http://127.0.0.1:" in welcome
    assert "--runner=DataflowRunner" in welcome
    assert (said, process.returncode) == ("stopped\n", 0)
    assert tmp_path.exists()


def test_the_command_tells_what_is_wrong_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--record_only", "--worker_variable=NAME"]) == 2

    assert capsys.readouterr().err == (
        "beam-pipelines dataflow-emulator: --worker_variable: 'NAME' is not NAME=VALUE\n"
    )
