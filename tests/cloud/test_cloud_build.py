"""cloudbuild.yaml is what Cloud Build's API takes, its steps are in order, and its scripts are sound."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.devtools import cloudbuild_v1
from google.protobuf import json_format

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.commands import COMMANDS
from beam_pipelines.launch.exit_codes import ExitCode
from tests import runners

FILE = Path(__file__).parents[2] / "cloudbuild.yaml"
TREE: dict[str, Any] = yaml.safe_load(FILE.read_text())
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in TREE["steps"]}
BUILT_IN = {"PROJECT_ID", "BUILD_ID", "COMMIT_SHA", "REPO_FULL_NAME"}
"""Substitutions of Cloud Build's own; of builds that no trigger started, the last two are empty."""


def test_it_is_a_build_of_the_api_to_the_last_field() -> None:
    build = cloudbuild_v1.Build.pb(cloudbuild_v1.Build())

    json_format.ParseDict(TREE, build, ignore_unknown_fields=False)

    assert [step.id for step in build.steps] == ["test", "build", "push", "template", "upload", "smoke", "release"]
    assert build.timeout.seconds >= sum(step.timeout.seconds for step in build.steps) - 5400
    # Without an account of one's own, logs must go where any account may write them.
    assert build.options.logging == cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY


def test_each_step_waits_for_the_one_before() -> None:
    names = list(STEPS)

    assert [STEPS[name].get("waitFor") for name in names] == [None, *([name] for name in names[:-1])]


def test_every_substitution_is_given_and_used() -> None:
    given = set(TREE["substitutions"])
    scripts = "\n".join(step["script"] for step in STEPS.values())
    values = "\n".join(TREE["substitutions"].values())
    used = set(re.findall(r"\$\{?(_?[A-Z][A-Z_]+)", f"{scripts}\n{values}")) - {"PATH"}

    assert used - given <= BUILT_IN
    assert given <= used
    assert TREE["options"]["dynamicSubstitutions"]  # for values that use others
    assert TREE["options"]["automapSubstitutions"]  # for scripts, which get them as variables


def test_arguments_of_the_build_are_those_of_the_dockerfile() -> None:
    dockerfile = (FILE.parent / "templates" / "Dockerfile").read_text()
    declared = set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))

    given = set(re.findall(r"--build-arg (\w+)=", STEPS["build"]["script"]))

    assert given == {name for name in declared if not name.endswith("_IMAGE")}


def test_the_commands_that_it_runs_in_the_image_are_ours() -> None:
    ran = re.findall(r"--entrypoint beam-pipelines .+ \\\n\s+(\w+(?: build)?)", FILE.read_text())

    assert ran == ["template build", "launch"]
    assert set(ran) <= set(COMMANDS)


def test_what_the_smoke_launch_asks_for_is_a_run_that_ends_well(tmp_path: Path) -> None:
    place = "gs://$_BUCKET/smoke/$BUILD_ID"
    uploaded = re.findall(r"\S+/(?=\S)\S+\.(?:jsonl|yaml)", STEPS["upload"]["script"])
    for name in uploaded[:2]:
        shutil.copy(FILE.parent / name, tmp_path)
    (tmp_path / "mask.key").write_text(f"smoke:{bytes(range(32)).hex()}\n")
    parameters = re.findall(r'--parameters "(\w+)=([^"]*)"', STEPS["smoke"]["script"])
    assert {"input", "contract", "output"} <= {name for name, _ in parameters}

    given = [f"--{name}={value.replace(place, str(tmp_path))}" for name, value in parameters]
    code = main(["run", "event_analytics", *given])

    assert code == ExitCode.OK
    assert list((tmp_path / "lake" / "rows").rglob("*.parquet"))


def test_the_smoke_launch_is_written_as_the_command_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    written = set(re.findall(r"--([a-z_]+)", STEPS["smoke"]["script"].partition(" launch ")[2]))

    with pytest.raises(SystemExit):
        main(["launch", "--help"])

    assert len(written) >= 6
    assert written <= set(re.findall(r"--([a-z_]+)", capsys.readouterr().out))


@pytest.mark.parametrize("name", STEPS)
def test_its_scripts_pass_shellcheck(name: str) -> None:
    runners.need("servers")

    checked = subprocess.run(
        ["shellcheck", "--external-sources", "-"],
        input=STEPS[name]["script"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (checked.returncode, checked.stdout) == (0, "")
