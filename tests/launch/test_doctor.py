"""The doctor on real runners and real workers: what is fine, and what it finds where something isn't."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

import beam_pipelines
from beam_pipelines.doctor import probes
from beam_pipelines.launch import preflight
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode

_POOL_SECONDS = 120  # that a worker pool may take to start on a busy machine


def _rows(told: str) -> dict[str, str]:
    """Name → verdict, read from the table."""
    verdicts = ("works", "FAILS", "unknown", "not tried")
    lines = [line for line in told.splitlines() if line.startswith(verdicts)]
    rows = {}
    for line in lines:
        verdict = next(each for each in verdicts if line.startswith(each))
        rows[line[11:].partition("  ")[0].strip()] = verdict
    return rows


@pytest.mark.parametrize("runner", ["fn_api", "prism", "flink"])
def test_all_is_fine_where_it_is(
    runner: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [] if runner == "fn_api" else request.getfixturevalue(f"{runner}_flags")
    code = main(["doctor", "--timeout=300", *flags])
    told = capsys.readouterr()
    rows = _rows(told.out)
    assert set(rows) == {
        *("Python version", "apache-beam version", "pyarrow version", "beam-pipelines version", "imports"),
        *(probe.name for probe in probes.PROBES),
    }
    assert set(rows.values()) == {"works"}, told.out
    assert code == ExitCode.OK
    assert told.out.splitlines()[-1].startswith("all fine on ")
    assert told.err == ""


def test_a_probe_fails_where_the_runner_does() -> None:
    pipeline = beam.Pipeline("BundleBasedDirectRunner")
    probes.build(pipeline, ["timer"], [])
    with pytest.raises(probes.ProbeError, match=r"timer: \[\] came out, where it must be \['abc'\]"):
        pipeline.run().wait_until_finish()


@contextlib.contextmanager
def _worker_pool(folder: Path, python: str) -> Iterator[list[str]]:
    """A worker pool on this machine, whose workers are started by this command; yields the flags that choose it."""
    starter = folder / "bin/python"
    starter.parent.mkdir()
    starter.write_text(f'#!/bin/sh\n{python} "$@"\n')
    starter.chmod(0o755)
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    environment = os.environ | {"PATH": f"{starter.parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with (folder / "pool.log").open("wb") as log:
        pool = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        until = time.monotonic() + _POOL_SECONDS
        while not _listens(port):
            assert pool.poll() is None, (folder / "pool.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        yield [
            *("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=EXTERNAL"),
            f"--environment_config=localhost:{port}",
        ]
    finally:
        os.killpg(pool.pid, signal.SIGKILL)
        pool.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def test_workers_that_cannot_import_us_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Without `site`, what is installed is there, but not what is installed as editable: us.
    bare = f"PYTHONPATH='{sysconfig.get_path('purelib')}' exec '{sys.executable}' -S"
    with _worker_pool(tmp_path, bare) as flags:
        assert main(["doctor", "--timeout=120", *flags]) == ExitCode.FAILED
    told = capsys.readouterr().out
    rows = _rows(told)
    assert (rows["apache-beam version"], rows["beam-pipelines version"], rows["imports"]) == ("works", "FAILS", "FAILS")
    assert "No module named 'beam_pipelines'" in told
    assert f"workers need beam-pipelines {beam_pipelines.__version__}" in told
    assert rows["shuffle"] == "not tried"


def test_workers_with_another_version_of_us_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = Path(str(beam_pipelines.__file__)).parent
    theirs = tmp_path / "site/beam_pipelines"
    theirs.mkdir(parents=True)
    for path in ours.iterdir():
        (theirs / path.name).symlink_to(path)
    (theirs / "__init__.py").unlink()
    text = (ours / "__init__.py").read_text()
    (theirs / "__init__.py").write_text(text + '\n__version__ = "0.0.9"\n')
    with _worker_pool(tmp_path, f"PYTHONPATH='{theirs.parent}' exec '{sys.executable}'") as flags:
        assert main(["doctor", "--timeout=120", *flags]) == ExitCode.FAILED
    told = capsys.readouterr().out
    assert _rows(told)["beam-pipelines version"] == "FAILS"
    assert f"{beam_pipelines.__version__} here, but 0.0.9 on {socket.gethostname()}" in told
    assert [name for name, verdict in _rows(told).items() if verdict != "works"] == ["beam-pipelines version"]


def test_a_job_that_does_not_end_is_ended(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert main(["doctor", "--timeout=0.3"]) == ExitCode.FAILED
    assert time.monotonic() - started < 60  # three jobs, each of which may take its grace on a busy machine
    told = capsys.readouterr().out
    assert "not done after 0.3 s, and cancelled" in told
    assert _rows(told)["workers"] == "FAILS"


def test_an_unreachable_job_server_ends_the_doctor_within_the_stated_time(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert main(["doctor", "--runner=PortableRunner", "--job_endpoint=localhost:1"]) == ExitCode.USAGE
    assert time.monotonic() - started < preflight.LONGEST_SECONDS
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("beam-pipelines: --job_endpoint: nothing listens at 'localhost:1'.")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runner=PrismRuner"], "there is no runner 'PrismRuner'. Did you mean 'PrismRunner'?"),
        (["--job_endpiont=x:1"], "--job_endpiont is not an option of doctor"),
        (["--timeout=-1"], "--timeout: '-1' is not a positive number of seconds"),
    ],
)
def test_a_wrong_option_is_told(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *flags]) == ExitCode.USAGE
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""
