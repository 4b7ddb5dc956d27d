"""Flex templates against the emulator, by Google's own client: checks before, the launcher's contract, real runs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.dataflow_emulator.jobs import Importance, Job, State
from beam_pipelines.launch.cli import main
from tests.dataflow_emulator.conftest import PLACE, ROOT

IMAGE = "europe-west1-docker.pkg.dev/shop/templates/event_analytics:1"
SPEC = "gs://dataflow/templates/event_analytics.json"
MAIN = {
    "FLEX_TEMPLATE_PYTHON_PY_FILE": str(ROOT / "templates" / "main.py"),
    "BEAM_PIPELINES_TEMPLATE": "event_analytics",
}

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: clicks
name: clicks
version: 1.0.0
status: active
schema:
  - name: clicks
    properties:
      - {name: user, logicalType: string, required: true}
      - {name: at, logicalType: timestamp, required: true, logicalTypeOptions: {defaultTimezone: UTC},
         customProperties: [{property: eventTime, value: true}]}
"""
CLICKS = "".join(
    json.dumps({"user": user, "at": f"2024-01-01T0{hour}:30:00Z"}) + "\n" for hour in range(3) for user in ("a", "b")
)
PARAMETERS = {
    "input": "gs://shop/in/*.jsonl",
    "contract": "gs://shop/clicks.odcs.yaml",
    "output": "gs://shop/lake",
    "run_id": "r1",
    "window": "fixed:1h",
    "aggregate": "count(*) as n",
    "group_by": "",
}


def spec_of(folder: Path, image: str = IMAGE) -> bytes:
    assert main(["template", "build", "event_analytics", "--image", image, "--output_dir", str(folder)]) == 0
    return (folder / "container_spec.json").read_bytes()


