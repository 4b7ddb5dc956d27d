"""Jobs in processes of their own, with a time limit, ended by their id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 15  # that a job which is told to stop gets to cancel itself at its runner


def run(command: Sequence[str], seconds: float, output: IO[Any] | None, said: str = "") -> int | None:
    """Run a command; its exit code, or None when it was ended because its time was up.

    `output`: where its two outputs go, ours if None. `said`: its standard input.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True, start_new_session=True
    )
    try:
        process.communicate(said, timeout=seconds)
        return process.returncode
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            _end(process)


def run_until(
    is_done: Callable[[], bool], command: Sequence[str], seconds: float, output: IO[Any] | None
) -> int | None:
    """Run a command that doesn't end by itself until something is so, and end it: 0, or its own exit code if it ends.

    None when its time was up before.
    """
    until = time.monotonic() + seconds
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True, start_new_session=True
    )
    try:
        while time.monotonic() < until:
            if is_done():
                return 0
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_SECONDS)
        return None
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a job: politely, so that it cancels itself, then with all that it started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        # It leads a group of its own, and lives, so the group is still the one that was started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
