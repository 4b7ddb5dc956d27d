"""Servers that tests and people start: each a process of its own, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

START_SECONDS = 120  # about 10 s on an idle machine
STOP_SECONDS = 10


@contextlib.contextmanager
def process(
    command: Sequence[str], log: Path, variables: dict[str, str] | None = None, stop_seconds: float = STOP_SECONDS
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended with all that it started; killed if it takes longer to end than it has."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(variables or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(stop_seconds)
            os.killpg(process.pid, signal.SIGKILL)  # what is left of its group
        process.wait()


def main(
    install: Callable[[], Path], running: Callable[[Path], contextlib.AbstractContextManager[list[str]]], prefix: str
) -> int:
    """A script that installs (`install`), or runs servers and prints a pipeline's options until it is interrupted."""
    if sys.argv[1:] == ["install"]:
        print(install())
        return 0
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix=prefix) as folder, running(Path(folder)) as flags:
        print(" \\\n    ".join(flags), flush=True)
        stop.wait()
    return 0


def wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a process is ready. RuntimeError with the ends of the folder's logs if it doesn't come up."""
    until = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > until:
            ends = "\n".join(f"{log}:\n{log.read_text(errors='replace')[-1500:]}" for log in folder.glob("*.log"))
            raise RuntimeError(f"a server didn't start; the ends of the logs:\n{ends}")
        time.sleep(0.2)


def listens(port: int) -> bool:
    """Whether something takes connections at a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def free_ports(count: int) -> list[int]:
    """Ports of localhost that nothing listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
