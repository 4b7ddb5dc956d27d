"""Runs one program and measures all of it: `python -S measured_run.py SECONDS LOG PROGRAM ARGUMENTS…`

A program by itself, small and with nothing but the standard library: a child's peak memory, as the operating system
tells it, starts at its parent's. Prints a JSON object:

- `cpu_s`: user and system time of the program and of all that it started. Whatever outlives its parent becomes a child
  of this process, so nothing escapes.
- `wall_s`: until the program itself ends.
- `peak_mb`: the largest sum of resident memory over the tree, seen ten times a second, or the exact peak of its largest
  process if that is more. Pages that processes share are counted in each of them; so a process counts when it is seen
  for the second time, and not while it is still its parent's copy, about to become another program.
- `status`: the program's exit code; -15 when it took longer than SECONDS.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY = 0.1  # seconds
_GRACE = 10.0  # seconds that what the program left running has, before it is killed


def _tree() -> list[int]:
    """Process ids of all descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
            except OSError:  # it has ended
                continue
            # The name, in brackets, may hold anything; the state and then the parent follow it.
            children.setdefault(int(stat[stat.rindex(b")") + 2 :].split()[1]), []).append(int(entry.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _resident(processes: list[int]) -> int:
    """Bytes in memory."""
    pages = 0
    for process in processes:
        with contextlib.suppress(OSError, IndexError):  # it has ended
            pages += int(Path(f"/proc/{process}/statm").read_bytes().split()[1])
    return pages * _PAGE


def _signal(processes: list[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def measure(seconds: float, log: Path, command: list[str]) -> dict[str, float]:
    """Run to the end."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this system can't say who ends a process's children: Linux is needed")
    started = time.monotonic()
    file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, file, 1), (os.POSIX_SPAWN_DUP2, file, 2)]
    program = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    status: int | None = None
    wall, peak, told = 0.0, 0, 0
    seen: set[int] = set()
    while True:
        try:
            ended, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # all have ended
            break
        now = time.monotonic() - started
        if ended == program:
            status, wall = os.waitstatus_to_exitcode(how), now
        elif not ended:
            processes = _tree()
            peak = max(peak, _resident([process for process in processes if process in seen]))
            seen = set(processes)
            due = seconds if status is None else wall + _GRACE
            if now > due + 5 * told:
                _signal(processes, signal.SIGKILL if told else signal.SIGTERM)
                told += 1
            time.sleep(_EVERY)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": wall,
        "peak_mb": max(peak, used.ru_maxrss * 1024) / 1e6,  # ru_maxrss is in KiB
        "status": 0 if status is None else status,
    }


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])))
