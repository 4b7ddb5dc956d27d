"""A Pub/Sub for tests, on localhost: `python -m scripts.pubsub`, until Ctrl-C.

It is pstest, the test double of Google's own client for Go (there is no Pub/Sub server to be had): it speaks the
service's protocol and keeps its deadlines and dead-letter policies, and forgets all when it ends. It prints how to
find it, `PUBSUB_EMULATOR_HOST=localhost:PORT`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import cache, processes

_VERSION = "v2.6.2"
_MODULE = "cloud.google.com/go/pubsub/v2"
_MAIN = Path(__file__).with_name("pubsub_server.go")
_INSTALL_SECONDS = 900  # compiling takes about 30 s on two idle cores


def install() -> Path:
    """Return the path of the binary, building it first if it isn't there in this version."""
    place = cache.folder("pubsub")
    found = place / "server"
    with cache.locked(place):
        # Go writes into a binary what it was made of.
        made_of = found.read_bytes() if found.is_file() else b""
        is_new = (place / "main.go").is_file() and (place / "main.go").read_text() == _MAIN.read_text()
        if not (is_new and f"\ndep\t{_MODULE}\t{_VERSION}\t".encode() in made_of):
            (place / "main.go").write_text(_MAIN.read_text())
            (place / "go.mod").write_text("module pubsub_server\n\ngo 1.24\n")
            (place / "go.sum").unlink(missing_ok=True)
            for command in (["get", f"{_MODULE}/pstest@{_VERSION}"], ["build", "-o", str(found), "."]):
                subprocess.run(
                    ["go", *command],
                    cwd=place,
                    env=os.environ | {"CGO_ENABLED": "0"},
                    stdout=sys.stderr,
                    timeout=_INSTALL_SECONDS,
                    check=True,
                )
    return found


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[str, str]]:
    """Start a server, yield its HOST:PORT and the one where it tells what is left, and stop it."""
    port, told = processes.free_ports(2)
    with processes.process([str(install()), str(port), str(told)], folder / "pubsub.log") as running:
        processes.wait(lambda: processes.listens(port) and processes.listens(told), running, folder)
        yield f"localhost:{port}", f"localhost:{told}"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a server, yield the variable by which clients find it, and stop it."""
    with server(folder) as (address, _):
        yield [f"PUBSUB_EMULATOR_HOST={address}"]


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "pubsub-"))
