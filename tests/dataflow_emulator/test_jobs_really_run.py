"""The real DataflowRunner submits; the staged pipeline runs on workers that have only what was staged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from beam_pipelines import __version__
from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.dataflow_emulator.jobs import Importance, State
from beam_pipelines.dataflow_emulator.outline import outline
from tests.dataflow_emulator.conftest import Submitted, submit

LINES = b"to be or not to be\nbe\n"


class Programs(dict[str, Submitted]):
    """Programs by name, each submitted when it is first asked for."""

    def __init__(self, submissions: dict[str, Callable[[], Submitted]]) -> None:
        super().__init__()
        self.submissions = submissions

    def __missing__(self, name: str) -> Submitted:
        self[name] = self.submissions[name]()
        return self[name]


@pytest.fixture(scope="module")
def submitted(emulator: DataflowEmulator, package: Path, sdist: Path) -> Iterator[Programs]:
    emulator.storage.write("gs://word-count/words.txt", LINES)
    programs = Programs(
        {
            "word_count": lambda: submit(emulator, "word_count", bucket="word-count"),
            "setup_file": lambda: submit(emulator, "record_batches", f"--setup_file={package / 'setup.py'}"),
            "extra_package": lambda: submit(emulator, "record_batches", f"--extra_package={sdist}"),
            "failing": lambda: submit(emulator, "failing"),
            "endless": lambda: submit(emulator, "endless", bucket="endless"),
        }
    )
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # They wait for Beam's polls most of the time: all at once, unless other tests run beside them.
        for name in programs.submissions:
            assert programs[name]
    yield programs
    for program in programs.values():
        program.end()


def test_a_job_is_done_with_its_output_in_cloud_storage(emulator: DataflowEmulator, submitted: Programs) -> None:
    told = submitted["word_count"].told()

    assert told["state"] == "DONE"
    assert sorted(emulator.storage.read("gs://word-count/counts").decode().splitlines()) == [
        "be 3",
        "not 1",
        "or 1",
        "to 2",
    ]
    assert emulator.job(told["job"]).state == State.JOB_STATE_DONE


def test_metrics_reach_the_client_attempted_and_committed(submitted: Programs) -> None:
    metrics = submitted["word_count"].told()["metrics"]

    lengths = {"count": 7, "sum": 15, "min": 2, "max": 3}
    assert metrics == {
        "lines_without_beam_pipelines": ANY,
        "words": {"step": "Split", "committed": 7, "attempted": 7},
        "lengths": {"step": "Split", "committed": lengths, "attempted": lengths},
    }


@pytest.mark.parametrize(
    ("way", "artifacts"),
    [
        ("setup_file", {"workflow.tar.gz"}),
        ("extra_package", {"extra_packages.txt", f"beam_pipelines-{__version__}.tar.gz"}),
    ],
)
def test_workers_get_this_package_when_it_is_staged(
    emulator: DataflowEmulator, submitted: Programs, way: str, artifacts: set[str]
) -> None:
    told = submitted[way].told()

    assert told["state"] == "DONE"
    assert told["counters"] == {"rows": 7, "staged": 2}
    staged = outline(emulator.job(told["job"]))["environments"][0]["artifacts"]
    assert {each["name"] for each in staged} == artifacts
    assert all(each["hashed"] and each["type"] == "beam:artifact:type:url:v1" for each in staged)


def test_workers_lack_this_package_when_it_is_not_staged(submitted: Programs) -> None:
    metrics = submitted["word_count"].told()["metrics"]

    assert metrics["lines_without_beam_pipelines"]["committed"] == len(LINES.splitlines())


def test_an_exception_in_a_worker_fails_the_job_and_reaches_the_client(
    emulator: DataflowEmulator, submitted: Programs
) -> None:
    told = submitted["failing"].told()

    assert told["state"] == "FAILED"
    assert "Traceback (most recent call last):" in told["raised"]
    assert "ValueError: row 2 is not to be had [while running 'Refuse']" in told["raised"]
    errors = [message.message_text for message in emulator.job(told["job"]).messages(Importance.JOB_MESSAGE_ERROR)]
    assert errors[-1] == "Workflow failed. Causes: ValueError: row 2 is not to be had [while running 'Refuse']"


def test_cancelling_ends_a_job_whose_bundle_never_does(submitted: Programs) -> None:
    told = submitted["endless"].told()

    assert (told["before"], told["state"]) == ("RUNNING", "CANCELLED")
    assert told["seconds"] < 30


def test_nothing_is_left_when_an_emulator_is_closed(prism_binary: Path) -> None:
    with DataflowEmulator(prism=prism_binary) as short:
        directory = short.directory
        assert _processes_that_know(directory)

    assert not directory.exists()
    assert not _processes_that_know(directory)


def _processes_that_know(directory: Path) -> list[str]:
    """Processes that were started in the directory, or were told its name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            told = process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
            if str(directory).encode() in told or process.joinpath("cwd").readlink().is_relative_to(directory):
                found.append(process.name)
        except OSError:
            continue  # it has ended, or isn't ours
    return found
