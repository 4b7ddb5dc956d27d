"""Databases behind SQLAlchemy as sinks: one commit in one transaction, by statements that all of them know."""

from __future__ import annotations

import datetime
import decimal
import pickle
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import Committed
from tests.servers.databases import DIALECTS, Database, database
from tests.sink.tables.staging import commit, refused, staged

NOON = datetime.datetime(2024, 2, 29, 12, microsecond=5)
COLUMNS = "id bigint PRIMARY KEY, note varchar(20)"
SECONDS = 60


@pytest.fixture(params=DIALECTS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return database(request, request.param, tmp_path)


def _rows(*ids: int, note: str = "ok") -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "note": pa.array([note] * len(ids), pa.string())})


def test_a_commit_of_one_id_counts_once(shop: Database, tmp_path: Path) -> None:
    table = shop.table(COLUMNS)
    assert not commit(shop.uri(table), tmp_path, _rows(1, 2), _rows(3)).before
    assert commit(shop.uri(table), tmp_path, _rows(1, 2), _rows(3)).before
    commit(shop.uri(table), tmp_path, _rows(4), id="run-2")
    assert shop.ask(f"SELECT id FROM {table} ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_an_older_pane_never_takes_a_newer_ones_place(shop: Database, tmp_path: Path) -> None:
    table = shop.table("name varchar(9), version int, n int", ["('b', 5, 50)", "('c', NULL, 0)", "('d', 1, 1)"])
    uri = shop.uri(table, "mode=upsert&key=name&version=version")
    commit(uri, tmp_path, pa.table({"name": ["a", "a", "b", "c"], "version": [2, 1, 4, 1], "n": [20, 10, 40, 1]}))
    found = f"SELECT * FROM {table} ORDER BY name"
    assert shop.ask(found) == [("a", 2, 20), ("b", 5, 50), ("c", 1, 1), ("d", 1, 1)]
    commit(uri, tmp_path, pa.table({"name": ["a", "b"], "version": [3, 5], "n": [30, 55]}), id="run-2")
    assert shop.ask(found) == [("a", 3, 30), ("b", 5, 55), ("c", 1, 1), ("d", 1, 1)]
    with pytest.raises(UsageError, match="1 times two rows have the same name and the same version"):
        commit(uri, tmp_path, pa.table({"name": ["z", "z"], "version": [1, 1], "n": [1, 2]}), id="run-3")
    assert shop.ask(found)[-1] == ("d", 1, 1)


def test_a_table_is_made_and_values_are_what_they_were(shop: Database, tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            ("small", pa.int8()),
            ("whole", pa.int64()),
            ("real", pa.float64()),
            ("money", pa.decimal128(12, 2)),
            ("yes", pa.bool_()),
            ("raw", pa.binary()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us")),
            ("tags", pa.list_(pa.string())),
        ]
    )
    row = {
        "key": "K\\'\":x%s",
        "small": -1,
        "whole": -(2**63),
        "real": 0.1,
        "money": decimal.Decimal("1234567890.55"),
        "yes": True,
        "raw": b"\x00\xff'\\",
        "day": NOON.date(),
        "at": NOON,
        "tags": ["x", 'y"'],
    }
    uri = shop.uri("made_here", "create=true&mode=upsert&key=key")
    rows = pa.Table.from_pylist([row, {"key": "empty"}, {"key": "nan", "real": float("nan")}], schema)
    assert refused(uri, rows) == [(2, "table.does_not_fit")]
    for number in range(2):
        commit(uri, tmp_path, rows[:2], id=f"run-{number}")
    columns = ", ".join(f'"{name}"' if "mariadb" not in shop.dialect else f"`{name}`" for name in row)
    empty, found = sorted(shop.ask(f"SELECT {columns} FROM made_here"), key=str, reverse=True)
    found = (*found[:4], decimal.Decimal(str(found[4])), bool(found[5]), found[6], str(found[7]), str(found[8]))
    assert found == (*list(row.values())[:7], "2024-02-29", "2024-02-29 12:00:00.000005")
    assert set(empty[1:]) == {None}
    assert shop.ask(f"SELECT count(*) FROM {_staged(shop)}") == [(0,)]


def _staged(shop: Database) -> str:
    """The one table that rows go through."""
    where = "sqlite_master" if shop.dialect == "sqlite" else "information_schema.tables"
    name = "name" if shop.dialect == "sqlite" else "table_name"
    found = shop.ask(
        f"SELECT max({name}) FROM {where} WHERE {name} LIKE 'beam_pipelines_staged_________'".replace("%", "%%")
    )
    return str(found[0][0])


def test_replacing_leaves_the_rows_of_the_last_commit_alone(shop: Database, tmp_path: Path) -> None:
    table = shop.table(COLUMNS, ["(9, 'old')"])
    commit(shop.uri(table, "mode=replace"), tmp_path, _rows(1, 2))
    commit(shop.uri(table, "mode=replace"), tmp_path, _rows(), id="run-2")
    commit(shop.uri(table, "mode=replace"), tmp_path, _rows(3), id="run-3")
    assert shop.ask(f"SELECT id FROM {table}") == [(3,)]


def test_what_is_wrong_is_told_without_values(shop: Database, tmp_path: Path) -> None:
    table = shop.table(f"{COLUMNS}, more int", ["(1, 'x', 1)"])

    def error(uri: str) -> str:
        with pytest.raises(UsageError) as raised:
            table_of(uri, _rows().schema).check()
        return str(raised.value)

    assert "there is no table 'nowhere'" in error(shop.uri("nowhere"))
    assert "Did you mean '?mode'" in error(shop.uri(table, "mod=upsert"))
    assert "the rows have no column more: its values would be gone" in error(shop.uri(table, "mode=upsert"))
    assert "which takes no string" in error(
        shop.uri(shop.table("id bigint, note blob".replace("blob", _BLOB[shop.dialect])))
    )
    assert "SQLAlchemy knows no 'nosuch'" in error(shop.uri(table).replace(shop.dialect, "nosuch"))
    assert "is no dialect as SQLAlchemy names them" in error(shop.uri(table).replace(shop.dialect, "x;y"))
    with pytest.raises(UsageError, match="a row breaks a constraint") as raised:
        commit(shop.uri(table), tmp_path, _rows(2, 1, note="secret"))
    assert "secret" not in str(raised.value)
    assert shop.ask(f"SELECT count(*) FROM {table}") == [(1,)]
    assert not commit(shop.uri(table), tmp_path, _rows(2)).before


_BLOB = {"sqlite": "blob", "postgresql+psycopg": "bytea", "mariadb+pymysql": "blob"}


def test_names_that_need_quotes_are_names_and_nothing_else(shop: Database, tmp_path: Path) -> None:
    safe = shop.table("id int")
    names = ["select", "a'; DROP TABLE beam_pipelines_commits; --", "Ünïcode", "with space", ":colon", "a%sb"]
    rows = pa.table({"key": [1], **{name: [f"{name}'); DROP TABLE {safe}; --"] for name in names}})
    for name in names:
        table = f"any {name}".replace("%", "%25")
        commit(shop.uri(f'"{table}"', "create=true&mode=upsert&key=key"), tmp_path, rows, id=f"{name}'")
    assert shop.ask(f"SELECT count(*) FROM {safe}") == [(0,)]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_of_two_attempts_at_once_one_writes(shop: Database, tmp_path: Path, mode: str) -> None:
    table = shop.table(COLUMNS)
    sink = table_of(shop.uri(table, f"mode={mode}"), _rows().schema)
    sink.commit("run-0", staged(tmp_path, _rows(9)), no_step)  # makes the other tables
    files = staged(tmp_path, _rows(1, 2))
    results: list[Committed] = []
    thread = threading.Thread(target=lambda: results.append(sink.commit("run-1", files, no_step)), daemon=True)

    def overtake(step: str) -> None:
        if step == "loaded":
            thread.start()
            time.sleep(0.3)  # it may have come to where it waits; that it did is proven for its own kind of server

    first = sink.commit("run-1", files, overtake)
    thread.join(SECONDS)
    assert (first.before, [each.before for each in results]) == (False, [True])
    assert shop.ask(f"SELECT count(*) FROM {table}") == [(3,)]


def test_a_table_travels_and_is_compared_by_value(tmp_path: Path) -> None:
    uri = "sqlalchemy://me@db:1521/X/SALES.ORDERS?dialect=oracle+oracledb&password=env:SECRET&setting=a=b"
    table = table_of(uri, _rows().schema)
    assert pickle.loads(pickle.dumps(table)) == table == table_of(uri, _rows().schema)
    with pytest.raises(UsageError, match="the dialect's driver isn't installed: No module named 'oracledb'"):
        table_of(uri.replace("&password=env:SECRET", ""), _rows().schema).check()
    with pytest.raises(UsageError, match="names a secret, 'wallet_password'"):
        table_of(uri.replace("setting=a", "setting=wallet_password"), _rows().schema)
    with pytest.raises(UsageError, match="there is no such file"):
        table_of(f"sqlalchemy:///{tmp_path}/none.db/t?dialect=sqlite", _rows().schema).check()
