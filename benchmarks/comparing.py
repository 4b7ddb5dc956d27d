"""Whether two sides wrote the same: each row of each table, whatever their order and files.

    python -m benchmarks.comparing fingerprint OUTPUT TABLES       prints JSON
    python -m benchmarks.comparing differences ONE OTHER TABLES    prints what differs, for people

TABLES is a JSON list of what `workload.Table` holds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import duckdb

from benchmarks.workload import Table

_SHOWN = 3  # rows of each side


def fingerprint(output: Path, tables: Iterable[Table]) -> dict[str, list[str]]:
    """Of each table: the number of rows, the sum of their hashes, which no order changes, and its totals."""
    database = _database()
    found = {}
    for table in tables:
        totals = f", {table.totals}" if table.totals else ""
        query = f"SELECT count(*), coalesce(sum(hash(({table.columns}))::HUGEINT), 0){totals} FROM read_parquet(?)"
        (row,) = database.execute(query, [_files(output / table.folder)]).fetchall()
        found[table.folder] = [str(value) for value in row]
    return found


def differences(one: Path, other: Path, tables: Iterable[Table]) -> list[str]:
    """A sentence for each table that differs, with some of the rows."""
    database = _database()
    found = []
    for table in tables:
        query = f"SELECT {table.columns} FROM read_parquet(?)"
        for here, there in ((one, other), (other, one)):
            files = [_files(side / table.folder) for side in (here, there)]
            rows = database.execute(f"{query} EXCEPT ALL {query}", files).fetchall()
            if rows:
                found.append(f"{table.folder}: {len(rows):,} rows only in {here}, such as {rows[:_SHOWN]}")
    return found


def _files(folder: Path) -> list[str]:
    """Files of data: engines mark their other ones by `_` or a dot, and not all give data files a suffix."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and path.name[0] not in "_."]


def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'; SET memory_limit = '6GB'")
    return database


if __name__ == "__main__":
    asked, *paths, text = sys.argv[1:]
    wanted = [Table(**each) for each in json.loads(text)]
    if asked == "fingerprint":
        print(json.dumps(fingerprint(Path(paths[0]), wanted)))
    else:
        print("\n".join(differences(Path(paths[0]), Path(paths[1]), wanted)))
