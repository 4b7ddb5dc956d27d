"""The statements of a commit: one shape for all databases, with what differs between them in a `Dialect`. Pure.

Rows are loaded into a table beside the one that is written (`staged`), all of whose columns have the table's names.
Nothing that comes from rows is part of a statement, and every name in one is quoted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from beam_pipelines.sql.names import Name, quoted


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is written where: `columns` of `target` from `staged`; `casts`: columns whose type the server makes."""

    target: Name
    staged: Name
    columns: tuple[str, ...]
    mode: str
    keys: tuple[str, ...] = ()
    version: str | None = None
    casts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What differs between databases. `upsert` makes the statements that put newest rows in the place of older ones."""

    upsert: Callable[[Plan, Dialect], list[str]]
    quote: str = '"'
    parameter: Callable[[int], str] = "${}".format
    commit_types: Sequence[str] = ("text", "text", "bigint", "timestamp")
    """Types of the commits' columns: the table, the commit's id, rows, and when."""
    lock: str = ""
    """Keeps other writers, but no readers, out of a table that is replaced; empty where deleting does."""
    counts: bool = True
    """Whether an upsert tells how many rows it put into the table."""
    unique: bool = True
    """Whether a unique key is kept. If not, `lock` makes attempts of a commit take turns."""

    def name(self, name: Name) -> str:
        return name.quoted(self.quote)

    def column(self, name: str) -> str:
        return quoted(name, self.quote)

    def columns(self, names: Sequence[str], of: str = "") -> str:
        """Columns, separated by commas."""
        return ", ".join(f"{of}{self.column(name)}" for name in names)


def create_commits(commits: Name, dialect: Dialect) -> str:
    """The statement that makes the table of commits."""
    table, commit, rows, when = dialect.commit_types
    return (
        f"CREATE TABLE {dialect.name(commits)} (target {table} NOT NULL, commit_id {commit} NOT NULL, "
        f"row_count {rows} NOT NULL, committed_at {when} NOT NULL, PRIMARY KEY (target, commit_id))"
    )


def known_commit(commits: Name, dialect: Dialect) -> str:
    """The query for a commit's rows; its parameters are the table and the commit's id."""
    first, second = dialect.parameter(1), dialect.parameter(2)
    return f"SELECT row_count FROM {dialect.name(commits)} WHERE target = {first} AND commit_id = {second}"


def remember_commit(commits: Name, dialect: Dialect) -> str:
    """The statement that remembers a commit. A second one of the same id waits for it, and is refused by its key."""
    values = ", ".join(dialect.parameter(number) for number in (1, 2, 3))
    return (
        f"INSERT INTO {dialect.name(commits)} (target, commit_id, row_count, committed_at) "
        f"VALUES ({values}, CURRENT_TIMESTAMP)"
    )


def doubled_keys(plan: Plan, dialect: Dialect) -> str:
    """The query for the number of keys of which two staged rows are equally new."""
    keys = dialect.columns([*plan.keys, *([plan.version] if plan.version else [])])
    return (
        f"SELECT count(*) FROM (SELECT {keys} FROM {_rows(plan, dialect)} GROUP BY {keys} HAVING count(*) > 1) doubled"
    )


def put(plan: Plan, dialect: Dialect) -> list[str]:
    """The statements that put staged rows into the table.

    >>> plan = Plan(Name("s", "t"), Name("", "x"), ("id", "n"), "replace", casts={"id": "uuid"})
    >>> for statement in put(plan, Dialect(on_conflict)):
    ...     print(statement)
    INSERT INTO "s"."t" ("id", "n") SELECT CAST("id" AS uuid) AS "id", "n" AS "n" FROM "x"
    """
    if plan.mode == "upsert":
        return dialect.upsert(plan, dialect)
    return [_insert(plan, dialect, _cast(plan, dialect))]


def emptied(plan: Plan, dialect: Dialect) -> list[str]:
    """The statements that take all rows out of a table, which readers go on seeing until the commit."""
    table = dialect.name(plan.target)
    return [*([dialect.lock.format(table)] if dialect.lock else []), f"DELETE FROM {table}"]


def on_conflict(plan: Plan, dialect: Dialect) -> list[str]:
    """`INSERT … ON CONFLICT`, as PostgreSQL and SQLite have it; it needs a unique index on the keys."""
    table = dialect.name(plan.target)
    others = [name for name in plan.columns if name not in plan.keys]
    changes = ", ".join(f"{dialect.column(name)} = EXCLUDED.{dialect.column(name)}" for name in others)
    newer = ""
    if plan.version:
        version = dialect.column(plan.version)
        newer = f" WHERE {table}.{version} IS NULL OR EXCLUDED.{version} >= {table}.{version}"
    then = f"UPDATE SET {changes}{newer}" if others else "NOTHING"
    keys = dialect.columns(plan.keys)
    return [
        f"{_insert(plan, dialect, newest(plan, dialect))} WHERE true ORDER BY {keys} ON CONFLICT ({keys}) DO {then}"
    ]


def on_duplicate_key(plan: Plan, dialect: Dialect) -> list[str]:
    """`INSERT … ON DUPLICATE KEY UPDATE`, as MySQL has it, which looks at all unique keys of the table."""
    others = [name for name in plan.columns if name not in plan.keys]
    # Assigned from left to right, each by what those before it have made of the row: the version is last.
    others.sort(key=lambda name: name == plan.version)
    keys = dialect.columns(plan.keys)
    select = f"{_insert(plan, dialect, newest(plan, dialect))} ORDER BY {keys}"
    changes = []
    for name in others:
        column = dialect.column(name)
        value = f"VALUES({column})"
        if plan.version:
            version = f"{dialect.name(plan.target)}.{dialect.column(plan.version)}"
            is_newer = f"{version} IS NULL OR VALUES({dialect.column(plan.version)}) >= {version}"
            value = f"IF({is_newer}, {value}, {dialect.name(plan.target)}.{column})"
        changes.append(f"{column} = {value}")
    first = dialect.column(plan.keys[0])
    return [f"{select} ON DUPLICATE KEY UPDATE {', '.join(changes) or f'{first} = VALUES({first})'}"]


def by_deleting(plan: Plan, dialect: Dialect) -> list[str]:
    """`DELETE` what is older, `INSERT` what is then missing: any database, and no unique index needed."""
    table = dialect.name(plan.target)
    same = " AND ".join(f"staged.{dialect.column(key)} = {table}.{dialect.column(key)}" for key in plan.keys)
    newer = ""
    if plan.version:
        mine, theirs = f"staged.{dialect.column(plan.version)}", f"{table}.{dialect.column(plan.version)}"
        newer = f" AND ({theirs} IS NULL OR {mine} >= {theirs})"
    rows = newest(plan, dialect)
    return [
        f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM {rows} WHERE {same}{newer})",
        f"{_insert(plan, dialect, rows)} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {same})",
    ]


def newest(plan: Plan, dialect: Dialect) -> str:
    """The staged rows that are the newest of their key, as a table `staged` in FROM."""
    rows = _rows(plan, dialect)
    if not plan.version:
        return rows
    number = dialect.column("__newest")
    order = f"PARTITION BY {dialect.columns(plan.keys)} ORDER BY {dialect.column(plan.version)} DESC"
    numbered = f"SELECT {dialect.columns(plan.columns)}, ROW_NUMBER() OVER ({order}) AS {number} FROM {rows}"
    return f"(SELECT {dialect.columns(plan.columns)} FROM ({numbered}) numbered WHERE {number} = 1) staged"


def _rows(plan: Plan, dialect: Dialect) -> str:
    return f"({_cast(plan, dialect)}) staged"


def _cast(plan: Plan, dialect: Dialect) -> str:
    columns = []
    for name in plan.columns:
        column = dialect.column(name)
        value = f"CAST({column} AS {plan.casts[name]})" if name in plan.casts else column
        columns.append(f"{value} AS {column}")
    return f"SELECT {', '.join(columns)} FROM {dialect.name(plan.staged)}"


def _insert(plan: Plan, dialect: Dialect, rows: str) -> str:
    """`rows` is a query, or the table `staged` in FROM."""
    columns = dialect.columns(plan.columns)
    query = rows if rows.startswith("SELECT") else f"SELECT {columns} FROM {rows}"
    return f"INSERT INTO {dialect.name(plan.target)} ({columns}) {query}"
