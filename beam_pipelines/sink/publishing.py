"""From the ledger and the written files to a balance, a manifest and a committed run."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata

import beam_pipelines
from beam_pipelines import ledger
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import Balance, LedgerEntry
from beam_pipelines.sink import commit, runs, storage
from beam_pipelines.sink.commit import AtStep, Manifest, no_step
from beam_pipelines.sink.folder_writer import WrittenFile, temporary_prefix
from beam_pipelines.sink.partitions import values_of
from beam_pipelines.sink.runs import BalanceError, DeadLetterRateError, OutputError, QualityError, RunIdentity, utc_text
from beam_pipelines.sink.tables.committing import apart, commit_to_tables
from beam_pipelines.sink.tables.table import Table

STAGE = "WriteToLake"

_RULES_TOLD = 5  # of a run with too many dead letters

_HEADLINE = (ledger.READ, ledger.WRITTEN, ledger.DEAD_LETTERED, ledger.DUPLICATE, ledger.FILTERED, ledger.LATE)


def utc_now() -> datetime:
    """The time, as a manifest tells it."""
    return datetime.now(timezone.utc)


def nothing_to_check() -> None:
    """Do nothing before a commit."""


def finalize(
    output: str,
    run: RunIdentity,
    files: Sequence[WrittenFile],
    entries: Iterable[LedgerEntry],
    *,
    max_dead_letter_rate: float | None = None,
    tables: Mapping[str, Table] | None = None,
    before_commit: Callable[[], None] = nothing_to_check,
    clock: Callable[[], datetime] = utc_now,
    at_step: AtStep = no_step,
) -> Manifest:
    """Check the balance, write `balance.json` and commit the run; return the manifest that is committed.

    A run that is committed already is left as it is. `tables`: folder → the table that takes its files' rows, which is
    committed to after the balance and before the files are published.

    BalanceError, DeadLetterRateError, QualityError, RunConflictError
    and OutputError as FinalizeRun says.
    """
    try:
        with storage.alone(runs.run_folder(output, run.run_id)):
            roots = {file.root for file in files}
            committed = commit.finish(output, run, roots, at_step)
            if committed is not None:
                return committed
            balance = Balance.of([*entries, *entries_of(files)])
            write_balance(output, run, balance)
            _refuse_unbalanced(output, run, balance, roots)
            _refuse_too_many_dead_letters(output, run, balance, roots, max_dead_letter_rate)
            _refuse_low_quality(output, run, balance, roots)
            published, staged = apart(files, tables or {})
            try:
                before_commit()
                at_step("balanced")
                told = commit_to_tables(run.run_id, staged, tables or {}, at_step=at_step)
            except UsageError:
                commit.abandon(output, run.run_id, roots)
                raise
            manifest = {**manifest_of(output, run, published, balance, clock()), **({"tables": told} if told else {})}
            return commit.commit(output, run, manifest, roots, at_step)
    except OSError as refused:
        raise OutputError(
            f"--output: can't publish run '{run.run_id}' in {output}: {refused}. Nothing was published."
        ) from refused


def entries_of(files: Iterable[WrittenFile]) -> list[LedgerEntry]:
    """What the written files add to the ledger.

    >>> entries_of([WrittenFile("rows", "/lake", "rows/a.parquet", 10, 0, 500)])
    [(('rows', 'WriteToLake', 'written', ''), 10)]
    """
    entries = []
    for file in files:
        if file.folder == ledger.ROWS:
            entries.append(ledger.entry(STAGE, ledger.WRITTEN, file.rows, output=ledger.ROWS))
        elif file.folder == ledger.AGGREGATES:
            entries.append(ledger.entry(STAGE, ledger.IN_PANES, file.counted, output=ledger.AGGREGATES))
        elif file.folder == ledger.LATE:
            entries.append(ledger.entry(STAGE, ledger.LATE_WRITTEN, file.rows, output=ledger.AGGREGATES))
        elif file.folder == "dead_letters":
            entries.append(ledger.entry(STAGE, ledger.DEAD_LETTERS_WRITTEN, file.rows))
    return entries


def manifest_of(
    output: str, run: RunIdentity, files: Iterable[WrittenFile], balance: Balance, created: datetime
) -> Manifest:
    """The content of `manifest.json`. Paths below the lake are relative, those of another root whole."""
    root = storage.root_of(output)
    counts = balance.to_json()
    return {
        **run.to_json(),
        "engine": {**run.engine, **_versions()},
        "created": utc_text(created),
        "beam_pipelines": beam_pipelines.__version__,
        "balance": {name: counts[name] for name in (*_HEADLINE, "balanced")},
        "files": [
            {
                "path": file.path if file.root == root else f"{file.root}/{file.path}",
                "folder": file.folder,
                "rows": file.rows,
                "bytes": file.bytes,
                "partition": values_of(file.path),
            }
            for file in worth_keeping(files)
        ],
    }


def _versions() -> dict[str, str]:
    """What the worker that commits runs with."""
    packages = {name: metadata.version(name) for name in ("apache-beam", "pyarrow")}
    return {"python": platform.python_version(), **packages}


def worth_keeping(files: Iterable[WrittenFile]) -> list[WrittenFile]:
    """The files to publish, sorted by path: of a folder without any row one empty file, else those with rows."""
    kept: list[WrittenFile] = []
    with_rows = set()
    for file in sorted(files, key=lambda each: (each.rows == 0, each.path)):  # those with rows first
        if file.rows or file.folder not in with_rows:
            kept.append(file)
            with_rows.add(file.folder)
    return sorted(kept, key=lambda each: (each.root, each.path))


def write_balance(output: str, run: RunIdentity, balance: Balance) -> None:
    """Write or replace the run's `balance.json`."""
    content = {"run_id": run.run_id, "pipeline": run.pipeline, **balance.to_json()}
    storage.write(
        f"{runs.run_folder(output, run.run_id)}/balance.json",
        json.dumps(content, indent=2).encode() + b"\n",
        temporary_prefix(storage.root_of(output), run.run_id),
    )


