"""PostgreSQL 15, of Debian, with data of its own: `python -m scripts.postgresql`, until Ctrl-C.

It prints the start of a URI, `postgresql://postgres@localhost:PORT/postgres`. It listens on localhost alone; user
`postgres` needs no password, `shop` has one.
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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts import debian, processes
from scripts.kafka import write_certificate

_BINARIES = Path("/usr/lib/postgresql/15/bin")
_ACCESS = """
host all shop all scram-sha-256
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
"""


def install() -> Path:
    """Return the folder of its programs, which are installed first if they aren't there."""
    if not (_BINARIES / "postgres").exists():
        debian.install("postgresql-15")
    return _BINARIES


@dataclasses.dataclass
class Instance:
    """A server that can be killed and started again: its data stay in its folder, its port is the same."""

    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    port: int = dataclasses.field(init=False)
    folder: Path = dataclasses.field(init=False)
    _process: subprocess.Popen[bytes] | None = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        (self.port,) = processes.free_ports(1)
        # Root may not run it, and the folders of root's tests are closed to others.
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-"))

    @property
    def certificate(self) -> Path:
        """The certificate that clients have to trust, who check it."""
        return self.folder / "certificate.pem"

    def uri(self, path: str, options: str = "", user: str = "postgres") -> str:
        """A URI of something in the database `postgres`."""
        return f"postgresql://{user}@localhost:{self.port}/postgres/{path}{f'?{options}' if options else ''}"

    def start(self) -> None:
        """Start it, and wait until it serves. RuntimeError with the end of its log if it doesn't come up."""
        data = self.folder / "data"
        if not data.exists():
            self._make(data)
        settings = {
            "port": self.port,
            "listen_addresses": "localhost",
            "unix_socket_directories": "",
            "fsync": "off",  # of the machine's crashes, not of the server's
            "ssl": "on",
            "ssl_cert_file": self.certificate,
            "ssl_key_file": self.folder / "key-and-certificate.pem",
            "max_connections": 50,
            "shared_buffers": "32MB",
            "deadlock_timeout": "100ms",
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(install() / "postgres"), "-D", str(data), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_owner(),
            )
        processes.wait(self._answers, self._process, self.folder)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it and its sessions; with SIGQUIT it has no time to tidy up."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
            try:
                self._process.wait(processes.STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.kill(self._process.pid, signal.SIGQUIT)
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop it, and delete what it kept."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, data: Path) -> None:
        write_certificate(self.folder)
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        (self.folder / "key-and-certificate.pem").chmod(0o600)
        self.folder.chmod(0o755)
        command = [str(install() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run([*command, "--locale=C.UTF-8"], stdout=subprocess.DEVNULL, check=True, **_owner())
        (data / "pg_hba.conf").write_text(_ACCESS)

    def _answers(self) -> bool:
        command = [str(install() / "pg_isready"), "--quiet", "--host=localhost", f"--port={self.port}"]
        return subprocess.run(command, check=False).returncode == 0


def _owner() -> dict[str, Any]:
    """As whom it runs: itself refuses root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


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
    sys.exit(processes.main(install, running, "postgresql-"))
