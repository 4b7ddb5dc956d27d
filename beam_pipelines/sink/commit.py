"""Publish the files of a run: all of them or none, once, whenever a process is killed.

A run's files lie below `_runs/RUN_ID/tmp/`, each under the relative path it will have. An attempt to
publish them

1. takes back what earlier attempts of the run, killed on their way, had moved;
2. writes its plan, `commit/ID.json`: the manifest as it will be, so all that it is going to move;
3. moves the files to their places, passing over moves that were done already;
4. gives the plan the name `manifest.json`, unless that is taken: now the run is committed;
5. deletes what other plans had moved that the manifest doesn't name, all plans, and `tmp/`.

Killed at any moment, the next attempt of the same run id finds the manifest (then 5 is what is left to
do) or a plan that says what may have been moved: the lake is never listed to find orphans, and files of
other runs are never touched. A move that fails is taken back at once, so a failed run shows no rows.

Of two attempts at the same moment one commits and the other's files are deleted. On local file systems
they take turns (`storage.alone`). On others nothing excludes them: taking back begins by renaming a plan
to `ID.undo`, and who finds its plan gone gives up, which leaves a gap of the moment between looking and
writing. Nothing is forced to disk (fsync): the order holds when processes are killed, not when the power
fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from beam_pipelines.sink import runs, storage
from beam_pipelines.sink.folder_writer import temporary_prefix
from beam_pipelines.sink.runs import OutputError, RunConflictError, RunIdentity

Manifest = dict[str, Any]
AtStep = Callable[[str], None]

STEPS = ("balanced", "planned", "moving", "moved", "committed", "cleared", "swept")
"""Names of the moments between two steps, in order; `moving` comes after each file but the last."""

_ATTEMPTS = 8
_FIRST_PAUSE = 0.05  # seconds, doubled each time: for another attempt that took our plan back to get on

_log = logging.getLogger(__name__)


def no_step(_: str) -> None:
    """Do nothing at a step. Tests kill the process instead."""


def commit(
    output: str, run: RunIdentity, manifest: Manifest, roots: Iterable[str] = (), at_step: AtStep = no_step
) -> Manifest:
    """Publish the files that `manifest` names; return the run's manifest, another one if another attempt was first.

    `roots` are those below which the run may have temporary files, beside the output and the roots of
    its files. RunConflictError if the run id is committed with another fingerprint; OutputError if
    files can't be moved or are gone.
    """
    attempt = _Attempt(output, run, manifest, at_step)
    reason: BaseException | None = None
    for number in range(_ATTEMPTS):
        committed = finish(output, run, roots, at_step)
        if committed is not None:
            return committed
        try:
            attempt.publish()
        except _LostError as lost:
            reason = lost.__cause__
            time.sleep(_FIRST_PAUSE * 2**number)
    raise OutputError(
        f"--output: run '{run.run_id}' can't be published in {output} beside another attempt of it ({reason}). "
        "Nothing was published; run it again"
    )


def finish(output: str, run: RunIdentity, roots: Iterable[str] = (), at_step: AtStep = no_step) -> Manifest | None:
    """If the run is committed, delete all that it no longer needs and return its manifest; else None.

    RunConflictError, after deleting the same, if it is committed with another fingerprint.
    """
    try:
        committed = runs.settled(output, run)
    except RunConflictError:
        _clear(output, run.run_id, roots, at_step)
        raise
    if committed is not None:
        _clear(output, run.run_id, roots, at_step)
    return committed


def withdraw(output: str, run_id: str) -> None:
    """Take back what attempts at an uncommitted run had moved, so that it shows no rows."""
    for path in storage.list_below(_plans(output, run_id)):
        _log.warning("run %s: taking back what an unfinished attempt had moved", run_id)
        _take_back(output, run_id, path)


def abandon(output: str, run_id: str, roots: Iterable[str] = ()) -> None:
    """Delete all that attempts at an uncommitted run left behind, its temporary dead letters too."""
    if runs.committed_manifest(output, run_id) is not None:
        return
    withdraw(output, run_id)
    for root in {storage.root_of(output), *map(storage.root_of, roots)}:
        storage.delete_below(temporary_prefix(root, run_id))


class _LostError(Exception):
    """Another attempt of the run was faster, or took this one's plan back."""


