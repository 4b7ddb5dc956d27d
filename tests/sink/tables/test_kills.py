"""Killed at any step or moment and run again, a run has the same effect on a table as one that nothing disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sink.tables import killed
from tests.sink.tables.stores import STORES, Stored

ROOT = Path(__file__).parents[3]
MOMENTS = int(os.environ.get("BEAM_PIPELINES_MOMENTS", "5"))
"""Kills of each store at a moment that nobody chose; twenty in `make soak`."""


class Mortal:
    """A process whose children attempt the run and are killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.sink.tables.killed"]
        self._server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def warm(self, uri: str, lake: str, imports: Sequence[str]) -> None:
        """Do the run before the one that is killed, or only import what it needs."""
        assert self._ask({"import": imports} if imports else {"uri": uri, "lake": lake}) == 0

    def die(self, uri: str, lake: str, step: str = "", after: int = 1, seconds: float | None = None) -> bool:
        """Attempt the run; tells whether the attempt was killed."""
        answer = self._ask({"uri": uri, "lake": lake, "step": step, "after": after, "seconds": seconds})
        assert answer in (0, signal.SIGKILL), "the attempt failed; its error is above"
        return answer == signal.SIGKILL

    def stop(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def _ask(self, asked: dict[str, object]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


class Undisturbed(NamedTuple):
    """A store, what its table holds when nothing disturbs the run, and how many seconds that takes."""

    store: str
    rows: list[str]
    seconds: float


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    running = Mortal()
    yield running
    running.stop()


@pytest.fixture(scope="module", params=STORES)
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mortal: Mortal
) -> Undisturbed:
    folder, store = tmp_path_factory.mktemp("undisturbed"), STORES[request.param]
    stored, lake = store.make(request, folder, "calm"), str(folder / "lake")
    mortal.warm(stored.uri, lake, store.imports)
    killed.before(stored.uri, lake)  # which changes nothing if it was done
    start = time.monotonic()
    killed.killable(stored.uri, lake)
    seconds = time.monotonic() - start
    assert stored.strays() == []
    return Undisturbed(request.param, stored.rows(), seconds)


@pytest.fixture
def stored(undisturbed: Undisturbed, request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    """A table of the same store, as it is before the run."""
    made = STORES[undisturbed.store].make(request, tmp_path, "table")
    killed.before(made.uri, str(tmp_path / "lake"))
    return made


@pytest.mark.parametrize("step", killed.STEPS)
def test_killed_at_a_step_and_run_again_the_table_is_as_undisturbed(
    mortal: Mortal, undisturbed: Undisturbed, stored: Stored, tmp_path: Path, step: str
) -> None:
    assert mortal.die(stored.uri, str(tmp_path / "lake"), step)
    manifest = killed.killable(stored.uri, str(tmp_path / "lake"))
    assert manifest["tables"][0]["rows"] == 120
    assert stored.rows() == undisturbed.rows
    assert stored.strays() == []
    assert not list(tmp_path.glob("lake/_runs/run-1/tmp/**/*.parquet"))


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_any_moment_and_run_again_the_table_is_as_undisturbed(
    mortal: Mortal, undisturbed: Undisturbed, stored: Stored, tmp_path: Path, moment: int
) -> None:
    seconds = random.uniform(0, undisturbed.seconds)
    died = mortal.die(stored.uri, str(tmp_path / "lake"), seconds=seconds)
    killed.killable(stored.uri, str(tmp_path / "lake"))
    assert stored.rows() == undisturbed.rows, f"killed after {seconds} s (in time: {died})"
    assert stored.strays() == []


def test_killed_twice_and_run_again_the_table_is_as_undisturbed(
    mortal: Mortal, undisturbed: Undisturbed, stored: Stored, tmp_path: Path
) -> None:
    for step in ("loaded", "loaded", "stored"):
        assert mortal.die(stored.uri, str(tmp_path / "lake"), step)
    assert not mortal.die(stored.uri, str(tmp_path / "lake"), "stored"), "a commit that is there isn't made again"
    assert stored.rows() == undisturbed.rows
    assert stored.strays() == []
