"""Which files a lake's committed runs have read: their manifests say so, and so they are the bookmark.

A file is known by its path, size and time of change. What a run read is committed with its rows, in one
manifest: a run that failed or was killed has read nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import InputFile, list_inputs
from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.runs import RunConflictError

READ = "read"
"""Key in the `inputs` of a manifest: [path, size, modified] of each file."""

_NAMED = 3  # files that a message names
_READERS = 16  # manifests read at a time: over a network nearly all of the time is waiting


class Known(NamedTuple):
    """How a file was when a run read it."""

    size: int
    modified: float | None
    run_id: str


def bookmark(output: str, but: str | None = None) -> dict[str, Known]:
    """Files by path as the last run that read them saw them, but for what run `but` read."""
    committed = [run_id for run_id in runs.committed_runs(output) if run_id != but]
    with ThreadPoolExecutor(_READERS) as readers:
        manifests = [
            each for each in readers.map(lambda run_id: runs.committed_manifest(output, run_id), committed) if each
        ]
    known: dict[str, Known] = {}
    for manifest in sorted(manifests, key=lambda each: str(each["created"])):
        for path, size, modified in manifest["inputs"].get(READ, ()):
            known[path] = Known(size, modified, manifest["run_id"])
    return known


def list_files(patterns: Sequence[str]) -> list[InputFile]:
    """What patterns match, under names that mean the same from everywhere."""
    return [
        file._replace(path=str(Path(file.path).absolute())) if storage.is_local(file.path) else file
        for file in list_inputs(patterns)
    ]


def unread(
    listed: Iterable[InputFile], known: dict[str, Known], changed_files: str = "refuse", max_files: int | None = None
) -> list[InputFile]:
    """Of listed files those to read. UsageError for ones that changed since they were read, if that is to be refused.

    >>> files = [InputFile("a", 1, 5.0), InputFile("b", 1, 2.0), InputFile("c", 1, 1.0)]
    >>> [file.path for file in unread(files, {"a": Known(1, 5.0, "r1")}, max_files=1)]
    ['c']
    """
    new, changed = [], []
    for file in listed:
        before = known.get(file.path)
        if before is None:
            new.append(file)
        elif (before.size, before.modified) != (file.size, file.modified):
            changed.append((file, before))
    if changed and changed_files == "refuse":
        named = "; ".join(
            f"'{file.path}' had {before.size} bytes when run {before.run_id} read it, and has {file.size}"
            + ("" if file.size != before.size else " with another time of change")
            for file, before in changed[:_NAMED]
        )
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        raise UsageError(
            f"--changed_files: files have changed since they were read: {named}{more}. Write new rows to new files; "
            "or say ignore, to leave the lake as it is, or read, to read them again as a whole"
        )
    if changed_files == "read":
        new += [file for file, _ in changed]
    if max_files is not None:
        new = sorted(new, key=lambda file: (file.modified or 0.0, file.path))[:max_files]
    return sorted(new)


@dataclasses.dataclass(frozen=True)
class StillUnread:
    """Raises RunConflictError when files of a run were changed while it read them, or read by another run.

    To be asked right before the run is published.
    """

    output: str
    run_id: str
    patterns: tuple[str, ...]
    files: tuple[InputFile, ...]
    lister: Callable[[Sequence[str]], list[InputFile]] = list_files

    def __call__(self) -> None:
        if not self.files:
            return
        now = {file.path: file for file in self.lister(self.patterns)}
        for file in self.files:
            if now.get(file.path) != file:
                what = "has changed" if file.path in now else "was deleted"
                raise RunConflictError(
                    f"--input: '{file.path}' {what} while run '{self.run_id}' was reading. Nothing was published; run "
                    "it again when files are whole"
                )
        known = bookmark(self.output, self.run_id)
        for file in self.files:
            before = known.get(file.path)
            if before is not None and (before.size, before.modified) == (file.size, file.modified):
                raise RunConflictError(
                    f"--input: run '{before.run_id}' has read '{file.path}' while run '{self.run_id}' was reading it "
                    "too. Nothing of this run was published; don't run two at a time"
                )