class _Attempt:
    """One attempt to publish a run's files."""

    def __init__(self, output: str, run: RunIdentity, manifest: Manifest, at_step: AtStep) -> None:
        self._output = output
        self._run_id = run.run_id
        self._at_step = at_step
        self._content = manifest
        self._moves = _moves(output, run.run_id, manifest)
        # The same files make the same plan: the finaliser tried again by the runner goes on with its own.
        names = "\n".join(sorted(file["path"] for file in manifest["files"]))
        self._plan = f"{_plans(output, run.run_id)}/{hashlib.sha256(names.encode()).hexdigest()[:16]}.json"
        self._manifest = runs.manifest_path(output, run.run_id)
        self._scratch = temporary_prefix(storage.root_of(output), run.run_id)

    def publish(self) -> None:
        """Commit the run. _LostError if another attempt interferes, OutputError if it can't be done."""
        try:
            self._make_plan()
            for moved in storage.move(self._moves):
                if moved < len(self._moves):
                    self._at_step("moving")
            self._at_step("moved")
            if not storage.publish(self._plan, self._manifest):
                raise _LostError
        except (FileNotFoundError, _LostError) as lost:
            self._give_up()
            if not storage.exists(self._manifest):
                self._refuse_lost_files()
            raise _LostError from lost
        except OutputError:
            raise
        except Exception as failed:
            state = "Nothing was published" if self._give_up() else "What was moved is taken back by the next attempt"
            raise OutputError(
                f"--output: can't publish run '{self._run_id}' in {self._output}: {failed}. {state}."
            ) from (failed)
        except BaseException:
            self._give_up()
            raise
        self._at_step("committed")

    def _make_plan(self) -> None:
        for path in storage.list_below(_plans(self._output, self._run_id)):
            if path != self._plan:
                _log.warning("run %s: taking back what an unfinished attempt had moved", self._run_id)
                _take_back(self._output, self._run_id, path)
        self._refuse_lost_files()
        content = json.dumps(self._content, indent=2, sort_keys=True).encode() + b"\n"
        storage.write_if_absent(self._plan, content, self._scratch)
        self._at_step("planned")

    def _refuse_lost_files(self) -> None:
        for temporary, final in self._moves:
            if not storage.exists(temporary) and not storage.exists(final) and not storage.exists(self._manifest):
                raise OutputError(
                    f"--output: run '{self._run_id}': its temporary file {temporary} is gone. Nothing was published; "
                    "run it again"
                )

    def _give_up(self) -> bool:
        """Take back what was moved; False if that isn't possible now (the plan stays and tells what it was)."""
        try:
            _take_back(self._output, self._run_id, self._plan, self._moves)
        except OSError:
            _log.exception("run %s: can't take back what was moved", self._run_id)
            return False
        return True


def _take_back(output: str, run_id: str, plan: str, moves: list[tuple[str, str]] | None = None) -> None:
    """Make a plan undone: files go below `tmp/` again. `moves` are the plan's, if known."""
    undo = plan.removesuffix(".json") + ".undo" if plan.endswith(".json") else plan
    if undo != plan:
        storage.rename(plan, undo)
    if moves is None:
        content = storage.read(undo)
        if content is None:  # another attempt has done it
            return
        moves = _moves(output, run_id, json.loads(content))
    manifest = runs.committed_manifest(output, run_id)
    if manifest is None:
        for temporary, final in moves:
            with contextlib.suppress(FileNotFoundError):
                for _ in storage.move([(final, temporary)]) if storage.exists(final) else ():
                    pass
    else:
        _delete_unnamed(output, manifest, moves)
    storage.delete(undo)


def _clear(output: str, run_id: str, roots: Iterable[str], at_step: AtStep) -> None:
    """After the commit: delete files that attempts moved in vain, plans and temporary files."""
    manifest = runs.committed_manifest(output, run_id)
    assert manifest is not None
    for path in storage.list_below(_plans(output, run_id)):
        content = storage.read(path)
        if content is not None:
            _delete_unnamed(output, manifest, _moves(output, run_id, json.loads(content)))
            storage.discard(path)
    storage.delete_below(_plans(output, run_id))
    at_step("cleared")
    known = {_root_of_file(output, file) for file in manifest["files"]}
    for root in {storage.root_of(output), *roots, *known}:
        storage.delete_below(temporary_prefix(root, run_id))
        if root != storage.root_of(output):
            storage.delete_if_empty(f"{root}/{runs.RUNS}/{run_id}")
            storage.delete_if_empty(f"{root}/{runs.RUNS}")
    at_step("swept")


def _delete_unnamed(output: str, manifest: Manifest, moves: Iterable[tuple[str, str]]) -> None:
    named = {absolute(output, file["path"]) for file in manifest["files"]}
    for _, final in moves:
        if final not in named:
            storage.delete(final)


def _plans(output: str, run_id: str) -> str:
    return f"{runs.run_folder(output, run_id)}/commit"


def _moves(output: str, run_id: str, manifest: Manifest) -> list[tuple[str, str]]:
    """Temporary and final path of each file of a manifest."""
    pairs = []
    for file in manifest["files"]:
        final = absolute(output, file["path"])
        root = _root_of_file(output, file)
        pairs.append((temporary_prefix(root, run_id) + final.removeprefix(root), final))
    return pairs


def _root_of_file(output: str, file: dict[str, Any]) -> str:
    final = absolute(output, file["path"])
    return final[: final.rindex(f"/{file['folder']}/")]


def absolute(output: str, path: str) -> str:
    """A manifest's path: below the lake, or as it is if it is of another root.

    >>> absolute("/lake/", "rows/a.parquet"), absolute("/lake", "gs://vault/dead_letters/b.parquet")
    ('/lake/rows/a.parquet', 'gs://vault/dead_letters/b.parquet')
    """
    if path.startswith("/") or not storage.is_local(path):
        return path
    return f"{storage.root_of(output)}/{path}"
