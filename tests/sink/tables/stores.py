"""The stores that the tests of all tables are run on: how a table is made, and what is in it.

A store plugs in by a line in `STORES`. Tables are new for each test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from beam_pipelines.sink.tables.known import table_of
from scripts import seaweedfs
from tests.servers.bigquery import DATASET, BigQuery
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.sink.tables.killed import ROWS

Rows = list[dict[str, Any]]
_numbers = itertools.count()


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


def iceberg_sql(request: pytest.FixtureRequest, _: Path, name: str) -> Stored:
    """Tables of an SQL catalog in PostgreSQL, whose role has a password, with files in a bucket."""
    server: PostgreSQL = request.getfixturevalue("postgresql")
    store: seaweedfs.Store = request.getfixturevalue("s3")
    if not server.ask("SELECT 1 FROM pg_database WHERE datname = 'catalog'"):
        server.do("CREATE DATABASE catalog OWNER shop")
        _s3().create_bucket(Bucket="lakehouse")
    where = f"catalog_uri=postgresql%2Bpsycopg://shop@localhost:{server.port}/catalog&catalog_type=sql"
    secret = "catalog_password=env:SHOP_PASSWORD"
    return _iceberg_elsewhere(f"{where}&{secret}&warehouse=s3://lakehouse&{_files(store)}", name)


def iceberg_rest(request: pytest.FixtureRequest, _: Path, name: str) -> Stored:
    """Tables of SeaweedFS' REST catalog, which gives out tokens and keeps their files."""
    store: seaweedfs.Store = request.getfixturevalue("s3")
    try:
        _s3("s3tables").create_table_bucket(name="warehouse")
    except ClientError as refused:
        if "BucketAlreadyExists" not in str(refused):
            raise
    tokens = f"oauth2-server-uri={store.catalog}/v1/oauth/tokens"
    where = f"catalog_uri={store.catalog}&catalog_type=rest&warehouse=s3://warehouse&{_files(store)},{tokens}"
    return _iceberg_elsewhere(f"{where}&credential=env:CATALOG_CREDENTIAL", name)


def _files(store: seaweedfs.Store) -> str:
    """Where objects are. Without a region the client would ask AWS for it."""
    return f"property=s3.endpoint={store.endpoint},s3.region={seaweedfs.REGION}"


def _s3(service: str = "s3") -> Any:
    return boto3.client(service)


def _iceberg_elsewhere(where: str, name: str) -> Stored:
    uri = f"iceberg://{name}/sales.t{next(_numbers)}?{where}&create=true&partition_by=country"

    def opened() -> Any:
        from beam_pipelines.sink.tables.iceberg.table import IcebergTable

        table = table_of(uri, ROWS)
        assert isinstance(table, IcebergTable)
        return table.place.open()

    def strays() -> list[str]:
        table = opened()
        bucket, _, prefix = f"{table.location()}/data/".removeprefix("s3://").partition("/")
        named = {file["file_path"] for file in table.inspect.all_files().select(["file_path"]).to_pylist()}
        found = _s3().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return sorted({f"s3://{bucket}/{each['Key']}" for each in found if each["Size"]} - named)

    return Stored(uri, lambda: opened().scan().to_arrow().to_pylist(), strays)


def delta_s3(request: pytest.FixtureRequest, _: Path, name: str) -> Stored:
    """Tables in a bucket, whose log is written by the store's own precondition."""
    request.getfixturevalue("s3")
    bucket = "deltas"
    if not any(each["Name"] == bucket for each in _s3().list_buckets()["Buckets"]):
        _s3().create_bucket(Bucket=bucket)
    place = f"s3://{bucket}/{name}-{next(_numbers)}"

    def opened() -> Any:
        from deltalake import DeltaTable

        return DeltaTable(place)

    def strays() -> list[str]:
        named = set(opened().file_uris())
        found = _s3().list_objects_v2(Bucket=bucket, Prefix=f"{place.rpartition('/')[2]}/").get("Contents", [])
        return sorted({f"s3://{bucket}/{each['Key']}" for each in found if each["Key"].endswith(".parquet")} - named)

    return Stored(
        f"delta+{place}?create=true&partition_by=country", lambda: opened().to_pyarrow_table().to_pylist(), strays
    )


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


def bigquery(options: str) -> Callable[[pytest.FixtureRequest, Path, str], Stored]:
    """Tables of the emulator that the test process has started."""

    def make(request: pytest.FixtureRequest, folder: Path, name: str) -> Stored:
        server: BigQuery = request.getfixturevalue("bigquery_server")
        table = f"{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"

        def strays() -> list[str]:
            there = [each.table_id for each in server.client.list_tables(DATASET, retry=None)]
            return [each for each in there if each.startswith("beam_pipelines_")]

        return Stored(server.uri(table, f"create=true&{options}"), lambda: server.rows(table), strays)

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

_ICEBERG = (
    "beam_pipelines.sink.tables.iceberg.commit",
    "beam_pipelines.sink.tables.iceberg.table",
    "apache_beam.io.filesystems",
    "pandas",
    "psycopg",
    "pyarrow.dataset",
    "pyarrow.fs",
    "pyiceberg.catalog.rest",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
)
_BIGQUERY = ("google.cloud.bigquery", "beam_pipelines.sink.tables.bigquery.commit")
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
    "bigquery append": Store(bigquery("partition_by=day(placed_at)&cluster_by=country"), _BIGQUERY),
    "bigquery upsert": Store(bigquery("mode=upsert&key=id&version=placed_at"), _BIGQUERY),
    "bigquery stream": Store(bigquery("method=storage_write"), (*_BIGQUERY, "google.cloud.bigquery_storage_v1")),
    "bigquery replace": Store(bigquery("mode=replace"), _BIGQUERY),
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

ELSEWHERE: dict[str, Store] = {
    "iceberg sql": Store(iceberg_sql, _ICEBERG),
    "iceberg rest": Store(iceberg_rest, _ICEBERG),
    "delta s3": Store(delta_s3, _DELTA),
}
"""Tables whose catalogs are servers and whose files are objects."""
