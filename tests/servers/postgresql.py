"""A PostgreSQL for tests, and what tests say to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from scripts.kafka import PASSWORD
from scripts.postgresql import Instance
from tests import runners

_names = itertools.count()


class PostgreSQL(Instance):
    """A server. Tests make tables of their own."""

    def connect(self, **settings: Any) -> psycopg.Connection[Any]:
        told = {"host": "localhost", "port": self.port, "user": "postgres", "dbname": "postgres", **settings}
        return psycopg.connect(**told, autocommit=True)

    def do(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return list(connection.execute(query, values or None))  # type: ignore[call-overload]

    def table(self, columns: str, rows: Sequence[Sequence[object]] = (), name: str = "") -> str:
        """Make a table and return its name, which needs no quotes unless one is given that does."""
        name = name or f"t{next(_names)}"
        quoted = '"' + name.replace('"', '""') + '"'
        with self.connect() as connection:
            connection.execute(f"CREATE TABLE {quoted} ({columns})")  # type: ignore[call-overload]
            for row in rows:
                places = ", ".join(["%s"] * len(row))
                connection.execute(f"INSERT INTO {quoted} VALUES ({places})", row)  # type: ignore[call-overload]
        return name


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """The server of this test process. Tests make tables of their own, and don't stop it."""
    runners.need("servers")
    server = PostgreSQL()
    try:
        server.start()
        server.do(f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'")
        yield server
    finally:
        server.remove()
