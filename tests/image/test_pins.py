"""What goes into the image is pinned, by hash, to what is tested; its Dockerfile is linted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.conftest import TEMPLATES

ROOT = TEMPLATES.parent
_REQUIREMENT = re.compile(r"^(?P<name>[a-z0-9][\w.-]*)==(?P<version>\S+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)


def pins(lock: Path) -> dict[str, str]:
    """Name → version; two versions of a package are for two Pythons."""
    found: dict[str, set[str]] = {}
    for each in _REQUIREMENT.finditer(lock.read_text()):
        found.setdefault(each["name"], set()).add(each["version"])
    return {name: " ".join(sorted(versions)) for name, versions in found.items()}


@pytest.mark.parametrize("name", ["requirements.txt", "build-requirements.txt"])
def test_every_requirement_has_its_hashes(name: str) -> None:
    text = (TEMPLATES / name).read_text()

    blocks = [block for block in re.split(r"\n(?=\S)", text.strip()) if not block.startswith("#")]

    assert len(blocks) > 20
    assert not [block for block in blocks if "==" not in block or "--hash=sha256:" not in block]


def test_the_image_holds_the_versions_that_the_tests_ran_with() -> None:
    tested, shipped = pins(ROOT / "requirements.txt"), pins(TEMPLATES / "requirements.txt")

    assert len(shipped) > 100
    assert {name: version for name, version in shipped.items() if tested.get(name) != version} == {}


def test_the_bases_are_of_the_beam_and_the_python_that_were_tested() -> None:
    beam = pins(TEMPLATES / "requirements.txt")["apache-beam"]
    [python] = re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())  # what the locks are made for
    dockerfile = (TEMPLATES / "Dockerfile").read_text()

    assert f"/beam_python{python}_sdk:{beam}\n" in dockerfile
    assert f"/python:{python}-slim-" in dockerfile
    assert f"/python{python.replace('.', '')}-template-launcher-base:" in dockerfile
    job_server = (ROOT / "deploy" / "flink-kubernetes" / "job-server.yaml").read_text()
    assert re.search(rf"beam_flink[\d.]+_job_server:{re.escape(beam)}\n", job_server)


def test_nothing_that_is_only_for_development_is_shipped() -> None:
    assert not {"pytest", "mypy", "ruff", "hypothesis", "uv", "duckdb"} & set(pins(TEMPLATES / "requirements.txt"))


def test_the_dockerfiles_pass_hadolint() -> None:
    files = sorted(TEMPLATES.rglob("Dockerfile"))
    assert files

    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), *files], capture_output=True, text=True, timeout=60, check=False
    )

    assert (linted.returncode, linted.stdout) == (0, "")
