"""Runs of a lake: how one is named, what it is, and whether it has been committed.

A run is known by its id. Its fingerprint tells whether a second run under the same id would do the
same thing: then it changes nothing; if not, it is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import without_passwords
from beam_pipelines.sink import storage
from beam_pipelines.sink.outline import Step

RUNS = "_runs"
"""Folder of the lake that tells of its runs; readers of Hive layouts skip names that start with `_`."""

FOLDERS = ("rows", "aggregates", "late", "shadow", "dead_letters")

_RUN_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"  # files start with it: a leading _ or . would hide them from readers
_INPUTS_NAMED = 20  # input files named in the manifest: enough to recognise what was read

Input = tuple[str, int, float | int | str | None]
"""An input file: its path, size in bytes, and when it was modified, if the store tells."""


class OutputError(RuntimeError):
    """The lake can't be written: no space, no permission, files that vanished."""


class BalanceError(RuntimeError):
    """Rows are missing or there are too many: what was read is not what came out. Nothing was published."""


class QualityError(RuntimeError):
    """A rule about the data set as a whole, of severity error, doesn't hold. Nothing was published."""


class DeadLetterRateError(RuntimeError):
    """More of the rows read were refused than the run allows. Nothing was published."""


class RunConflictError(UsageError):
    """A run of this id is committed that read other input or had other options."""


@dataclasses.dataclass(frozen=True)
class RunIdentity:
    """What a run is, as far as it is known before it starts; all of it goes into the manifest.

    `options`, `inputs`, `contract` and `engine` hold what JSON can; secrets have no place in them
    (passwords inside URIs are hidden).

    >>> RunIdentity("2013/11", "event_analytics", "a1")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: --run_id: '2013/11' is not up to 100 letters, digits, '_', '.' and \
'-', of which the first is a letter or digit
    """

    run_id: str
    pipeline: str
    fingerprint: str
    started: datetime | None = None
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    inputs: Mapping[str, object] = dataclasses.field(default_factory=dict)
    contract: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """`name`, `version` and `fingerprint`; `sensitive`, the names of fields whose values no report shows."""
    engine: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """The runner that was asked for; the versions it ran with are added when it is committed."""
    graph: Sequence[Step] = ()
    """The steps of the pipeline, for whoever draws it."""

    def __post_init__(self) -> None:
        check_run_id(self.run_id)

    def to_json(self) -> dict[str, Any]:
        """The run as the manifest tells it."""
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "fingerprint": self.fingerprint,
            "started": None if self.started is None else utc_text(self.started),
            "options": _shown(self.options),
            "inputs": _shown(self.inputs),
            "contract": dict(self.contract),
            "engine": _shown(self.engine),
            "graph": list(self.graph),
        }


def new_run_id(now: datetime) -> str:
    """Make the id of a new run: its time in UTC, so that ids sort by time, and something random.

    >>> new_run_id(datetime(2013, 11, 3, 6, 30, tzinfo=timezone.utc)).startswith("20131103T063000Z-")
    True
    """
    return f"{now.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def check_run_id(run_id: str) -> None:
    """UsageError when it can't be part of a file's name on every file system."""
    if re.fullmatch(_RUN_ID, run_id) is None:
        raise UsageError(
            f"--run_id: '{run_id[:200]}' is not up to 100 letters, digits, '_', '.' and '-', "
            "of which the first is a letter or digit"
        )


def fingerprint(options: Mapping[str, object], inputs: Iterable[Input], contract: str = "") -> str:
    """Return a hash that is the same when a run would do the same.

    `options` are those that change what comes out (not the run id, not the runner). `inputs` are in
    any order. `contract` is the contract's own fingerprint.

    >>> a = fingerprint({"window": "fixed:1h"}, [("a.csv", 10, 1.5), ("b.csv", 20, None)])
    >>> a == fingerprint({"window": "fixed:1h"}, [("b.csv", 20, None), ("a.csv", 10, 1.5)])
    True
    >>> a == fingerprint({"window": "fixed:2h"}, [("a.csv", 10, 1.5), ("b.csv", 20, None)])
    False
    """
    files = sorted((path, size, str(modified)) for path, size, modified in inputs)
    meaning = json.dumps([dict(options), files, contract], sort_keys=True, default=str)
    return hashlib.sha256(meaning.encode()).hexdigest()[:32]


