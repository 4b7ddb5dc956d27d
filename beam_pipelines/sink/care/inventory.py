"""What is in a lake, by its manifests: files of committed runs, without those that a later run has replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.commit import Manifest

REPLACES = "replaces"
"""Key of a manifest: paths of files of earlier runs that readers leave out since this one."""

REPLACED = "replaced"
"""Folder of a run where files are kept that it has replaced, until a vacuum."""

_READERS = 16


class LiveFile(NamedTuple):
    """A file that readers read, and the run whose manifest names it. `path` is below the lake."""

    run_id: str
    folder: str
    path: str
    rows: int
    bytes: int


def manifests(output: str) -> list[Manifest]:
    """The manifests of all committed runs, oldest first. UsageError if there is no lake."""
    committed = runs.committed_runs(output)
    if not committed:
        raise UsageError(f"{output}: there is no committed run: name the --output of a pipeline")
    with ThreadPoolExecutor(_READERS) as readers:
        found = [
            each for each in readers.map(lambda run_id: runs.committed_manifest(output, run_id), committed) if each
        ]
    return sorted(found, key=lambda each: (str(each["created"]), str(each["run_id"])))


def live_files(told: Sequence[Manifest]) -> list[LiveFile]:
    """The files that readers read, of manifests in their order.

    >>> old = {"run_id": "a", "files": [{"folder": "rows", "path": "rows/1.parquet", "rows": 2, "bytes": 9}]}
    >>> new = {"run_id": "b", "files": [], "replaces": ["rows/1.parquet"]}
    >>> [file.path for file in live_files([old])], live_files([old, new])
    (['rows/1.parquet'], [])
    """
    live: dict[str, LiveFile] = {}
    for manifest in told:
        for path in manifest.get(REPLACES, ()):
            live.pop(path, None)
        for file in manifest["files"]:
            kept = LiveFile(manifest["run_id"], file["folder"], file["path"], file["rows"], file["bytes"])
            live[file["path"]] = kept
    return list(live.values())


def of_care(manifest: Manifest) -> bool:
    """Whether a run took care of the lake, and read nothing."""
    return REPLACES in manifest


def replaced_path(output: str, run_id: str, path: str) -> str:
    """Where a run keeps a file that it has replaced."""
    return f"{runs.run_folder(output, run_id)}/{REPLACED}/{path}"


def moves_out(output: str, manifest: Manifest, live: Collection[str]) -> list[tuple[str, str]]:
    """Files that a committed run has replaced and that are still at their place, with the place they go to."""
    root = storage.root_of(output)
    gone = [path for path in manifest.get(REPLACES, ()) if path not in live and storage.exists(f"{root}/{path}")]
    return [(f"{root}/{path}", replaced_path(output, manifest["run_id"], path)) for path in gone]


def history(told: Sequence[Manifest]) -> list[dict[str, Any]]:
    """A line for each run: what it wrote, and how much of it is still read."""
    live = live_files(told)
    lines = []
    for manifest in told:
        still = [file for file in live if file.run_id == manifest["run_id"]]
        lines.append(
            {
                "run_id": manifest["run_id"],
                "created": manifest["created"],
                "pipeline": manifest["pipeline"],
                "files": len(manifest["files"]),
                "rows": sum(file["rows"] for file in manifest["files"] if file["folder"] == "rows"),
                "replaced": len(manifest.get(REPLACES, ())),
                "read": len(still),
                "bytes": sum(file.bytes for file in still),
            }
        )
    return lines
