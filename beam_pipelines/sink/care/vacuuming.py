"""What nobody needs any more deleted: replaced files, and what killed runs have left."""

from __future__ import annotations

from datetime import datetime, timedelta

from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.care.changing import finish_others
from beam_pipelines.sink.care.inventory import REPLACED, live_files, published

_DATA = ("rows", "aggregates", "late")


def unneeded(output: str, now: datetime, older_than: timedelta) -> list[tuple[str, int]]:
    """Paths and bytes of files that nobody needs and that nothing has touched for so long.

    That is: files that a run of care has replaced; files of runs that never committed, but for streams that may still
    go on; data files that no manifest and no stream names.
    """
    root = storage.root_of(output)
    told = published(output)
    committed = {manifest["run_id"] for manifest in told}
    live = {file.path for file in live_files(told)}
    found = storage.list_with_facts(root)
    streams = {path.split("/")[1] for path, _, _ in found if path.startswith(f"{runs.RUNS}/") and "/stream/" in path}
    until = (now - older_than).timestamp()
    old = [(path, size) for path, size, modified in found if modified is not None and modified < until]
    wanted = []
    for path, size in old:
        first, _, rest = path.partition("/")
        if first == runs.RUNS:
            run_id, _, inside = rest.partition("/")
            left = inside.startswith(("tmp/", "commit/")) and run_id not in committed and run_id not in streams
            if left or (run_id in committed and inside.startswith(f"{REPLACED}/")):
                wanted.append((f"{root}/{path}", size))
        elif first in _DATA and path not in live and not _of_stream(path, streams):
            wanted.append((f"{root}/{path}", size))
    return wanted


def vacuum(output: str, now: datetime, older_than: timedelta) -> list[tuple[str, int]]:
    """Delete what nobody needs; what was deleted. Rollbacks of the runs of care that it was kept for end with it."""
    with storage.alone(f"{storage.root_of(output)}/_runs"):
        finish_others(output)
        gone = unneeded(output, now, older_than)
        for path, _ in gone:
            storage.delete(path)
        return gone


def _of_stream(path: str, streams: set[str]) -> bool:
    """Names of data files begin with their run."""
    return any(path.rpartition("/")[2].startswith(f"{run_id}-") for run_id in streams)
