"""What is in a lake: files that manifests and records of streams name, without those that a later run has replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import commit, runs, storage, stream_commits
from beam_pipelines.sink.commit import Manifest
from beam_pipelines.sink.stream_commits import StreamRecord

REPLACES = "replaces"
"""Key of a manifest: paths of files of earlier runs that readers leave out since this one."""

REPLACED = "replaced"
"""Folder of a run where files are kept that it has replaced, until a vacuum."""

_READERS = 16


class LiveFile(NamedTuple):
    """A file that readers read, and the run that wrote it. `path` is below the lake."""

    run_id: str
    folder: str
    path: str
    rows: int
    bytes: int


def manifests(output: str) -> list[Manifest]:
    """The manifests of all committed runs, oldest first. UsageError if there is none."""
    found = _committed(output)
    if not found:
        raise UsageError(f"{output}: there is no committed run: name the --output of a pipeline")
    return found


def published(output: str) -> list[Manifest]:
    """The manifests of all committed runs, oldest first, and what streams have published that haven't ended.

    A stream is told as a manifest would: `run_id` and `files`, without `created`. UsageError if there is neither.
    """
    # Streams first: one that ends meanwhile has a manifest by then.
    streams = [_so_far(output, run_id, records) for run_id, records in stream_commits.begun(output).items()]
    committed = _committed(output)
    ended = {manifest["run_id"] for manifest in committed}
    found = [*committed, *(stream for stream in streams if stream["run_id"] not in ended)]
    if not found:
        raise UsageError(f"{output}: there is neither a committed run nor a stream: name the --output of a pipeline")
    return found


def _committed(output: str) -> list[Manifest]:
    names: list[str] | None = None
    found: list[Manifest | None] = []
    # Until nothing comes while they are read: else one could be missed whose files one that was seen has replaced.
    while names != (names := runs.committed_runs(output)):
        with ThreadPoolExecutor(_READERS) as readers:
            found = list(readers.map(lambda run_id: runs.committed_manifest(output, run_id), names))
    return sorted((each for each in found if each), key=lambda each: (str(each["created"]), str(each["run_id"])))


def _so_far(output: str, run_id: str, records: Iterable[StreamRecord]) -> Manifest:
    root = storage.root_of(output)
    files = [
        {
            "path": file.path if file.root == root else f"{file.root}/{file.path}",
            "folder": file.folder,
            "rows": file.rows,
            "bytes": file.bytes,
        }
        for record in records
        for file in record.files
        if file.rows and file.folder not in record.in_tables
    ]
    return {"run_id": run_id, "pipeline": "a stream", "created": None, "files": files}


def live_files(told: Sequence[Manifest]) -> list[LiveFile]:
    """The files that readers read, of manifests in their order.

    A run of care comes after those whose files it replaces, also if one is a stream that ended only later.

    >>> old = {"run_id": "a", "files": [{"folder": "rows", "path": "rows/1.parquet", "rows": 2, "bytes": 9}]}
    >>> new = {"run_id": "b", "files": [], "replaces": ["rows/1.parquet"]}
    >>> [file.path for file in live_files([old])], live_files([old, new])
    (['rows/1.parquet'], [])
    """
    live: dict[str, LiveFile] = {}
    for manifest in sorted(told, key=of_care):
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


def where(output: str, path: str) -> str:
    """Where a file of a manifest is: at its place, or where a run keeps it that has replaced it since.

    UsageError if it is gone.
    """
    place = commit.absolute(output, path)
    if storage.exists(place):
        return place
    for manifest in manifests(output):
        kept = replaced_path(output, manifest["run_id"], path)
        if path in manifest.get(REPLACES, ()) and storage.exists(kept):
            return kept
    raise UsageError(f"{place} is gone: it was replaced by a later run (`lake compact`), and then deleted by a vacuum")


def moves_out(output: str, manifest: Manifest, live: Collection[str]) -> list[tuple[str, str]]:
    """Files that a committed run has replaced and that are still at their place, with the place they go to."""
    root = storage.root_of(output)
    gone = [path for path in manifest.get(REPLACES, ()) if path not in live and storage.exists(f"{root}/{path}")]
    return [(f"{root}/{path}", replaced_path(output, manifest["run_id"], path)) for path in gone]


def history(told: Sequence[Manifest]) -> list[dict[str, Any]]:
    """A line for each run: what it wrote, and how much of it is still read. Of a stream, `created` is None."""
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
