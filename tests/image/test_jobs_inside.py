"""Jobs whose program and workers run inside the image: on the local Dataflow, and as a pool of workers of any user."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.dataflow_emulator.jobs import State
from beam_pipelines.dataflow_emulator.outline import outline
from scripts import image, prism, processes
from tests import runners
from tests.conformance import road

LAUNCHER = "/opt/google/dataflow/python_template_launcher"
BOOT = "/opt/apache/beam/boot"
NOBODY = "65534:65534"
OFFLINE = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
_SECONDS = 300  # that a job may take on a machine that is busy with other tests


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    road.write(folder)
    return folder


def parameters(inputs: Path, lake: Path) -> list[str]:
    return [
        *(f"--input={inputs}/in/*", f"--contract={inputs}/purchases.odcs.yaml", f"--output={lake}", "--run_id=road"),
        *(f"--mask_key_file={inputs}/mask.key", "--window=fixed:1h", "--group_by=country"),
        f"--aggregate={road.AGGREGATES}",
    ]


def files(container: str) -> dict[str, tuple[int, float]]:
    """Every file below which Python finds packages or programs, with its size and time."""
    root = Path(image.buildah("mount", container).strip())
    found = (path for top in ("opt", "usr", "root", "template") for path in (root / top).rglob("*"))
    return {
        str(path.relative_to(root)): (path.lstat().st_size, path.lstat().st_mtime)
        for path in found
        if not path.is_dir()
    }


@pytest.fixture(scope="module")
def launched(built: str, inputs: Path) -> Iterator[dict[str, Any]]:
    """A template's launch on the local Dataflow: the launcher and each worker are the image."""
    runners.need("Prism")
    boot = inputs / "boot"
    boot.touch(mode=0o755)
    with (
        image.container(built) as launcher,
        image.container(built) as workers,
        DataflowEmulator(prism=prism.binary(), boot=boot, work_dir=inputs / "emulator") as emulator,
    ):
        variables = {**emulator.environment(), **OFFLINE}
        worker = image.command(workers, [BOOT], variables, [inputs])
        boot.write_text(f'#!/bin/sh\nexec {shlex.join(worker)} "$@"\n')
        before = files(launcher), files(workers)
        lake = inputs / "lake"
        flags = [*parameters(inputs, lake), *emulator.flags(), f"--sdk_container_image={built}"]
        done = subprocess.run(
            image.command(launcher, [LAUNCHER, *flags], variables, [inputs]),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [job] = emulator.jobs.all()  # the launcher doesn't wait for its end
        job.wait(_SECONDS)
        yield {
            "job": job,
            "lake": lake,
            "before": before,
            "after": (files(launcher), files(workers)),
            "boot": "".join(log.read_text() for log in (inputs / "emulator" / "jobs").rglob("boot.log")),
        }


def test_a_template_is_launched_and_its_job_is_done_inside_the_image(launched: dict[str, Any], built: str) -> None:
    assert launched["job"].state == State.JOB_STATE_DONE
    assert built in str(launched["job"].submission.job)
    assert launched["boot"]  # the workers' entrypoint was started, and is that of the image


@pytest.mark.parametrize("part", ["rows", "aggregates", "dead_letters", "balance"])
def test_what_it_wrote_is_what_was_computed_row_by_row(launched: dict[str, Any], inputs: Path, part: str) -> None:
    assert road.found(launched["lake"])[part] == road.expected(inputs)[part]


def test_nothing_is_staged_and_nothing_is_installed_at_launch(launched: dict[str, Any]) -> None:
    assert [each["artifacts"] for each in outline(launched["job"])["environments"]] == [[]]
    for before, after in zip(launched["before"], launched["after"], strict=True):
        assert len(before) > 10_000
        assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == set()


@contextlib.contextmanager
def pool(container: str, folder: Path) -> Iterator[str]:
    """The image as a worker pool beside a cluster, as a user without rights."""
    [port] = processes.free_ports(1)
    words = ["python", "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    started = image.command(container, [*words, f"--container_executable={BOOT}"], OFFLINE, [folder], NOBODY)
    with processes.process(started, folder / "pool.log") as running:
        processes.wait(lambda: processes.listens(port), running, folder)
        yield f"localhost:{port}"


def test_workers_need_no_rights_outside_dataflow(built: str, inputs: Path, prism_flags: list[str]) -> None:
    inputs.chmod(0o755)
    lake = inputs / "lake-of-nobody"
    lake.mkdir()
    lake.chmod(0o777)
    with image.container(built) as container, pool(container, inputs) as address:
        road.run(inputs, lake, [*prism_flags, "--environment_type=EXTERNAL", f"--environment_config={address}"])

    assert road.found(lake) == road.expected(inputs)
    assert {path.owner() for path in lake.rglob("*.parquet")} == {"nobody"}