def client_of(emulator: DataflowEmulator) -> Any:
    return dataflow.FlexTemplatesServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.endpoint),
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return spec_of(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs that break the launcher's contract, each in its own way."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "idle.py").write_text("print('nothing to do')\n")
    (folder / "broken.py").write_text("import sys\nprint('told')\nsys.exit('no such column')\n")
    (folder / "talkative.py").write_text(
        "import json, os, sys\nprint(json.dumps([sys.argv[1:], os.environ.get('COLOUR')]))\n"
    )
    (folder / "waiting.py").write_text("import time\ntime.sleep(600)\n")
    return folder


@pytest.fixture(scope="module")
def launchers(programs: Path, built: bytes) -> Iterator[DataflowEmulator]:
    """Starts the programs of images, and runs no jobs."""
    images = {path.stem: {"FLEX_TEMPLATE_PYTHON_PY_FILE": str(path)} for path in programs.iterdir()}
    images["talkative"] |= {"COLOUR": "green", "FLEX_TEMPLATE_PYTHON_SETUP_FILE": "/template/setup.py"}
    with DataflowEmulator(run_jobs=False, images={**images, "empty": {}, IMAGE: MAIN}, buckets=["dataflow"]) as running:
        running.storage.write(SPEC, built)
        yield running


def _launch(emulator: DataflowEmulator, name: str, **changes: Any) -> Job:
    parameter = {"job_name": name, "container_spec_gcs_path": SPEC, "parameters": PARAMETERS} | changes
    if "container_spec" in changes:
        del parameter["container_spec_gcs_path"]
    request = dataflow.LaunchFlexTemplateRequest(
        project_id=PLACE["project_id"], location=PLACE["location"], launch_parameter=parameter
    )
    return emulator.job(client_of(emulator).launch_flex_template(request).job.id)


def _errors(job: Job) -> str:
    return "\n".join(message.message_text for message in job.messages(Importance.JOB_MESSAGE_ERROR))


def _image(name: str, **metadata: Any) -> dict[str, Any]:
    return {"image": name, "metadata": {"name": name, **metadata}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"job_name": "Upper"}, "launchParameter.jobName: 'Upper' is not a job name"),
        ({"container_spec_gcs_path": "gs://dataflow/nothing.json"}, "there is no object gs://dataflow/nothing.json"),
        ({"container_spec_gcs_path": "/tmp/spec.json"}, "'/tmp/spec.json' is not gs://BUCKET/OBJECT"),
        ({"container_spec_gcs_path": ""}, "'' is not gs://BUCKET/OBJECT"),
        ({"parameters": {}}, "input: Missing required parameter"),
        ({"parameters": PARAMETERS | {"inptu": "x"}}, "inptu: Unrecognized parameter"),
        (
            {"parameters": PARAMETERS | {"run_id": "a/b"}},
            "run_id: Unmatched parameter value, it doesn't match the regex",
        ),
        ({"parameters": PARAMETERS | {"format": "pdf"}}, "format: Unmatched parameter value, it is not one of auto"),
        ({"parameters": PARAMETERS | {"aggregate_shards": "many"}}, "aggregate_shards: Unmatched parameter value"),
        ({"parameters": PARAMETERS | {"csv_header": "maybe"}}, "csv_header: Unmatched parameter value"),
        ({"container_spec": {"image": ""}}, "The container spec names no image"),
        ({"update": True}, "launchParameter.update: there is no running job named 'wrong'"),
    ],
)
def test_a_wrong_launch_is_a_bad_request_and_makes_no_job(
    launchers: DataflowEmulator, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(exceptions.BadRequest) as refused:
        _launch(launchers, "wrong", **changes)
    assert complaint in str(refused.value)
    assert not [job for job in launchers.jobs.all() if job.submission.name == "wrong"]


def test_a_container_spec_that_google_would_not_read_is_a_bad_request(launchers: DataflowEmulator) -> None:
    for content, complaint in ((b"[]", "it is not a JSON object"), (b'{"imagee": "x"}', 'no field named "imagee"')):
        launchers.storage.write("gs://dataflow/odd.json", content)
        with pytest.raises(exceptions.BadRequest, match=complaint):
            _launch(launchers, "odd", container_spec_gcs_path="gs://dataflow/odd.json")


def test_a_launch_that_is_only_to_be_validated_makes_no_job(launchers: DataflowEmulator) -> None:
    parameter = {"job_name": "validated", "container_spec_gcs_path": SPEC, "parameters": PARAMETERS}
    request = {**PLACE, "launch_parameter": parameter, "validate_only": True}
    answer = client_of(launchers).launch_flex_template(dataflow.LaunchFlexTemplateRequest(request))
    assert not answer.job.id
    assert not [job for job in launchers.jobs.all() if job.submission.name == "validated"]


def test_the_program_gets_parameters_environment_and_files_as_flags(launchers: DataflowEmulator) -> None:
    environment = {
        "max_workers": 3,
        "machine_type": "e2-standard-2",
        "additional_experiments": ["a"],
        "additional_user_labels": {"team": "sales"},
        "ip_configuration": "WORKER_IP_PRIVATE",
        "temp_location": "gs://dataflow/tmp",
    }
    job = _launch(
        launchers,
        "talkative",
        container_spec={"image": "talkative", "default_environment": {"num_workers": 2, "max_workers": 9}},
        parameters={"a": "1,2", "b": ""},
        environment=environment,
    )
    job.wait(60)
    flags, colour = json.loads((launchers.directory / "launches" / job.id / "console_logs").read_text())
    written = f"gs://dataflow/staging/template_launches/{job.id}/job_object"
    assert colour == "green"
    assert flags == [
        f"--dataflow_endpoint={launchers.endpoint}",
        "--setup_file=/template/setup.py",
        "--runner=DataflowRunner",
        "--project=local-project",
        "--region=us-central1",
        "--job_name=talkative",
        "--staging_location=gs://dataflow/staging",
        "--temp_location=gs://dataflow/tmp",
        f"--template_location={written}",
        "--num_workers=2",
        "--max_num_workers=3",
        "--worker_machine_type=e2-standard-2",
        "--experiments=a",
        "--labels=team=sales",
        "--no_use_public_ips",
        "--a=1,2",
        "--b=",
    ]


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        ("idle", "Unable to open template file: the program ended well but built no pipeline"),
        ("broken", "broken.py exited with 1:\ntold\nno such column"),
        ("elsewhere", "the image elsewhere can't be pulled"),
        ("empty", "the image has no variable FLEX_TEMPLATE_PYTHON_PY_FILE"),
    ],
)
def test_a_program_that_breaks_the_contract_fails_its_job(
    launchers: DataflowEmulator, image: str, complaint: str
) -> None:
    job = _launch(launchers, f"fails-{image}", container_spec={"image": image}, parameters={})
    assert job.wait(60) == State.JOB_STATE_FAILED
    assert complaint in _errors(job)


