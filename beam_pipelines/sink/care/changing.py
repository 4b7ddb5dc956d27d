"""A change of the lake by a run of its own: new files come, others go, in one commit.

Its manifest says what it replaces, so readers who follow manifests see the old files until it is there and the new ones
since. Files that are replaced go to `_runs/RUN_ID/replaced/` after the commit: who opens one that has just gone reads
the manifests again. Who globs sees both the old and the new files from the first move to the last. What a killed change
left half done is finished, or taken back, by the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from beam_pipelines.ledger import Balance
from beam_pipelines.sink import commit, runs, storage
from beam_pipelines.sink.care.inventory import REPLACES, live_files, moves_out, of_care, published
from beam_pipelines.sink.commit import AtStep, Manifest, no_step
from beam_pipelines.sink.folder_writer import WrittenFile
from beam_pipelines.sink.publishing import manifest_of
from beam_pipelines.sink.runs import RunIdentity

PIPELINE = "lake "
"""How the names of changes begin, where other runs have that of their pipeline."""

STEPS = (*(step for step in commit.STEPS if step not in ("balanced", "moving")), "replacing", "replaced")
"""Names of the moments between two steps of a change."""


def identity(verb: str, replaces: Sequence[str], now: datetime) -> RunIdentity:
    """The run that a change is."""
    meaning = runs.fingerprint({"change": verb, "replaces": sorted(replaces)}, [])
    return RunIdentity(runs.new_run_id(now), f"{PIPELINE}{verb}", meaning, started=now)


def change(
    output: str,
    run: RunIdentity,
    files: Sequence[WrittenFile],
    replaces: Sequence[str],
    now: datetime,
    at_step: AtStep = no_step,
) -> Manifest:
    """Commit staged files and put away those that they replace."""
    manifest = {**manifest_of(output, run, files, Balance.of([]), now), REPLACES: sorted(replaces)}
    committed = commit.commit(output, run, manifest, at_step=at_step)
    _put_away(output, [committed], at_step)
    at_step("replaced")
    return committed


def finish_others(output: str) -> None:
    """Finish changes that were killed after their commit, and take back those that were killed before it."""
    root = storage.root_of(output)
    told = published(output)
    committed = {manifest["run_id"] for manifest in told}
    _put_away(output, told, no_step)
    for path in storage.list_below(f"{root}/{runs.RUNS}"):
        run_id, _, rest = path.removeprefix(f"{root}/{runs.RUNS}/").partition("/")
        content = storage.read(path) if rest.startswith("commit/") and run_id not in committed else None
        if content is not None and f'"pipeline": "{PIPELINE}' in content.decode():
            commit.abandon(output, run_id)


def _put_away(output: str, told: Sequence[Manifest], at_step: AtStep) -> None:
    """Move files away that runs have replaced, and that no later run has brought back."""
    if not any(of_care(manifest) for manifest in told):
        return
    live = {file.path for file in live_files(published(output))}
    for manifest in told:
        moves = moves_out(output, manifest, live)
        for moved in storage.move(moves):
            if moved < len(moves):
                at_step("replacing")
