"""RabbitMQ, as Debian has it: `python -m scripts.rabbitmq`, until Ctrl-C.

It prints the start of a URI, `amqp://localhost:PORT`. Everything listens on localhost.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import certificates, debian, processes
from scripts.certificates import Certificates

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper in the path changes the user
PASSWORD = "test-only"  # noqa: S105  of every user of a broker that is here for tests
USERS = ("shop", "stranger")
"""Users; the stranger may do nothing, and the vhost `closed` is nobody's."""


def install() -> Path:
    """Return the path of the server, installing Debian's package first if it isn't there."""
    debian.install("rabbitmq-server")
    return _SERVER


@dataclasses.dataclass
class Rabbit:
    """A broker that can be killed and started again: its data stay in the folder, its port is the same."""

    folder: Path
    port: int = dataclasses.field(init=False)
    port_with_tls: int = dataclasses.field(init=False)
    """For those who have a certificate themselves, signed by the same authority."""
    _ports: list[int] = dataclasses.field(init=False)
    _processes: list[subprocess.Popen[bytes]] = dataclasses.field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.port, self.port_with_tls, *self._ports = processes.free_ports(4)

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"localhost:{self.port}"

    @property
    def certificates(self) -> Certificates:
        """Those of its port with TLS, and one for a client."""
        return certificates.of(self.folder)

    def start(self) -> None:
        """Start it, and wait until it serves. RuntimeError with the end of its log if it doesn't come up."""
        server = install()
        if not self.folder.exists():
            self._configure()
        names, distribution = self._ports
        variables = {
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
        }
        # Nodes find each other by it. Else the server starts one that outlives it.
        epmd = self._run(["epmd", "-address", "127.0.0.1", "-port", str(names)], variables, "epmd.log")
        processes.wait(lambda: processes.listens(names), epmd, self.folder)
        broker = self._run([str(server)], variables, "rabbitmq.log")
        log = self.folder / "rabbitmq.log"
        processes.wait(lambda: "Server startup complete" in log.read_text(errors="replace"), broker, self.folder)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL it has no time to say goodbye."""
        for each in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, number)
                try:
                    each.wait(processes.STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(each.pid, signal.SIGKILL)
            each.wait()
        self._processes.clear()

    def _run(self, command: list[str], variables: dict[str, str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables},
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _configure(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "plugins").write_text("[].\n")
        definitions = {
            "users": [{"name": name, "password_hash": _hash(PASSWORD), "tags": []} for name in USERS]
            + [{"name": "guest", "password_hash": _hash("guest"), "tags": ["administrator"]}],
            "vhosts": [{"name": "/"}, {"name": "sales"}, {"name": "closed"}],
            "permissions": [
                {"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
                for user, vhost in (("guest", "/"), ("guest", "sales"), ("shop", "sales"))
            ]
            + [{"user": "stranger", "vhost": "sales", "configure": "^$", "write": "^$", "read": "^$"}],
        }
        (self.folder / "definitions.json").write_text(json.dumps(definitions))
        made = certificates.make(self.folder)
        settings = {
            "listeners.ssl.local": f"127.0.0.1:{self.port_with_tls}",
            "ssl_options.cacertfile": made.authority,
            "ssl_options.certfile": made.server,
            "ssl_options.keyfile": made.server_key,
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "true",
            "listeners.tcp.local": f"127.0.0.1:{self.port}",
            "load_definitions": self.folder / "definitions.json",
            "max_message_size": 16 << 20,
            "vm_memory_high_watermark.absolute": "2GB",
            "disk_free_limit.absolute": "50MB",
        }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self.folder / "rabbitmq.conf").write_text(text)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a broker in a folder, yield how URIs of its queues begin, and stop it."""
    broker = Rabbit(folder / "rabbitmq")
    try:
        broker.start()
        yield [f"amqp://{broker.address}"]
    finally:
        broker.stop()


def _hash(password: str) -> str:
    """A password as RabbitMQ keeps it: salt, and SHA-256 of salt and password."""
    salt = hashlib.sha256(password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "rabbitmq-"))
