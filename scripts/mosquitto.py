"""Mosquitto, a broker of MQTT, as Debian has it: `python -m scripts.mosquitto`, until Ctrl-C.

It prints the start of a URI, `mqtt://localhost:PORT`. Everything listens on localhost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import certificates, debian, processes
from scripts.certificates import Certificates

_SERVER = Path("/usr/sbin/mosquitto")
PASSWORD = "test-only"  # noqa: S105  of every user of a broker that is here for tests
USERS = ("shop", "stranger")
"""Users of the second port: the stranger may use no topic."""

MOST_BYTES = 12 << 20
"""Of a packet."""


def install() -> Path:
    """Return the path of the server, installing Debian's package first if it isn't there."""
    debian.install("mosquitto")
    return _SERVER


@dataclasses.dataclass
class Mosquitto:
    """A broker that can be killed and started again: its data stay in the folder, its ports are the same."""

    folder: Path
    port: int = dataclasses.field(init=False)
    port_with_users: int = dataclasses.field(init=False)
    port_with_tls: int = dataclasses.field(init=False)
    port_with_clients: int = dataclasses.field(init=False)
    """With TLS, for those who have a certificate themselves."""
    _process: subprocess.Popen[bytes] | None = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        self.port, self.port_with_users, self.port_with_tls, self.port_with_clients = processes.free_ports(4)

    @property
    def address(self) -> str:
        """Where clients find it that come without a name."""
        return f"localhost:{self.port}"

    @property
    def certificates(self) -> Certificates:
        """Those of its ports with TLS, and one for a client."""
        return certificates.of(self.folder)

    def start(self) -> None:
        """Start it, and wait until it serves. RuntimeError with the end of its log if it doesn't come up."""
        server = install()
        if not self.folder.exists():
            self._configure()
        with (self.folder / "mosquitto.log").open("ab") as output:
            self._process = subprocess.Popen(
                [str(server), "-c", str(self.folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.wait(lambda: processes.listens(self.port), self._process, self.folder)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL it has no time to say goodbye, nor to write what it holds."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait()
        self._process = None

    def _configure(self) -> None:
        self.folder.mkdir(parents=True)
        passwords, access = self.folder / "passwords", self.folder / "access"
        passwords.write_text("".join(f"{user}:{PASSWORD}\n" for user in USERS))
        passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, timeout=30)
        access.write_text("user shop\ntopic readwrite #\n")
        made = certificates.make(self.folder)
        tls = f"cafile {made.authority}\ncertfile {made.server}\nkeyfile {made.server_key}\nallow_anonymous true"
        lines = [
            "per_listener_settings true",
            "user root",
            f"persistence true\npersistence_location {self.folder}/",
            # The defaults of 2.0 are 20 and 1000: a client gets few at a time, and beyond 1000 messages are lost.
            "max_inflight_messages 0\nmax_queued_messages 0",
            f"max_packet_size {MOST_BYTES}",
            f"listener {self.port} 127.0.0.1\nallow_anonymous true",
            f"listener {self.port_with_users} 127.0.0.1\npassword_file {passwords}\nacl_file {access}",
            f"listener {self.port_with_tls} 127.0.0.1\n{tls}",
            f"listener {self.port_with_clients} 127.0.0.1\n{tls}\nrequire_certificate true",
        ]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a broker in a folder, yield how URIs of its topics begin, and stop it."""
    broker = Mosquitto(folder / "mosquitto")
    broker.start()
    try:
        yield [f"mqtt://{broker.address}"]
    finally:
        broker.stop()


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "mosquitto-"))
