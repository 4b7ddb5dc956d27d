"""A run taken back: its files are read by nobody any more, or, of a compaction, the small files are read again."""

from __future__ import annotations

from datetime import datetime

from beam_pipelines.errors import UsageError
from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.care.changing import change, finish_others, identity
from beam_pipelines.sink.care.inventory import REPLACES, live_files, published, replaced_path
from beam_pipelines.sink.commit import AtStep, Manifest, no_step
from beam_pipelines.sink.folder_writer import WrittenFile, temporary_prefix


def goes_and_comes(output: str, run_id: str) -> tuple[list[str], list[dict[str, object]]]:
    """What a rollback of a run takes away, and what it brings back. UsageError if it can't be."""
    told = published(output)
    manifest = next((each for each in told if each["run_id"] == run_id), None)
    if manifest is None:
        raise runs.unknown_run(output, run_id)
    if manifest["created"] is None:
        raise UsageError(f"run '{run_id}' is a stream that has not ended: only what has ended can be rolled back")
    own = [file for file in manifest["files"] if file["folder"] != "dead_letters"]
    live = {file.path for file in live_files(told)}
    gone = [file["path"] for file in own if file["path"] not in live]
    if gone:
        later = next(each["run_id"] for each in reversed(told) if gone[0] in each.get(REPLACES, ()))
        raise UsageError(f"run '{run_id}': its files were replaced by run '{later}': roll back that one first")
    before = {file["path"]: file for each in told for file in each["files"]}
    back = [before[path] for path in manifest.get(REPLACES, ())]
    lost = [file for file in back if not storage.exists(replaced_path(output, run_id, str(file["path"])))]
    if lost:
        raise UsageError(f"run '{run_id}': what it replaced was deleted by a vacuum, so it can't be rolled back")
    return [file["path"] for file in own], back


def rollback(output: str, run_id: str, now: datetime, at_step: AtStep = no_step) -> Manifest:
    """Take a run back, as a run of its own, which may be rolled back too. Dead letters stay.

    The run's id stays taken: run again under it, it changes nothing.
    """
    with storage.alone(f"{storage.root_of(output)}/_runs"):
        finish_others(output)
        away, back = goes_and_comes(output, run_id)
        run, root = identity("rollback", away, now), storage.root_of(output)
        files = []
        for file in back:
            path = str(file["path"])
            storage.publish(replaced_path(output, run_id, path), f"{temporary_prefix(root, run.run_id)}/{path}")
            files.append(
                WrittenFile(str(file["folder"]), root, path, int(str(file["rows"])), 0, int(str(file["bytes"])))
            )
        return change(output, run, files, away, now, at_step)
