"""Child processes: ended by their own id, and never left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

_GRACE = 8  # seconds after SIGTERM; the SDK's boot gives its own children 5
_TAIL = 4000  # bytes of a log that go into a message


def stop(process: subprocess.Popen[bytes], grace: float = _GRACE) -> None:
    """Ask the process to end, and kill it when it doesn't within `grace` seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def tail(log: Path, size: int = _TAIL) -> str:
    """The end of a log file as text."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        length = stream.seek(0, 2)
        stream.seek(max(0, length - size))
        return stream.read().decode("utf-8", "replace").strip()
