"""The statements of a commit in any database, by SQLAlchemy: no dialect's own words, and no unique index needed. Pure.

An upsert deletes what is older and inserts what is then missing, from a table of the rows beside the one written to.

>>> import sqlalchemy as sa
>>> made = sa.MetaData()
>>> orders, staged = (sa.Table(name, made, sa.Column("id"), sa.Column("n")) for name in ("orders", "staged"))
>>> for statement in put(orders, staged, ["id"], None):
...     print(" ".join(str(statement).split()))
DELETE FROM orders WHERE EXISTS (SELECT 1 FROM staged WHERE staged.id = orders.id)
INSERT INTO orders (id, n) SELECT staged.id, staged.n FROM staged WHERE NOT (EXISTS (SELECT 1 FROM orders WHERE ...))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

STAGED = "beam_pipelines_staged_"
"""Start of the name of the table beside a table, which holds rows only within a transaction."""


def commits_table(name: str, schema: str) -> sa.Table:
    """The table in which a database remembers commits."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("target", sa.String(255), primary_key=True),
        sa.Column("commit_id", sa.String(190), primary_key=True),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("committed_at", sa.DateTime, nullable=False),
        schema=schema or None,
    )


def staged_table(target: sa.Table, columns: Sequence[str], keys: Sequence[str], digest: str) -> sa.Table:
    """The table that rows of an upsert go through: the columns that are written, with an index on the key."""
    name = f"{STAGED}{digest}"
    made = [sa.Column(each, target.c[each].type) for each in columns]
    return sa.Table(name, sa.MetaData(), *made, sa.Index(f"{name}_key", *keys), schema=target.schema)


def doubled(staged: sa.Table, keys: Sequence[str], version: str | None) -> sa.Select[Any]:
    """The query for the number of keys of which two staged rows are equally new."""
    columns = [staged.c[name] for name in (*keys, *([version] if version else []))]
    twice = sa.select(*columns).group_by(*columns).having(sa.func.count() > 1).subquery()
    return sa.select(sa.func.count()).select_from(twice)


def put(target: sa.Table, staged: sa.Table, keys: Sequence[str], version: str | None) -> list[sa.Delete | sa.Insert]:
    """The statements that put staged rows in the place of those with their key, and add the others."""
    newest = _newest(staged, keys, version)
    same = sa.and_(*(newest.c[key] == target.c[key] for key in keys))
    newer = same
    if version:
        newer = sa.and_(same, sa.or_(target.c[version].is_(None), newest.c[version] >= target.c[version]))
    one: sa.ColumnElement[int] = sa.literal_column("1")
    older = sa.delete(target).where(sa.exists(sa.select(one).select_from(newest).where(newer).correlate(target)))
    there = sa.exists(sa.select(one).select_from(target).where(same).correlate(newest))
    names = _names(staged)
    missing = sa.select(*(newest.c[name] for name in names)).where(sa.not_(there))
    return [older, sa.insert(target).from_select(names, missing)]


def _newest(staged: sa.Table, keys: Sequence[str], version: str | None) -> sa.FromClause:
    if version is None:
        return staged
    order = sa.func.row_number().over(partition_by=[staged.c[key] for key in keys], order_by=staged.c[version].desc())
    numbered = sa.select(*staged.c, order.label("row_place")).subquery("numbered")
    chosen = sa.select(*(numbered.c[name] for name in _names(staged))).where(numbered.c.row_place == 1)
    return chosen.subquery("newest")


def _names(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns]
