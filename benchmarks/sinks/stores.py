"""The stores: each with a new, empty table; servers are children of the side, so that their CPU time is part of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.sinks.data import totals

Totals = tuple[int, int, int]


class Store(NamedTuple):
    """Where the table is: its URI for us, how it is reached for others, and what it holds afterwards."""

    uri: str
    reached: dict[str, Any]
    totals: Callable[[], Totals]


@contextlib.contextmanager
def store(name: str, output: Path) -> Iterator[Store]:
    """A store by its name."""
    with STORES[name](output) as opened:
        yield opened


@contextlib.contextmanager
def _postgresql(_: Path) -> Iterator[Store]:
    import psycopg

    from scripts.postgresql import Instance

    server = Instance()
    try:
        server.start()
        reached = {"host": "localhost", "port": server.port, "user": "postgres", "dbname": "postgres"}

        def ask(query: str) -> Any:
            with psycopg.connect(**reached, autocommit=True) as connection:
                done = connection.execute(query)  # type: ignore[call-overload]
                return done.fetchone() if done.description else None

        ask(
            "CREATE TABLE orders (id bigint NOT NULL, country text, quantity int, price float8, amount numeric(12,2), "
            "placed_at timestamptz, note text)"
        )
        yield Store(server.uri("orders"), reached, lambda: _whole(ask(_TOTALS)))
    finally:
        server.remove()


@contextlib.contextmanager
def _mariadb(_: Path) -> Iterator[Store]:
    import pymysql

    from scripts.mariadb import Instance

    server = Instance()
    try:
        server.start()
        reached = {"host": "127.0.0.1", "port": server.port, "user": "root"}

        def ask(query: str) -> Any:
            connection = pymysql.connect(**reached, autocommit=True)
            with connection, connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchone()

        ask("CREATE DATABASE test")
        ask(
            "CREATE TABLE test.orders (id bigint NOT NULL, country varchar(2), quantity int, price double, "
            "amount decimal(12,2), placed_at datetime(6), note varchar(60)) CHARACTER SET utf8mb4"
        )
        yield Store(server.uri("orders"), reached, lambda: _whole(ask(_TOTALS.replace("orders", "test.orders"))))
    finally:
        server.remove()


@contextlib.contextmanager
def _iceberg(output: Path) -> Iterator[Store]:
    output.mkdir(parents=True, exist_ok=True)
    properties = {"type": "sql", "uri": f"sqlite:///{output}/catalog.db", "warehouse": f"file://{output}/warehouse"}
    uri = f"iceberg://shop/sales.orders?create=true&catalog_uri={properties['uri']}&warehouse={properties['warehouse']}"

    def found() -> Totals:
        from pyiceberg.catalog import load_catalog

        return totals(load_catalog("shop", **properties).load_table("sales.orders").scan().to_arrow())

    yield Store(uri, properties, found)


@contextlib.contextmanager
def _delta(output: Path) -> Iterator[Store]:
    place = output / "orders"

    def found() -> Totals:
        from deltalake import DeltaTable

        return totals(DeltaTable(str(place)).to_pyarrow_table())

    yield Store(f"delta://{place}?create=true", {"place": str(place)}, found)


@contextlib.contextmanager
def _lake(output: Path) -> Iterator[Store]:
    import pyarrow.dataset as ds

    place = output / "lake"
    yield Store(str(place), {"place": str(place)}, lambda: totals(ds.dataset(place / "rows").to_table()))


_TOTALS = "SELECT count(*), sum(id), sum(amount) * 100 FROM orders"

STORES = {"delta": _delta, "iceberg": _iceberg, "lake": _lake, "mariadb": _mariadb, "postgresql": _postgresql}


def _whole(row: Any) -> Totals:
    rows, ids, cents = map(int, row)
    return rows, ids, cents
