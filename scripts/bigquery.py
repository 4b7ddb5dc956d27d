"""bqemulator, an emulator of BigQuery on DuckDB, REST and gRPC: `python -m scripts.bigquery install`, for tests.

It comes from PyPI, into an environment of its own. Without `install` it runs until Ctrl-C. What it does otherwise than
BigQuery is made good for tests by tests/servers/bigquery_front.py, which says what that is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import cache, processes

_VERSION = "1.4.0"
_PACKAGES = (
    f"bqemulator=={_VERSION}",
    # The extension has to be the engine's own version, and the emulator doesn't start without it.
    *("duckdb==1.5.5", "duckdb-extension-spatial==1.5.5", "duckdb-extensions", "numpy"),
)
_INSTALL_SECONDS = 600  # about 45 s
PROJECT = "shop"


def install() -> Path:
    """Return the program, installed first if it isn't there in this version."""
    place = cache.folder(f"bqemulator-{_VERSION}")
    program, done = place / "bin" / "bqemulator", place / "installed"
    with cache.locked(place):
        if not done.is_file():
            python = str(place / "bin" / "python")
            for command in (
                [sys.executable, "-m", "venv", str(place)],
                [python, "-m", "pip", "install", "--quiet", *_PACKAGES],
                [python, "-c", "from duckdb_extensions import import_extension; import_extension('spatial')"],
            ):
                subprocess.run(command, stdout=sys.stderr, timeout=_INSTALL_SECONDS, check=True)
            done.touch()
    return program


@dataclasses.dataclass(frozen=True)
class Emulator:
    """A running emulator. `files` is the folder that stands for Google Cloud Storage: `gs://a/b` is `files/a/b`."""

    port: int
    grpc_port: int
    files: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """Start an emulator that keeps everything in memory, and stop it. Its log is in the folder."""
    port, grpc_port = processes.free_ports(2)
    files = folder / "gcs"
    files.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(install()), "start", "--ephemeral", "--log-level", "error", "--project", PROJECT),
        *("--rest-port", str(port), "--grpc-port", str(grpc_port)),
    ]
    variables = {"BQEMU_GCS_LOCAL_ROOT": str(files)}
    with processes.process(command, folder / "bqemulator.log", variables) as server:
        processes.wait(lambda: processes.listens(port) and processes.listens(grpc_port), server, folder)
        try:
            yield Emulator(port, grpc_port, files)
        finally:
            server.kill()  # asked to end, it takes 5 s, and has nothing to keep


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start an emulator, yield the options of URIs by which it is found, and stop it."""
    with emulator(folder) as found:
        yield [f"endpoint={found.url}", f"storage_endpoint=127.0.0.1:{found.grpc_port}"]


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "bigquery-"))
