"""Prism, Beam's portable runner in Go: installs it once and prints where it is.

    beam-pipelines run … --runner=PrismRunner --prism_location="$(python -m scripts.prism)"

Prism listens on all interfaces while a job runs (its own choice, in 2.77): keep it off open networks.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from scripts import cache

VERSION = "v2.77.0"  # of Beam: that of apache-beam in requirements.txt
_MODULE = "github.com/apache/beam/sdks/v2"
_INSTALL_SECONDS = 900  # compiling takes about 60 s on two idle cores


def binary() -> Path:
    """Return the path of the binary, installing it first if it isn't there in this version."""
    place = cache.folder("prism")
    found = place / "prism"
    with cache.locked(place):
        if not _is_right(found):
            _install(place)
    return found


def _is_right(found: Path) -> bool:
    if not found.is_file():
        return False
    told = subprocess.run(["go", "version", "-m", found], capture_output=True, text=True, check=False)
    return any(line.split()[:3] == ["mod", _MODULE, VERSION] for line in told.stdout.splitlines())


def _install(place: Path) -> None:
    print(f"installing Prism {VERSION} in {place} (about a minute)", flush=True)
    subprocess.run(
        ["go", "install", f"{_MODULE}/go/cmd/prism@{VERSION}"],
        env=os.environ | {"GOBIN": str(place), "CGO_ENABLED": "0"},
        timeout=_INSTALL_SECONDS,
        check=True,
    )


if __name__ == "__main__":
    print(binary())
