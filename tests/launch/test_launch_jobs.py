"""Jobs that are launched, looked at, updated and stopped, on an emulator that receives them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.dataflow_emulator.jobs import Importance, State
from beam_pipelines.launch.cli import main
from beam_pipelines.pipelines import find
from beam_pipelines.templates.container_spec import as_file, container_spec

ROOT = Path(__file__).parents[2]
PULSE = "tests.launch.pulse"
PLACE = ["--project=shop-project", "--region=europe-west1"]
PARAMETERS = ["subscription=projects/shop-project/subscriptions/clicks", "topic=projects/shop-project/topics/counts"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataflowEmulator]:
    broken = tmp_path_factory.mktemp("images") / "broken.py"
    broken.write_text("import sys\nsys.exit('no such column')\n")
    program = {
        "FLEX_TEMPLATE_PYTHON_PY_FILE": str(ROOT / "templates" / "main.py"),
        "BEAM_PIPELINES_TEMPLATE": PULSE,
        "PYTHONPATH": str(ROOT),
    }
    images = {"pulse:1": program, "broken:1": {"FLEX_TEMPLATE_PYTHON_PY_FILE": str(broken)}}
    with DataflowEmulator(run_jobs=False, buckets=["shop"], images=images) as emulator:
        for image in images:
            spec = as_file(container_spec(find(PULSE), image))
            emulator.storage.write(f"gs://shop/templates/{image.partition(':')[0]}.json", spec.encode())
        yield emulator


@pytest.fixture(autouse=True)
def surroundings(service: DataflowEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service.environment().items():
        monkeypatch.setenv(name, value)


def _call(service: DataflowEmulator, command: str, subject: str, *words: str) -> int:
    return main([command, subject, *PLACE, f"--dataflow_endpoint={service.endpoint}", *words])


def _start(service: DataflowEmulator, command: str, name: str, *words: str, template: str = "pulse") -> int:
    where = [f"--template=gs://shop/templates/{template}.json", f"--job_name={name}", "--temp_location=gs://shop/tmp"]
    return _call(service, command, PULSE, *where, "--parameters", *PARAMETERS, *words)


def _jobs(service: DataflowEmulator, name: str) -> list[str]:
    """States of the jobs of a name, the newest first."""
    return [job.state.name.removeprefix("JOB_STATE_") for job in service.jobs.all() if job.submission.name == name]


@pytest.fixture(scope="module")
def pulse(service: DataflowEmulator) -> str:
    """The name of a stream that runs, launched by the command."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment().items():
            patch.setenv(name, value)
        assert _start(service, "launch", "pulse") == 0
    return "pulse"