def test_a_launch_can_be_cancelled_before_its_program_ends(launchers: DataflowEmulator) -> None:
    job = _launch(launchers, "waiting", container_spec={"image": "waiting"}, parameters={})
    assert job.state == State.JOB_STATE_QUEUED
    with pytest.raises(exceptions.Conflict, match="already an active job named waiting"):
        _launch(launchers, "waiting", container_spec={"image": "waiting"}, parameters={})
    job.ask_to_stop(State.JOB_STATE_CANCELLED)
    assert job.wait(30) == State.JOB_STATE_CANCELLED


def test_a_wrong_parameter_that_only_the_pipeline_finds_fails_the_launch_with_its_message(
    launchers: DataflowEmulator,
) -> None:
    job = _launch(launchers, "no-contract")
    assert job.wait(120) == State.JOB_STATE_FAILED
    assert "beam-pipelines: " in _errors(job)
    assert "gs://shop/" in _errors(job)


@pytest.fixture(scope="module")
def running(prism_binary: Path, package: Path, built: bytes) -> Iterator[DataflowEmulator]:
    """Runs what is launched. Its workers get this package as the launcher's contract has it: by a setup file."""
    images = {IMAGE: {**MAIN, "FLEX_TEMPLATE_PYTHON_SETUP_FILE": str(package / "setup.py")}}
    with DataflowEmulator(prism=prism_binary, buckets=["dataflow", "shop"], images=images) as emulator:
        emulator.storage.write(SPEC, built)
        emulator.storage.write("gs://shop/in/clicks.jsonl", CLICKS.encode() + b"not json\n")
        emulator.storage.write("gs://shop/clicks.odcs.yaml", CONTRACT.encode())
        yield emulator


def test_a_launched_template_runs_to_its_end_and_balances(
    running: DataflowEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    place = [f"--dataflow_endpoint={running.endpoint}", "--project=local-project", "--region=us-central1"]
    parameters = [f"{name}={value}" for name, value in PARAMETERS.items()]
    asked = ["launch", "event_analytics", *place, f"--template={SPEC}", "--parameters", *parameters]
    assert main(asked) == 0
    told = capsys.readouterr().out
    (job,) = running.jobs.all()
    assert f"job {job.id} is DONE" in told
    assert "balanced: 7 read = 6 written + 1 dead-lettered" in told
    assert main(asked) == 0
    assert "run r1 is committed already, with the same options and input: nothing was launched" in (
        capsys.readouterr().out
    )
    assert running.jobs.all() == [job]
    manifest = json.loads(running.storage.read("gs://shop/lake/_runs/r1/manifest.json"))
    balance = json.loads(running.storage.read("gs://shop/lake/_runs/r1/balance.json"))
    counts = {name: balance[name] for name in ("read", "written", "dead_lettered", "balanced")}
    assert counts == {"read": 7, "written": 6, "dead_lettered": 1, "balanced": True}
    (panes,) = [file["path"] for file in manifest["files"] if file["folder"] == "aggregates"]
    table = pq.read_table(io.BytesIO(running.storage.read(f"gs://shop/lake/{panes}")))
    assert table.column("n").to_pylist() == [2, 2, 2]


def test_the_main_program_submits_itself_and_exits_when_it_is_given_no_template_location(
    launchers: DataflowEmulator, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text(CLICKS)
    (tmp_path / "clicks.odcs.yaml").write_text(CONTRACT)
    given = {"input": tmp_path / "in.jsonl", "contract": tmp_path / "clicks.odcs.yaml", "output": tmp_path / "lake"}
    ended = subprocess.run(
        [
            *(sys.executable, MAIN["FLEX_TEMPLATE_PYTHON_PY_FILE"], *launchers.flags(), "--job_name=by-itself"),
            *(f"--{name}={value}" for name, value in given.items()),
            *("--run_id=", "--an_option_of_a_later_launcher=1"),
        ],
        env={**os.environ, **launchers.environment(), "BEAM_PIPELINES_TEMPLATE": "event_analytics"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert "submitted; not waiting for its end" in ended.stdout
    (job,) = [job for job in launchers.jobs.all() if job.submission.name == "by-itself"]
    assert job.wait_for(State.JOB_STATE_RUNNING, 10)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image", "shop:1"], "--image: 'shop:1' is not NAME=VALUE"),
        (["--image", "shop:1=nowhere.py"], "--image: there is no file 'nowhere.py' to stand for shop:1"),
        (["--image_variable", "COLOUR"], "--image_variable: 'COLOUR' is not NAME=VALUE"),
    ],
)
def test_a_wrong_image_of_the_command_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataflow-emulator", "--record_only", *words]) == 2
    assert told in capsys.readouterr().err
