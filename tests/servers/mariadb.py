"""A MariaDB for tests, and what tests say to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
import pytest

from scripts.kafka import PASSWORD
from scripts.mariadb import Instance
from tests import runners

_names = itertools.count()


class MariaDB(Instance):
    """A server. Tests make tables of their own in the database `test`."""

    def ask(self, *statements: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Do what statements say, and return what the last one finds."""
        connection = pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def table(self, columns: str, rows: Sequence[Sequence[object]] = (), name: str = "") -> str:
        """Make a table and return its name, which needs no quotes unless one is given that does."""
        name = name or f"t{next(_names)}"
        quoted = "test.`" + name.replace("`", "``") + "`"
        self.ask(f"CREATE TABLE {quoted} ({columns}) CHARACTER SET utf8mb4")
        for row in rows:
            self.ask(f"INSERT INTO {quoted} VALUES ({', '.join(['%s'] * len(row))})", values=row)
        return name


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """The server of this test process. Tests make tables of their own, and don't stop it."""
    runners.need("servers")
    server = MariaDB()
    try:
        server.start()
        server.ask(
            "CREATE DATABASE test", f"CREATE USER shop IDENTIFIED BY '{PASSWORD}'", "GRANT SELECT ON test.* TO shop"
        )
        yield server
    finally:
        server.remove()