def inputs_summary(inputs: Sequence[Input]) -> dict[str, object]:
    """What a manifest says of the input: number and bytes of the files, and the first few by name.

    >>> inputs_summary([("b.csv", 20, None), ("a.csv", 10, None)])
    {'files': 2, 'bytes': 30, 'first': ['a.csv', 'b.csv']}
    """
    paths = sorted(path for path, _, _ in inputs)
    return {"files": len(paths), "bytes": sum(size for _, size, _ in inputs), "first": paths[:_INPUTS_NAMED]}


def run_folder(output: str, run_id: str) -> str:
    """Where a run keeps its balance, manifest and temporary files."""
    return f"{storage.root_of(output)}/{RUNS}/{run_id}"


def manifest_path(output: str, run_id: str) -> str:
    """The file whose being there makes a run committed."""
    return f"{run_folder(output, run_id)}/manifest.json"


def committed_manifest(output: str, run_id: str) -> dict[str, Any] | None:
    """Return the manifest of a committed run, or None when there is none."""
    content = storage.read(manifest_path(output, run_id))
    return None if content is None else json.loads(content)


def committed_runs(output: str) -> list[str]:
    """Ids of all committed runs, sorted."""
    tail = "/manifest.json"
    found = storage.list_below(f"{storage.root_of(output)}/{RUNS}")
    return sorted(path.removesuffix(tail).rpartition("/")[2] for path in found if path.endswith(tail))


def settled(output: str, run: RunIdentity) -> dict[str, Any] | None:
    """Return the manifest when this very run is committed already, None when it isn't.

    RunConflictError when its id is taken by a run that did something else. To be asked before a run
    starts, so that nothing is done in vain; the finaliser asks again.
    """
    manifest = committed_manifest(output, run.run_id)
    if manifest is None or manifest["fingerprint"] == run.fingerprint:
        return manifest
    raise RunConflictError(
        f"--run_id: run '{run.run_id}' was committed to {output} at {manifest.get('created')} with other options, "
        "another contract or other input files. Name another --run_id, or leave it out; nothing was changed."
    )


def check_output(output: str, dead_letter_output: str | None = None) -> None:
    """UsageError, naming the option, when a lake can't be written there; nothing is left behind.

    An output that holds other runs is fine: runs are added. One whose `rows/`, `aggregates/` or
    `dead_letters/` hold files although no run of ours ever was there is refused, since readers that
    glob would mix them.
    """
    _check_folder("--output", output)
    if dead_letter_output is not None and storage.root_of(dead_letter_output) != storage.root_of(output):
        _check_folder("--dead_letter_output", dead_letter_output)
    root = storage.root_of(output)
    if storage.any_file_below(f"{root}/{RUNS}"):
        return
    for folder in FOLDERS:
        if storage.any_file_below(f"{root}/{folder}"):
            raise UsageError(
                f"--output: '{root}/{folder}' holds files that no run of beam_pipelines wrote. "
                "Name an empty folder, a new one, or a lake of ours"
            )


def utc_text(time: datetime) -> str:
    """A time as ISO 8601 in UTC."""
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def unknown_run(output: str, run_id: str) -> UsageError:
    """The error for a run that isn't there."""
    return UsageError(f"no committed run '{run_id}' in {output}.{did_you_mean(run_id, committed_runs(output))}")


def _check_folder(option: str, output: str) -> None:
    if not output:
        raise UsageError(f"{option}: names no folder")
    root = storage.root_of(output)
    if not storage.is_local(root):
        if re.search(r"[*?\[\]]", root):
            raise UsageError(f"{option}: '{output}' holds one of * ? [ ], which Beam takes for a pattern")
        from apache_beam.io.filesystems import FileSystems

        try:
            FileSystems.get_filesystem(root)
        except ValueError as unknown:
            raise UsageError(f"{option}: '{output}': {unknown}") from unknown
        return
    folder = Path(root)
    if not folder.exists():
        if not folder.parent.is_dir():
            raise UsageError(f"{option}: '{output}' can't be made: there is no folder '{folder.parent}'")
        folder = folder.parent
    elif not folder.is_dir():
        raise UsageError(f"{option}: '{output}' is a file; name a folder")
    probe = folder / f".beam_pipelines-{secrets.token_hex(8)}"
    try:
        # Asked by doing: access rights alone don't know of read-only mounts, nor that root may do anything.
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as refused:
        raise UsageError(f"{option}: can't write to '{output}': {os.strerror(refused.errno or 0)}") from refused


def _shown(facts: Mapping[str, object]) -> dict[str, Any]:
    """Facts as JSON can hold them, without the passwords of URIs."""
    shown: dict[str, Any] = json.loads(without_passwords(json.dumps(dict(facts), default=str)))
    return shown