def test_a_stream_is_followed_until_it_runs(
    service: DataflowEmulator, pulse: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _jobs(service, pulse) == ["RUNNING"]
    (job,) = [job for job in service.jobs.all() if job.submission.name == pulse]
    assert job.submission.streaming
    assert _call(service, "status", pulse) == 0
    told = capsys.readouterr().out
    assert told.startswith("pulse  stream  RUNNING since 20")
    assert job.id in told
    assert _call(service, "status", job.id, "--format=json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["name"], facts["type"], facts["state"]) == ("pulse", "stream", "RUNNING")


def test_a_name_that_runs_is_not_launched_again(
    service: DataflowEmulator, pulse: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _start(service, "launch", pulse) == 2
    assert f"--job_name: a job named '{pulse}' runs already" in capsys.readouterr().err
    assert _jobs(service, pulse) == ["RUNNING"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["step=Decode"], "the step 'Parse' is gone. There is now: Decode. If it is called otherwise now, add --"),
        (["key=number"], "the step 'Parse': the coder of its output changed, from string_utf8 to varint"),
        (["--transform_name_mapping=Pars=Decode"], "the running job has no step 'Pars'. Did you mean 'Parse'?"),
        (["step=Decode", "--transform_name_mapping=Parse=Decod"], "the step 'Parse' is gone."),
    ],
)
def test_an_update_that_does_not_fit_is_refused_here(
    service: DataflowEmulator, pulse: str, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _start(service, "update", pulse, *words) == 2
    assert told in capsys.readouterr().err
    assert _jobs(service, pulse) == ["RUNNING"]


def test_an_update_of_a_job_that_does_not_run_is_refused_at_once(
    service: DataflowEmulator, pulse: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    assert _start(service, "update", "puls") == 2
    told = capsys.readouterr().err
    assert "--job_name: no job named 'puls' runs in project shop-project, region europe-west1." in told
    assert "Did you mean 'pulse'?" in told
    assert time.monotonic() - started < 20


def test_an_update_with_new_and_renamed_steps_replaces_the_job(
    service: DataflowEmulator, pulse: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = "--transform_name_mapping=Parse=Decode"
    assert _start(service, "update", pulse, "step=Decode", "logged=true", mapping, "--dry_run") == 0
    body = json.loads(capsys.readouterr().out.partition("\n")[2])["launchParameter"]
    assert (body["update"], body["transformNameMappings"]) == (True, {"Parse": "Decode"})
    assert _jobs(service, pulse) == ["RUNNING"]

    assert _start(service, "update", pulse, "step=Decode", "logged=true", mapping) == 0
    deadline = time.monotonic() + 20
    while _jobs(service, pulse) != ["RUNNING", "UPDATED"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _jobs(service, pulse) == ["RUNNING", "UPDATED"]


def test_a_stream_is_drained(service: DataflowEmulator, pulse: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(service, "drain", pulse) == 0
    assert "is DRAINED" in capsys.readouterr().out
    assert _call(service, "drain", pulse) == 2
    assert "has ended already: it is DRAINED" in capsys.readouterr().err


def test_a_launch_that_fails_in_its_launcher_says_why(
    service: DataflowEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _start(service, "launch", "broken", template="broken") == 3
    assert "no such column" in capsys.readouterr().err
    assert _call(service, "status", "broken") == 3


def test_a_batch_job_is_cancelled_but_not_drained_nor_updated(
    service: DataflowEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _start(service, "launch", "waits", "--no_wait") == 0
    job = next(job for job in service.jobs.all() if job.submission.name == "waits")
    job.submission.job.type_ = 1  # batch, as the service shows it
    assert _call(service, "drain", "waits") == 2
    assert "is a batch job, and only streams can be drained" in capsys.readouterr().err
    assert _start(service, "update", "waits") == 2
    assert "'waits' is a batch job, and only streams can be updated" in capsys.readouterr().err
    assert _call(service, "cancel", "waits") == 0
    assert job.state == State.JOB_STATE_CANCELLED
    assert _call(service, "status", "waits") == 3
    assert "the job was cancelled; nothing was committed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("beam_pipelines.sink.runs.BalanceError: 3 rows are missing [while running 'Finalize/Commit']", 4),
        ("beam_pipelines.sink.runs.RunConflictError: --run_id: run 'r' was committed", 5),
        ("ZeroDivisionError: division by zero", 3),
    ],
)
def test_the_exit_code_tells_how_a_job_failed(
    service: DataflowEmulator, error: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _start(service, "launch", f"fails-{code}", "--no_wait") == 0
    job = next(job for job in service.jobs.all() if job.submission.name == f"fails-{code}")
    job.fail(f"Traceback (most recent call last):\n  File 'x', line 1\n{error}")
    assert _call(service, "status", f"fails-{code}") == code
    assert error.partition(": ")[2].partition(" [")[0] in capsys.readouterr().err
    assert len(job.messages(Importance.JOB_MESSAGE_ERROR)) == 2


@pytest.mark.parametrize("command", ["status", "cancel", "drain"])
def test_a_job_that_is_not_there_is_told_with_the_nearest_name(
    service: DataflowEmulator, pulse: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(service, command, "pulze") == 2
    assert "there is no job named 'pulze'" in capsys.readouterr().err
    assert _call(service, command, "2024-01-01_00_00_00-123") == 2
    assert "there is no job '2024-01-01_00_00_00-123'" in capsys.readouterr().err


def test_a_service_that_is_not_there_is_told(service: DataflowEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "pulse", *PLACE, "--dataflow_endpoint=http://localhost:9"]) == 2
    assert "--dataflow_endpoint: the service can't be asked" in capsys.readouterr().err
