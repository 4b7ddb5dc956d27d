"""The stores that the tests of all tables are run on: how a table is made, and what is in it.

A store plugs in by a line in `STORES`. Tables are new for each test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.sink.tables.known import table_of
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables.killed import ROWS

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Stored:
    """A table: its URI, how its rows are read by the store's own client, and what of its files nobody names."""

    uri: str
    read: Callable[[], Rows]
    strays: Callable[[], list[str]] = list

    def rows(self) -> list[str]:
        """Its rows in an order of their own, to be compared."""
        return sorted(json.dumps(row, sort_keys=True, default=str) for row in self.read())


@dataclasses.dataclass(frozen=True)
class Store:
    """How a table is made, by a name that no other has."""

    make: Callable[[pytest.FixtureRequest, Path, str], Stored]
    imports: tuple[str, ...] = ()
    """What a process that is killed has imported before, if the store's client doesn't survive a fork after its use."""


def iceberg(options: str) -> Callable[[pytest.FixtureRequest, Path, str], Stored]:
    """Tables of a catalog in SQLite, with files in a folder."""

    def make(_: pytest.FixtureRequest, folder: Path, name: str) -> Stored:
        catalog = f"catalog_uri=sqlite:///{folder}/{name}.db&warehouse=file://{folder}/warehouse"
        uri = f"iceberg://shop/sales.{name}?{catalog}&create=true&{options}"

        def opened() -> Any:
            from beam_pipelines.sink.tables.iceberg.table import IcebergTable

            table = table_of(uri, ROWS)
            assert isinstance(table, IcebergTable)
            return table.place.open()

        def strays() -> list[str]:
            table = opened()
            named = {
                entry["file_path"].removeprefix("file://")
                for entry in table.inspect.all_files().select(["file_path"]).to_pylist()
            }
            data = Path(table.location().removeprefix("file://"), "data")
            return sorted(str(path) for path in data.rglob("*") if path.is_file() and str(path) not in named)

        return Stored(uri, lambda: opened().scan().to_arrow().to_pylist(), strays)

    return make


def delta(options: str) -> Callable[[pytest.FixtureRequest, Path, str], Stored]:
    """Tables in a folder."""

    def make(_: pytest.FixtureRequest, folder: Path, name: str) -> Stored:
        place = folder / name

        def opened() -> Any:
            from deltalake import DeltaTable

            return DeltaTable(str(place))

        def strays() -> list[str]:
            log = [
                json.loads(line) for file in place.glob("_delta_log/*.json") for line in file.read_text().splitlines()
            ]
            named = {str(place / line["add"]["path"]) for line in log if "add" in line}
            return sorted(str(path) for path in place.rglob("*.parquet*") if str(path) not in named)

        uri = f"delta://{place}?create=true&{options}"
        return Stored(uri, lambda: opened().to_pyarrow_table().to_pylist(), strays)

    return make


def postgresql(columns: str, options: str) -> Callable[[pytest.FixtureRequest, Path, str], Stored]:
    """Tables of a PostgreSQL that the test process has started."""

    def make(request: pytest.FixtureRequest, folder: Path, name: str) -> Stored:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        # Names of folders are of one test each.
        table = server.table(columns, name=f"{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}")

        def read() -> Rows:
            names = ("id", "country", "amount", "placed_at")
            return [dict(zip(names, row, strict=True)) for row in server.ask(f"SELECT {', '.join(names)} FROM {table}")]

        return Stored(server.uri(table, options), read)

    return make


_DELTA = (
    "deltalake.fs",
    "deltalake.transaction",
    "beam_pipelines.sink.tables.delta.commit",
    "beam_pipelines.sink.tables.delta.table",
    "apache_beam.io.filesystems",
    "pyarrow.dataset",
    "pyarrow.fs",
    "pandas",  # which pyarrow imports at its first use
)

_POSTGRESQL = ("adbc_driver_postgresql.dbapi", "beam_pipelines.sink.tables.databases.postgresql")
_ORDERS = "id bigint NOT NULL, country text, amount numeric(12,2), placed_at timestamptz"


def mariadb(request: pytest.FixtureRequest, folder: Path, name: str) -> Stored:
    """A table of a MariaDB that the test process has started."""
    server: MariaDB = request.getfixturevalue("mariadb")
    columns = "id bigint PRIMARY KEY, country varchar(9), amount decimal(12,2), placed_at datetime(6)"
    table = server.table(columns, name=f"{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}")

    def read() -> Rows:
        names = ("id", "country", "amount", "placed_at")
        rows = server.ask(f"SELECT {', '.join(names)} FROM test.{table}")
        return [dict(zip(names, row, strict=True)) for row in rows]

    return Stored(server.uri(table, "mode=upsert&version=placed_at"), read)


def sqlite(_: pytest.FixtureRequest, folder: Path, name: str) -> Stored:
    """A table of a SQLite's file, reached as any database is."""
    path = folder / f"{name}.db"

    def ask(statement: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return list(connection.execute(statement))

    ask("CREATE TABLE orders (id bigint PRIMARY KEY, country text, amount decimal(12,2), placed_at datetime)")
    names = ("id", "country", "amount", "placed_at")

    def read() -> Rows:
        return [dict(zip(names, row, strict=True)) for row in ask(f"SELECT {', '.join(names)} FROM orders")]

    def strays() -> list[str]:
        tables = [row[0] for row in ask("SELECT name FROM sqlite_master WHERE name LIKE 'beam_pipelines_staged_%'")]
        return [table for table in tables if "_key" not in table and ask(f"SELECT 1 FROM {table}")]

    return Stored(f"sqlalchemy:///{path}/orders?dialect=sqlite&mode=upsert&version=placed_at", read, strays)


STORES: dict[str, Store] = {
    "iceberg append": Store(iceberg("partition_by=day(placed_at),bucket(2, id)")),
    "iceberg upsert": Store(iceberg("mode=upsert&key=id&partition_by=country")),
    "iceberg overwrite": Store(iceberg("mode=overwrite&partition_by=country")),
    "delta append": Store(delta("partition_by=country"), _DELTA),
    "delta upsert": Store(delta("mode=upsert&key=id&partition_by=country"), _DELTA),
    "delta overwrite": Store(delta("mode=overwrite&partition_by=country"), _DELTA),
    "mariadb upsert": Store(mariadb, ("beam_pipelines.sink.tables.databases.mysql", "pymysql")),
    "sqlalchemy upsert": Store(sqlite),
    "postgresql append": Store(postgresql(_ORDERS, ""), _POSTGRESQL),
    "postgresql upsert": Store(
        postgresql(f"{_ORDERS}, PRIMARY KEY (id)", "mode=upsert&version=placed_at"), _POSTGRESQL
    ),
    "postgresql replace": Store(postgresql(_ORDERS, "mode=replace"), _POSTGRESQL),
}
