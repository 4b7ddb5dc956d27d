"""Prism, Beam's portable runner in Go: installs it once and prints where it is.

    beam-pipelines run … --runner=PrismRunner --prism_location="$(python -m scripts.prism)"

Prism listens on all interfaces while a job runs (its own choice, in 2.77): keep it off open networks.
"""

from __future__ import annotations

import os
import subprocess
import sys
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
    """Whether it is Prism of this version: Go writes into a binary what it was made of."""
    return found.is_file() and f"\nmod\t{_MODULE}\t{VERSION}\t".encode() in found.read_bytes()


def _install(place: Path) -> None:
    print(f"installing Prism {VERSION} in {place} (about a minute)", file=sys.stderr, flush=True)
    subprocess.run(
        ["go", "install", f"{_MODULE}/go/cmd/prism@{VERSION}"],
        env=os.environ | {"GOBIN": str(place), "CGO_ENABLED": "0"},
        stdout=sys.stderr,
        timeout=_INSTALL_SECONDS,
        check=True,
    )


if __name__ == "__main__":
    print(binary())
