"""One run of a program, measured by the operating system."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Measured(NamedTuple):
    """CPU seconds (of the process and the children it waited for), wall seconds, peak memory of the largest, MB."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(arguments: Sequence[str], environment: Mapping[str, str]) -> Measured:
    """Run to the end. SystemExit, with what it printed, when it fails."""
    log = Path(f"/tmp/benchmark-{os.getpid()}.log")  # noqa: S108  removed below
    started = time.monotonic()
    with log.open("wb") as told:
        out = [(os.POSIX_SPAWN_DUP2, told.fileno(), number) for number in (1, 2)]
        child = os.posix_spawn(arguments[0], list(arguments), dict(environment), file_actions=out)
        _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - started
    text = log.read_text(errors="replace")
    log.unlink()
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed with {os.waitstatus_to_exitcode(status)}:\n{text[-3000:]}")
    return Measured(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / 1e6)  # ru_maxrss is in KiB
