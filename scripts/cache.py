"""The folder outside the checkout where runners are kept, and a lock on what is being put there."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def folder(name: str) -> Path:
    """A folder of the cache: below BEAM_PIPELINES_CACHE, or the user's cache folder."""
    chosen = os.environ.get("BEAM_PIPELINES_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    found = (Path(chosen) if chosen else Path(users) / "beam-pipelines") / name
    found.mkdir(parents=True, exist_ok=True)
    return found.absolute()


@contextlib.contextmanager
def locked(place: Path) -> Iterator[None]:
    """Let one process at a time install into a folder; the others wait, and find it done."""
    with (place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
