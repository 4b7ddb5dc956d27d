"""Azurite, Microsoft's emulator of Azure Blob Storage: `python -m scripts.azurite install`, for tests."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import cache, processes

_VERSION = "3.35.0"
_INSTALL_SECONDS = 300  # about 30 s
ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of that account, which every Azurite has: Microsoft's documentation tells it."""


@dataclasses.dataclass(frozen=True)
class Store:
    """A running store."""

    connection: str
    """Connection string, by which Azure's clients find it."""


def install() -> Path:
    """Return its program, installing it first if it isn't there in this version. RuntimeError without npm."""
    place = cache.folder(f"azurite-{_VERSION}")
    main = place / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    with cache.locked(place):
        if not main.is_file():
            npm = shutil.which("npm")
            if npm is None:
                raise RuntimeError("Azurite needs Node.js and npm, and there is no npm here")
            asked = ["install", "--no-audit", "--no-fund", "--omit=optional", f"azurite@{_VERSION}"]
            subprocess.run(
                [npm, *asked, "--prefix", str(place)], stdout=sys.stderr, timeout=_INSTALL_SECONDS, check=True
            )
    return main


@contextlib.contextmanager
def store(folder: Path) -> Iterator[Store]:
    """Start a store whose data are in a folder, and stop it."""
    (port,) = processes.free_ports(1)
    command = ["node", str(install()), "--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    # Azure's client asks for a newer version of the protocol than the emulator knows, and is answered all the same.
    with processes.process([*command, "--skipApiVersionCheck", "--silent"], folder / "azurite.log") as server:
        processes.wait(lambda: processes.listens(port), server, folder)
        endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT}"
        yield Store(f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={_KEY};{endpoint};")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start a store in a folder, yield the options by which Beam finds it, and stop it."""
    with store(folder) as found:
        yield [f"--azure_connection_string={found.connection}"]


if __name__ == "__main__":
    sys.exit(processes.main(install, running, "azurite-"))
