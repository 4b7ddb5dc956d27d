"""hclfmt, which formats terraform/: installed once with Go, outside the checkout.

python -m scripts.hclfmt           prints where it is
python -m scripts.hclfmt --write   formats the files
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts import cache

VERSION = "v2.24.0"
FOLDER = Path(__file__).parents[1] / "terraform"
_MODULE = "github.com/hashicorp/hcl/v2"
_INSTALL_SECONDS = 300  # 5 s on two idle cores


def binary() -> Path:
    """Return the path of the binary, installing it first if it isn't there in this version."""
    place = cache.folder(f"hclfmt-{VERSION}")
    found = place / "hclfmt"
    with cache.locked(place):
        if not found.is_file():
            subprocess.run(
                ["go", "install", f"{_MODULE}/cmd/hclfmt@{VERSION}"],
                env=os.environ | {"GOBIN": str(place), "CGO_ENABLED": "0"},
                stdout=sys.stderr,
                timeout=_INSTALL_SECONDS,
                check=True,
            )
    return found


def files() -> list[Path]:
    """The files of terraform/."""
    return sorted(FOLDER.glob("*.tf"))


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        subprocess.run([binary(), "-w", *files()], check=True)
    else:
        print(binary())