def _refuse_unbalanced(output: str, run: RunIdentity, balance: Balance, roots: Iterable[str]) -> None:
    if not balance.differences:
        return
    # What an attempt killed while publishing had moved isn't to be trusted either.
    commit.abandon(output, run.run_id, roots)
    differences = "\n".join(f"  {difference}" for difference in balance.differences)
    raise BalanceError(
        f"run '{run.run_id}' doesn't balance, so nothing was published:\n{differences}\n"
        f"  The ledger is in {runs.run_folder(output, run.run_id)}/balance.json"
    )


def _refuse_low_quality(output: str, run: RunIdentity, balance: Balance, roots: Iterable[str]) -> None:
    failed = balance.quality["failed"]
    if not failed:
        return
    commit.abandon(output, run.run_id, roots)
    rules = "\n".join(f"  {rule}" for rule in failed)
    raise QualityError(
        f"run '{run.run_id}': the contract's quality rules don't hold, so nothing was published:\n{rules}"
    )


def _refuse_too_many_dead_letters(
    output: str, run: RunIdentity, balance: Balance, roots: Iterable[str], most: float | None
) -> None:
    refused, read = balance.count(ledger.DEAD_LETTERED), balance.count(ledger.READ)
    if most is None or refused <= most * read:
        return
    commit.abandon(output, run.run_id, roots)
    rules = "\n".join(f"  {rows:,}  {rule}" for rule, rows in list(balance.by_rule.items())[:_RULES_TOLD])
    raise DeadLetterRateError(
        f"--max_dead_letter_rate: {refused:,} of {read:,} rows were refused ({refused / max(read, 1):.2%}), more than "
        f"{most:.2%}, so nothing was published:\n{rules}"
    )
