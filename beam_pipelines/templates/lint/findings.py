"""What a lint finds, and the files that it looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from beam_pipelines.errors import UsageError


class Finding(NamedTuple):
    """One thing found. An error breaks a launch or loses data; a warning may."""

    severity: Literal["error", "warning"]
    rule: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.message} [{self.rule}]"


@dataclasses.dataclass(frozen=True)
class Folder:
    """The files of a template, by their paths below its folder."""

    files: dict[str, str]

    def named(self, *endings: str) -> Iterator[tuple[str, str]]:
        """Path and content of files whose name ends so."""
        yield from ((path, text) for path, text in self.files.items() if path.endswith(endings))


_READ = (".json", ".py", ".txt", ".md", ".yaml", ".yml", ".toml")
_LARGEST = 2 << 20  # bytes; a longer file is data, not a template's


def read_folder(folder: Path) -> Folder:
    """Read a folder with what is below it. UsageError when there is none, or nothing of a template in it."""
    if not folder.is_dir():
        raise UsageError(f"there is no pipeline and no folder '{folder}'")
    files = {}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        wanted = path.suffix in _READ or path.name.startswith("Dockerfile")
        if wanted and not hidden and path.is_file() and path.stat().st_size <= _LARGEST:
            files[str(path.relative_to(folder))] = path.read_text("utf-8", "replace")
    if not any(name.endswith((".json", ".py")) or "Dockerfile" in name for name in files):
        raise UsageError(f"'{folder}' holds no template: neither metadata, nor a Dockerfile, nor Python")
    return Folder(files)
