"""The image as it was built: what it says of itself, what it holds, and how large it is."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from scripts import image
from tests.image.conftest import ARGUMENTS

MEGABYTE = 1_000_000


def said(container: str, *words: str, user: str | None = None) -> str:
    done = subprocess.run(
        image.command(container, words, user=user), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_labels_say_what_it_was_built_from(settings: Any) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in settings["Labels"].items()}

    assert labels["version"] == ARGUMENTS["VERSION"]
    assert labels["revision"] == ARGUMENTS["REVISION"]
    assert labels["source"] == ARGUMENTS["SOURCE"]
    assert labels["licenses"] == "Apache-2.0"
    assert ARGUMENTS["PIPELINE"] in labels["description"]


def test_it_is_a_launcher_and_a_worker(settings: Any, built: str) -> None:
    variables = dict(each.split("=", 1) for each in settings["Env"])

    assert settings["Entrypoint"] == ["/opt/apache/beam/boot"]
    assert variables["FLEX_TEMPLATE_PYTHON_PY_FILE"] == "/template/main.py"
    assert variables["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] == "1"
    # A file or a list of requirements would be installed when a template is launched.
    assert not {"FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE", "FLEX_TEMPLATE_PYTHON_SETUP_FILE"} & set(variables)
    with image.container(built) as container:
        said(container, "test", "-x", "/opt/google/dataflow/python_template_launcher")
        said(container, "test", "-f", variables["FLEX_TEMPLATE_PYTHON_PY_FILE"])


def test_the_bill_of_materials_names_all_that_is_installed_and_nothing_else(built: str) -> None:
    with image.container(built) as container:
        bill = json.loads(said(container, "cat", "/template/sbom.cdx.json"))
        installed = json.loads(said(container, "pip", "list", "--format=json"))

    assert bill["bomFormat"] == "CycloneDX"
    named = {(each["name"].lower().replace("_", "-"), each["version"]) for each in bill["components"]}
    assert named == {(each["name"].lower().replace("_", "-"), each["version"]) for each in installed}
    assert len(named) > 100


def test_it_is_small_and_a_change_of_our_code_is_a_small_layer(layers: list[int]) -> None:
    dependencies = max(layers)

    assert sum(layers) < 1500 * MEGABYTE  # some 220 MB of them are the clients of stores and queues
    assert sum(layers[layers.index(dependencies) + 1 :]) < 10 * MEGABYTE


def test_what_builds_it_is_not_in_it(built: str) -> None:
    with image.container(built) as container:
        found = said(container, "sh", "-c", "ls -d /opt/build /build /opt/package /root/.cache 2>/dev/null || true")

    assert found == ""
