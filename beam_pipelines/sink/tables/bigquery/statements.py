"""The statements by which rows of one table get into another. Pure.

Names are BigQuery's own, which hold no backtick; nothing that comes from rows is part of a statement.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is written where: `columns` of `target` from `staged`, both in backticks."""

    target: str
    staged: str
    columns: tuple[str, ...]
    mode: str
    keys: tuple[str, ...] = ()
    version: str | None = None
    json: tuple[str, ...] = ()
    """Columns whose texts become JSON."""


def put(plan: Plan) -> str:
    """The one statement that puts staged rows into the table: all of them, or none.

    >>> print(put(Plan("`t`", "`s`", ("id", "n"), "upsert", ("id",), "n")))
    MERGE `t` AS t USING (SELECT `id`, `n` FROM `s` AS s WHERE true QUALIFY ROW_NUMBER() OVER (PARTITION BY `id` \
ORDER BY `n` DESC) = 1) AS s ON t.`id` = s.`id` \
WHEN MATCHED AND (t.`n` IS NULL OR s.`n` >= t.`n`) THEN UPDATE SET `n` = s.`n` \
WHEN NOT MATCHED THEN INSERT (`id`, `n`) VALUES (s.`id`, s.`n`)
    """
    columns = _columns(plan.columns)
    if plan.mode == "append":
        return f"INSERT INTO {plan.target} ({columns}) {_rows(plan)}"
    insert = f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({_columns(plan.columns, 's.')})"
    if plan.mode == "replace":  # one statement is one state: readers see the old rows or the new ones
        gone = "WHEN NOT MATCHED BY SOURCE THEN DELETE"
        return f"MERGE {plan.target} AS t USING ({_rows(plan)}) AS s ON FALSE {gone} {insert}"
    same = " AND ".join(f"t.`{key}` = s.`{key}`" for key in plan.keys)
    changes = ", ".join(f"`{name}` = s.`{name}`" for name in plan.columns if name not in plan.keys)
    newer = f" AND (t.`{plan.version}` IS NULL OR s.`{plan.version}` >= t.`{plan.version}`)" if plan.version else ""
    update = f"WHEN MATCHED{newer} THEN UPDATE SET {changes} " if changes else ""
    return f"MERGE {plan.target} AS t USING ({_rows(plan)}) AS s ON {same} {update}{insert}"


def emptied(target: str) -> str:
    """The statement that takes all rows out of a table."""
    return f"DELETE FROM {target} WHERE true"


def doubled_keys(plan: Plan) -> str:
    """The query for the number of keys of which two staged rows are equally new."""
    keys = _columns([*plan.keys, *([plan.version] if plan.version else [])])
    return f"SELECT COUNT(*) AS doubled FROM (SELECT {keys} FROM {plan.staged} GROUP BY {keys} HAVING COUNT(*) > 1)"


def widened(target: str, column: str, kind: str) -> str:
    """The statement that gives a column a wider type."""
    return f"ALTER TABLE {target} ALTER COLUMN `{column}` SET DATA TYPE {kind}"


def _rows(plan: Plan) -> str:
    made = [f"PARSE_JSON(`{name}`) AS `{name}`" if name in plan.json else f"`{name}`" for name in plan.columns]
    newest = ""
    if plan.version:
        order = f"PARTITION BY {_columns(plan.keys)} ORDER BY `{plan.version}` DESC"
        newest = f" WHERE true QUALIFY ROW_NUMBER() OVER ({order}) = 1"
    return f"SELECT {', '.join(made)} FROM {plan.staged} AS s{newest}"


def _columns(names: tuple[str, ...] | list[str], of: str = "") -> str:
    return ", ".join(f"{of}`{name}`" for name in names)
