"""MariaDB 10.11, of Debian, with data of its own: `python -m scripts.mariadb`, until Ctrl-C.

It prints the start of a URI, `mariadb://root@127.0.0.1:PORT/test`. It listens on localhost alone; `root` needs no
password, user `shop` has one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import debian, processes

_SERVER = Path("/usr/sbin/mariadbd")
_LAYOUT = ["--no-defaults", "--datadir={}/data", "--socket={}/socket", "--pid-file={}/pid", "--tmpdir={}"]


def install() -> Path:
    """Return the server's program, which is installed first if it isn't there."""
    if not _SERVER.exists():
        debian.install("mariadb-server")
    return _SERVER


@dataclasses.dataclass
class Instance:
    """A server whose data are in its folder."""

    port: int = dataclasses.field(init=False)
    folder: Path = dataclasses.field(init=False)
    _process: subprocess.Popen[bytes] | None = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        (self.port,) = processes.free_ports(1)
        # Root may not run it, and the folders of root's tests are closed to others.
        self.folder = Path(tempfile.mkdtemp(prefix="mariadb-"))

    def uri(self, path: str, options: str = "", user: str = "root") -> str:
        """A URI of something in the database `test`."""
        return f"mariadb://{user}@127.0.0.1:{self.port}/test/{path}{f'?{options}' if options else ''}"

    def start(self) -> None:
        """Start it, and wait until it serves. RuntimeError with the end of its log if it doesn't come up."""
        program = install()
        if os.geteuid() == 0:
            shutil.chown(self.folder, "mysql", "mysql")
        layout = [each.format(self.folder) for each in _LAYOUT]
        made = [layout[0], layout[1], "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(["mariadb-install-db", *made], stdout=subprocess.DEVNULL, check=True, **_owner())
        settings = ["--bind-address=127.0.0.1", f"--port={self.port}", "--innodb-flush-log-at-trx-commit=0"]
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(program), *layout, *settings],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_owner(),
            )
        processes.wait(lambda: processes.listens(self.port), self._process, self.folder)

    def remove(self) -> None:
        """Stop it, and delete what it kept."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
                try:
                    self._process.wait(processes.STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _owner() -> dict[str, Any]:
    """As whom it runs: itself refuses root."""
    return {"user": "mysql", "group": "mysql", "extra_groups": []} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def running(_: Path) -> Iterator[list[str]]:
    """Start a server, yield how URIs of its tables begin, and stop it."""
    instance = Instance()
    instance.start()
    try:
        yield [instance.uri("")]
    finally:
        instance.remove()


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "mariadb-"))
