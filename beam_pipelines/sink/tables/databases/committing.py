"""One commit in one transaction of a database, known by its id: the same for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import AtStep
from beam_pipelines.sink.tables.databases import statements
from beam_pipelines.sink.tables.databases.statements import Dialect, Plan
from beam_pipelines.sink.tables.table import Committed
from beam_pipelines.sql.names import Name


class Session(Protocol):
    """A connection that is in a transaction from its first statement on."""

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a query finds."""

    def do(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""

    def commit(self) -> None:
        """Make lasting what was done."""


@dataclasses.dataclass(frozen=True)
class Commit:
    """A commit: its id, the table that remembers it, and under which name of the table it does."""

    commit_id: str
    commits: Name
    target: str


def known(session: Session, commit: Commit, dialect: Dialect) -> Committed | None:
    """What the database knows of a commit; None if nothing."""
    found = session.ask(statements.known_commit(commit.commits, dialect), commit.target, commit.commit_id)
    return Committed(found[0][0], True, {"commit": commit.commit_id}) if found else None


def write(
    session: Session,
    commit: Commit,
    plan: Plan,
    dialect: Dialect,
    rows: int,
    load: Callable[[], bool] | None,
    at_step: AtStep,
) -> Committed:
    """Load rows, put them into the table, remember the commit, and commit: all or nothing.

    `load` puts rows into the plan's `staged` table (and makes it), or into the table itself if it returns True; None
    if there are no rows. The commit is remembered first, so that another attempt of the same id waits for this one;
    where keys aren't unique, it waits for the lock, and finds what this one did.
    UsageError for keys of which two rows are equally new.
    """
    if not dialect.unique:
        session.do(dialect.lock.format(dialect.name(commit.commits)))
        before = known(session, commit, dialect)
        if before is not None:
            return before
    session.do(statements.remember_commit(commit.commits, dialect), commit.target, commit.commit_id, rows)
    if plan.mode == "replace":
        for statement in statements.emptied(plan, dialect):
            session.do(statement)
    changed = 0
    if load is not None and not load():
        if plan.mode == "upsert":
            doubled = session.ask(statements.doubled_keys(plan, dialect))[0][0]
            refuse_doubled(doubled, plan.keys, plan.version)
        for statement in statements.put(plan, dialect):
            changed = session.do(statement)
    at_step("loaded")
    session.commit()
    at_step("stored")
    older = {"older": rows - changed} if plan.version and load is not None and dialect.counts else {}
    return Committed(rows, False, {"commit": commit.commit_id, **older})


def refuse_doubled(doubled: int, keys: Sequence[str], version: str | None) -> None:
    """UsageError if there are keys of which two rows are equally new."""
    if not doubled:
        return
    columns = ", ".join(keys)
    if version:
        raise UsageError(
            f"{doubled:,} times two rows have the same {columns} and the same {version}: which of them is to be "
            "kept? Deduplicate them first. Nothing was written"
        )
    raise UsageError(
        f"{doubled:,} times two rows have the same {columns}: which of them is newer? Say ?version=COLUMN, or "
        "deduplicate them first. Nothing was written"
    )
