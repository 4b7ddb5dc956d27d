"""Kinesalite, an emulator of Kinesis in memory: `python -m scripts.kinesalite install`, for tests.

Not moto: that moves the records of a shard that is split or merged to its children, and its shards never end.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import cache, processes

_VERSION = "3.3.3"
_INSTALL_SECONDS = 300  # about 7 s
_MAIN = Path(__file__).with_suffix(".js")


def install() -> Path:
    """Return the folder it is in, installing it first if it isn't there in this version. RuntimeError without npm."""
    place = cache.folder(f"kinesalite-{_VERSION}")
    with cache.locked(place):
        if not (place / "node_modules" / "kinesalite" / "package.json").is_file():
            npm = shutil.which("npm")
            if npm is None:
                raise RuntimeError("the emulator of Kinesis needs Node.js and npm, and there is no npm here")
            # leveldown, which is optional, would be compiled; in memory it isn't needed.
            asked = ["install", "--no-audit", "--no-fund", "--omit=optional", f"kinesalite@{_VERSION}"]
            subprocess.run(
                [npm, *asked, "--prefix", str(place)], stdout=sys.stderr, timeout=_INSTALL_SECONDS, check=True
            )
    return place


class Emulator:
    """A running emulator."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = process
        self._log = log

    def pass_retention(self) -> None:
        """Let 25 hours go by on its clock: a stream keeps 24."""
        before = self._log.read_text()
        self._process.send_signal(signal.SIGUSR2)
        processes.wait(lambda: self._log.read_text() != before, self._process, self._log.parent)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Start an emulator, and stop it. Its log is in the folder."""
    (port,) = processes.free_ports(1)
    command = ["node", str(_MAIN), str(install()), str(port)]
    with processes.process(command, folder / "kinesalite.log") as server:
        processes.wait(lambda: processes.listens(port), server, folder)
        yield Emulator(port, server, folder / "kinesalite.log")


if __name__ == "__main__":
    print(install())
