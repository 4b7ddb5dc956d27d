"""Runs `windows_job` beside a test, and tells what has come out of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from scripts import processes
from tests.conformance.jobs import ROOT

BASE = datetime.fromtimestamp(time.time() // 10 * 10 - 300, timezone.utc)
"""Some minutes ago: what is no click counts as of now, and so do clicks of the future."""


def clicks(first: int, number: int, second: int) -> list[bytes]:
    """Clicks, 100 to a second of event time from a second on."""
    return [
        json.dumps({"id": first + each, "at": (BASE + timedelta(seconds=second + each / 100)).isoformat()}).encode()
        for each in range(number)
    ]


def come_out(folder: Path, kind: str) -> list[dict[str, Any]]:
    path = folder / kind
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def total(folder: Path) -> tuple[int, int]:
    """Clicks that came out in panes or late, and the sum of their ids."""
    panes, late = come_out(folder, "panes"), come_out(folder, "late")
    return sum(pane["n"] for pane in panes) + len(late), sum(pane["ids"] for pane in panes) + sum(
        click["id"] for click in late
    )


class Job:
    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def wait(self, is_so: Callable[[], bool], seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while not is_so():
            tail = (self.folder / "job.log").read_text(errors="replace")[-3000:]
            assert self.process.poll() is None, f"the job ended: {tail}"
            assert time.monotonic() < until, f"{total(self.folder)}, {len(come_out(self.folder, 'dead'))}:\n{tail}"
            time.sleep(0.3)


@contextlib.contextmanager
def job(uri: str, folder: Path, flags: Sequence[str]) -> Iterator[Job]:
    """Run the job; it is cancelled, and then ended with all that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.ingest.queues.windows_job", uri, str(folder), *flags]
    with processes.process(command, folder / "job.log", {"PYTHONPATH": str(ROOT)}) as running:
        try:
            yield Job(running, folder)
        finally:
            (folder / "stop").touch()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(15)
