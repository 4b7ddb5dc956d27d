"""Databases as SQLAlchemy reaches them: SQLite, and the servers of this test process."""

from __future__ import annotations

import dataclasses
import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL

DIALECTS = ("sqlite", "postgresql+psycopg", "mariadb+pymysql")
_names = itertools.count()


@dataclasses.dataclass(frozen=True)
class Database:
    """A database. Tests make tables of their own."""

    place: str
    dialect: str
    url: str

    def uri(self, table: str, options: str = "", user: str = "") -> str:
        place = f"{user}@{self.place.rpartition('@')[2]}" if user else self.place
        return f"sqlalchemy://{place}/{table}?dialect={self.dialect}{f'&{options}' if options else ''}"

    def ask(self, *statements: str) -> list[tuple[Any, ...]]:
        """Do what statements say, and return what the last one finds."""
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                found = connection.exec_driver_sql(statement)
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows

    def table(self, columns: str, rows: Sequence[str] = (), name: str = "") -> str:
        """Make a table with rows as they stand after VALUES, and return its name."""
        name = name or f"any{next(_names)}"
        self.ask(f"CREATE TABLE {name} ({columns})", *(f"INSERT INTO {name} VALUES {row}" for row in rows))
        return name


def database(request: pytest.FixtureRequest, dialect: str, folder: Path) -> Database:
    """The database of a dialect; SQLite's is new."""
    if dialect == "sqlite":
        path = folder / "shop.db"
        sqlite3.connect(path).close()
        return Database(f"/{path}", dialect, f"sqlite:///{path}")
    if dialect.startswith("postgresql"):
        postgres: PostgreSQL = request.getfixturevalue("postgresql")
        place = f"postgres@localhost:{postgres.port}/postgres"
        return Database(place, dialect, f"{dialect}://{place}")
    maria: MariaDB = request.getfixturevalue("mariadb")
    place = f"root@127.0.0.1:{maria.port}/test"
    return Database(place, dialect, f"{dialect}://{place}")
